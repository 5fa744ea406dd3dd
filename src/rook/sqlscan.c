/* The tokens are only as fine as the question needs: blanks (with comments), a semicolon, the five
 * words that make up CREATE TRIGGER … END, and everything else. The table is sqlite3_complete()'s:
 *
 *   START ── CREATE ── TRIGGER ──;── SEMI ──END── END ──;── done
 *                         └──── anything else returns to TRIGGER ────┘
 */
#include "src/rook/sqlscan.h"

#include <string.h>
#include <strings.h>

enum token {
    TOKEN_SEMI,
    TOKEN_BLANK,
    TOKEN_OTHER,
    TOKEN_EXPLAIN,
    TOKEN_CREATE,
    TOKEN_TEMP,
    TOKEN_TRIGGER,
    TOKEN_END,
    TOKEN_COUNT,
};

enum state {
    STATE_START,
    STATE_NORMAL,
    STATE_EXPLAIN,
    STATE_CREATE,
    STATE_TRIGGER,
    STATE_SEMI,
    STATE_END,
    STATE_COUNT,
};

/* clang-format off */
static const unsigned char next_state[STATE_COUNT][TOKEN_COUNT] = {
    /*                 ;              blank          other          EXPLAIN        CREATE         TEMP           TRIGGER        END */
    [STATE_START]   = {STATE_START,   STATE_START,   STATE_NORMAL,  STATE_EXPLAIN, STATE_CREATE,  STATE_NORMAL,  STATE_NORMAL,  STATE_NORMAL},
    [STATE_NORMAL]  = {STATE_START,   STATE_NORMAL,  STATE_NORMAL,  STATE_NORMAL,  STATE_NORMAL,  STATE_NORMAL,  STATE_NORMAL,  STATE_NORMAL},
    [STATE_EXPLAIN] = {STATE_START,   STATE_EXPLAIN, STATE_EXPLAIN, STATE_NORMAL,  STATE_CREATE,  STATE_NORMAL,  STATE_NORMAL,  STATE_NORMAL},
    [STATE_CREATE]  = {STATE_START,   STATE_CREATE,  STATE_NORMAL,  STATE_NORMAL,  STATE_NORMAL,  STATE_CREATE,  STATE_TRIGGER, STATE_NORMAL},
    [STATE_TRIGGER] = {STATE_SEMI,    STATE_TRIGGER, STATE_TRIGGER, STATE_TRIGGER, STATE_TRIGGER, STATE_TRIGGER, STATE_TRIGGER, STATE_TRIGGER},
    [STATE_SEMI]    = {STATE_SEMI,    STATE_SEMI,    STATE_TRIGGER, STATE_TRIGGER, STATE_TRIGGER, STATE_TRIGGER, STATE_TRIGGER, STATE_END},
    [STATE_END]     = {STATE_START,   STATE_END,     STATE_TRIGGER, STATE_TRIGGER, STATE_TRIGGER, STATE_TRIGGER, STATE_TRIGGER, STATE_TRIGGER},
};
/* clang-format on */

struct lexeme {
    enum token token;
    size_t end;
    enum sql_open open; /* not NONE: the input ended inside it */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* As SQLite: letters, digits, _, $, and every byte of a multi-byte character. */
static bool is_word(char c)
{
    unsigned char u = (unsigned char)c;
    return (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || (u >= '0' && u <= '9') || u == '_' ||
           u == '$' || u >= 0x80;
}

static bool word_is(const char *word, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(word, name, len) == 0;
}

static enum token token_of_word(const char *word, size_t len)
{
    static const struct {
        const char *name;
        enum token token;
    } words[] = {
        {"create", TOKEN_CREATE},
        {"trigger", TOKEN_TRIGGER},
        {"temp", TOKEN_TEMP},
        {"temporary", TOKEN_TEMP},
        {"end", TOKEN_END},
        {"explain", TOKEN_EXPLAIN},
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (word_is(word, len, words[i].name))
            return words[i].token;
    return TOKEN_OTHER;
}

/* A doubled quote inside ends one literal and begins the next: for our question that is the same.
 */
static struct lexeme quoted(const char *sql, size_t len, size_t at, char close, enum sql_open open)
{
    const char *end = memchr(sql + at + 1, close, len - at - 1);

    if (end == NULL)
        return (struct lexeme){TOKEN_OTHER, len, open};
    return (struct lexeme){TOKEN_OTHER, (size_t)(end - sql) + 1, SQL_OPEN_NONE};
}

static struct lexeme line_comment(const char *sql, size_t len, size_t at)
{
    const char *end = memchr(sql + at, '\n', len - at);

    return (struct lexeme){TOKEN_BLANK, end ? (size_t)(end - sql) + 1 : len, SQL_OPEN_NONE};
}

static struct lexeme block_comment(const char *sql, size_t len, size_t at)
{
    for (size_t i = at + 2; i + 1 < len; i++)
        if (sql[i] == '*' && sql[i + 1] == '/')
            return (struct lexeme){TOKEN_BLANK, i + 2, SQL_OPEN_NONE};
    return (struct lexeme){TOKEN_BLANK, len, SQL_OPEN_COMMENT};
}

static struct lexeme next_lexeme(const char *sql, size_t len, size_t at)
{
    char c = sql[at];
    char follows = at + 1 < len ? sql[at + 1] : '\0';
    size_t end = at + 1;

    if (c == ';')
        return (struct lexeme){TOKEN_SEMI, end, SQL_OPEN_NONE};
    if (c == '-' && follows == '-')
        return line_comment(sql, len, at);
    if (c == '/' && follows == '*')
        return block_comment(sql, len, at);
    if (c == '\'')
        return quoted(sql, len, at, '\'', SQL_OPEN_STRING);
    if (c == '"' || c == '`')
        return quoted(sql, len, at, c, SQL_OPEN_NAME);
    if (c == '[')
        return quoted(sql, len, at, ']', SQL_OPEN_NAME);
    if (is_blank(c)) {
        while (end < len && is_blank(sql[end]))
            end++;
        return (struct lexeme){TOKEN_BLANK, end, SQL_OPEN_NONE};
    }
    if (is_word(c)) {
        while (end < len && is_word(sql[end]))
            end++;
        return (struct lexeme){token_of_word(sql + at, end - at), end, SQL_OPEN_NONE};
    }
    return (struct lexeme){TOKEN_OTHER, end, SQL_OPEN_NONE};
}

enum sql_found sql_next(const char *sql, size_t len, size_t from, struct sql_piece *ret_piece)
{
    unsigned state = STATE_START;
    enum sql_open open = SQL_OPEN_NONE;
    size_t start = len;

    for (size_t at = from; at < len;) {
        struct lexeme lexeme = next_lexeme(sql, len, at);
        unsigned after = next_state[state][lexeme.token];

        if (state == STATE_START && after != STATE_START)
            start = at;
        if (state != STATE_START && after == STATE_START) {
            *ret_piece = (struct sql_piece){start, lexeme.end, SQL_OPEN_NONE};
            return SQL_COMPLETE;
        }
        state = after;
        open = lexeme.open;
        at = lexeme.end;
    }
    if (open == SQL_OPEN_NONE && state >= STATE_TRIGGER)
        open = SQL_OPEN_TRIGGER;
    *ret_piece = (struct sql_piece){start, len, open};
    return state == STATE_START ? SQL_NOTHING : SQL_PARTIAL;
}

/* The word at or after `from`, past blanks and comments; empty where something else stands. */
static const char *word_at(const char *sql, size_t len, size_t from, size_t *ret_len)
{
    size_t at = from;

    while (at < len) {
        struct lexeme lexeme = next_lexeme(sql, len, at);
        if (lexeme.token != TOKEN_BLANK) {
            *ret_len = is_word(sql[at]) ? lexeme.end - at : 0;
            return sql + at;
        }
        at = lexeme.end;
    }
    *ret_len = 0;
    return sql + len;
}

/* ROLLBACK [TRANSACTION] TO name ends no transaction. */
static enum sql_kind kind_of_rollback(const char *sql, size_t len, size_t from)
{
    size_t word_len;
    const char *word = word_at(sql, len, from, &word_len);

    if (word_is(word, word_len, "transaction"))
        word = word_at(sql, len, (size_t)(word - sql) + word_len, &word_len);
    return word_is(word, word_len, "to") ? SQL_KIND_OTHER : SQL_KIND_ROLLBACK;
}

enum sql_kind sql_kind_of(const char *sql, size_t len)
{
    static const struct {
        const char *name;
        enum sql_kind kind;
    } words[] = {
        {"begin", SQL_KIND_BEGIN},
        {"commit", SQL_KIND_COMMIT},
        {"end", SQL_KIND_COMMIT},
        {"rollback", SQL_KIND_ROLLBACK},
        {"create", SQL_KIND_SCHEMA},
        {"drop", SQL_KIND_SCHEMA},
        {"alter", SQL_KIND_SCHEMA},
    };
    size_t word_len;
    const char *word = word_at(sql, len, 0, &word_len);

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!word_is(word, word_len, words[i].name))
            continue;
        if (words[i].kind == SQL_KIND_ROLLBACK)
            return kind_of_rollback(sql, len, (size_t)(word - sql) + word_len);
        return words[i].kind;
    }
    return SQL_KIND_OTHER;
}

bool sql_flatten(const char *sql, size_t len, char *out)
{
    size_t used = 0;

    for (size_t at = 0; at < len;) {
        struct lexeme lexeme = next_lexeme(sql, len, at);
        bool comment = sql[at] == '-';
        bool breaks = memchr(sql + at, '\n', lexeme.end - at) != NULL;

        if (lexeme.token == TOKEN_BLANK && (comment || breaks || is_blank(sql[at]))) {
            if (used > 0 && out[used - 1] != ' ')
                out[used++] = ' ';
        } else if (breaks) {
            return false;
        } else {
            memcpy(out + used, sql + at, lexeme.end - at);
            used += lexeme.end - at;
        }
        at = lexeme.end;
    }
    while (used > 0 && out[used - 1] == ' ')
        used--;
    out[used] = '\0';
    return true;
}
