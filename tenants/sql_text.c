#include "tenants/sql_text.h"

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* SQLite's identifier bytes: letters, digits, _, $ and everything above ASCII. */
static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* Length of the blanks and comments at the start. */
static size_t skip(struct str text)
{
    size_t at = 0;

    while (at < text.len) {
        const char *p = text.ptr + at;
        size_t left = text.len - at;

        if (is_blank(*p)) {
            at++;
        } else if (left >= 2 && p[0] == '-' && p[1] == '-') {
            at += str_find(str_make(p, left), '\n');
        } else if (left >= 3 && p[0] == '/' && p[1] == '*') {
            size_t end = 3; /* as SQLite has it: a comment's star does not end it */

            while (end < left && !(p[end - 1] == '*' && p[end] == '/'))
                end++;
            at += MIN(end + 1, left);
        } else if (left >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
            at += 3; /* a byte order mark is a blank */
        } else {
            break;
        }
    }
    return at;
}

static size_t quoted_len(struct str text)
{
    char quote = text.ptr[0] == '[' ? ']' : text.ptr[0];
    size_t at = 1;

    for (; at < text.len; at++) {
        if (text.ptr[at] != quote)
            continue;
        if (quote != ']' && at + 1 < text.len && text.ptr[at + 1] == quote)
            at++;
        else
            return at + 1;
    }
    return text.len;
}

static size_t word_len(struct str text)
{
    size_t at = 1;

    while (at < text.len && is_word(text.ptr[at]))
        at++;
    return at;
}

/* Parameters: ?, ?12, :a, @a, #a, $a, $a::b and $a(anything but blanks), whose text may hold
 * quotes.
 */
static size_t parameter_len(struct str text)
{
    size_t at = 1;

    if (text.ptr[0] == '?') {
        while (at < text.len && is_digit(text.ptr[at]))
            at++;
        return at;
    }
    for (; at < text.len; at++) {
        if (is_word(text.ptr[at]))
            continue;
        if (text.ptr[at] == ':' && at + 1 < text.len && text.ptr[at + 1] == ':') {
            at++;
            continue;
        }
        if (text.ptr[at] == '(' && at > 1) {
            do
                at++;
            while (at < text.len && !is_blank(text.ptr[at]) && text.ptr[at] != ')');
            return MIN(at + (at < text.len && text.ptr[at] == ')'), text.len);
        }
        break;
    }
    return at;
}

struct sql_token sql_next(struct str *rest)
{
    size_t skipped = skip(*rest);
    struct str text =
        rest->ptr == NULL ? *rest : str_make(rest->ptr + skipped, rest->len - skipped);
    struct sql_token token = {.kind = SQL_TOKEN_END, .raw = str_make(text.ptr, 0)};
    size_t len = 1;

    *rest = text;
    if (text.ptr == NULL || text.len == 0)
        return token;
    switch (text.ptr[0]) {
    case '"':
    case '`':
    case '[':
        token.kind = SQL_TOKEN_QUOTED;
        len = quoted_len(text);
        break;
    case '\'':
        token.kind = SQL_TOKEN_STRING;
        len = quoted_len(text);
        break;
    case '?':
    case ':':
    case '@':
    case '#':
    case '$':
        token.kind = SQL_TOKEN_OTHER;
        len = parameter_len(text);
        break;
    default:
        token.kind =
            is_word(text.ptr[0]) && !is_digit(text.ptr[0]) ? SQL_TOKEN_WORD : SQL_TOKEN_OTHER;
        if (is_word(text.ptr[0]))
            len = word_len(text);
    }
    token.raw = str_make(text.ptr, len);
    *rest = str_make(text.ptr + len, text.len - len);
    return token;
}

static bool is_char(struct sql_token token, char c)
{
    return token.kind == SQL_TOKEN_OTHER && token.raw.len == 1 && token.raw.ptr[0] == c;
}

bool sql_is_blank(struct str sql)
{
    struct sql_token token;

    do {
        token = sql_next(&sql);
    } while (is_char(token, ';'));
    return token.kind == SQL_TOKEN_END;
}

struct str sql_trim_end(struct str sql)
{
    while (sql.len > 0 && (is_blank(sql.ptr[sql.len - 1]) || sql.ptr[sql.len - 1] == ';'))
        sql.len--;
    return sql;
}

bool sql_token_is(struct sql_token token, const char *word)
{
    return token.kind == SQL_TOKEN_WORD && str_is_nocase(token.raw, word);
}

/* Where a text stands within a statement, for sql_cut(). */
enum cut_state {
    CUT_START,   /* nothing but EXPLAIN so far */
    CUT_CREATE,  /* CREATE, TEMP */
    CUT_PLAIN,   /* ends with a semicolon */
    CUT_TRIGGER, /* ends with "; END ;" */
    CUT_TRIGGER_SEMICOLON,
    CUT_TRIGGER_END,
};

static enum cut_state cut_next(enum cut_state state, struct sql_token token)
{
    bool semicolon = is_char(token, ';');

    switch (state) {
    case CUT_START:
        if (sql_token_is(token, "EXPLAIN") || sql_token_is(token, "QUERY") ||
            sql_token_is(token, "PLAN"))
            return CUT_START;
        return sql_token_is(token, "CREATE") ? CUT_CREATE : CUT_PLAIN;
    case CUT_CREATE:
        if (sql_token_is(token, "TEMP") || sql_token_is(token, "TEMPORARY"))
            return CUT_CREATE;
        return sql_token_is(token, "TRIGGER") ? CUT_TRIGGER : CUT_PLAIN;
    case CUT_TRIGGER_SEMICOLON:
        if (semicolon)
            return CUT_TRIGGER_SEMICOLON;
        return sql_token_is(token, "END") ? CUT_TRIGGER_END : CUT_TRIGGER;
    case CUT_TRIGGER:
    case CUT_TRIGGER_END:
        return semicolon ? CUT_TRIGGER_SEMICOLON : CUT_TRIGGER;
    case CUT_PLAIN:
    default:
        return CUT_PLAIN;
    }
}

struct str sql_cut(struct str *rest)
{
    enum cut_state state = CUT_START;
    const char *start = NULL;

    for (;;) {
        struct sql_token token = sql_next(rest);

        if (token.kind == SQL_TOKEN_END) {
            *rest = str_make(NULL, 0);
            return start == NULL ? *rest : str_make(start, (size_t)(token.raw.ptr - start));
        }
        if (is_char(token, ';') && start == NULL)
            continue;
        if (is_char(token, ';') && (state < CUT_TRIGGER || state == CUT_TRIGGER_END))
            return str_make(start, (size_t)(token.raw.ptr - start));
        if (start == NULL)
            start = token.raw.ptr;
        state = cut_next(state, token);
    }
}

bool sql_is_transaction(const struct sql_verb *verb)
{
    static const char *const words[] = {
        "BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"};

    for (size_t i = 0; i < ARRAY_LEN(words) && !verb->is_explain; i++) {
        if (str_is_nocase(verb->word, words[i]))
            return true;
    }
    return false;
}

/* Skips a WITH clause: the verb is the first of these words outside parentheses. */
static struct str verb_after_with(struct str rest)
{
    static const char *const verbs[] = {
        "SELECT", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE"};
    int depth = 0;

    for (;;) {
        struct sql_token token = sql_next(&rest);

        if (token.kind == SQL_TOKEN_END || is_char(token, ';'))
            return str_make(NULL, 0);
        if (is_char(token, '('))
            depth++;
        if (is_char(token, ')'))
            depth--;
        for (size_t i = 0; depth == 0 && i < ARRAY_LEN(verbs); i++) {
            if (sql_token_is(token, verbs[i]))
                return token.raw;
        }
    }
}

struct sql_verb sql_verb(struct str sql)
{
    struct sql_verb verb = {.word = str_make(NULL, 0)};
    struct sql_token token;

    do {
        token = sql_next(&sql);
    } while (is_char(token, ';'));
    if (sql_token_is(token, "EXPLAIN")) {
        verb.is_explain = true;
        token = sql_next(&sql);
        if (sql_token_is(token, "QUERY")) {
            (void)sql_next(&sql);
            token = sql_next(&sql);
        }
    }
    if (token.kind != SQL_TOKEN_WORD)
        return verb;
    verb.is_with = sql_token_is(token, "WITH");
    verb.word = verb.is_with ? verb_after_with(sql) : token.raw;
    return verb;
}

/* The next character of a token's name, quotes removed and doubled ones halved; -1 at its end. */
static int name_char(struct sql_token token, size_t *at)
{
    char quote = token.raw.ptr[0] == '[' ? ']' : token.raw.ptr[0];
    const char *p = token.raw.ptr;

    if (token.kind == SQL_TOKEN_WORD)
        return *at < token.raw.len ? (unsigned char)p[(*at)++] : -1;
    if (*at == 0)
        (*at)++;
    if (*at >= token.raw.len)
        return -1;
    if (p[*at] != quote)
        return (unsigned char)p[(*at)++];
    if (quote == ']' || *at + 1 >= token.raw.len)
        return -1;
    *at += 2;
    return (unsigned char)quote;
}

static bool begins_with(struct sql_token token, struct str prefix, bool whole)
{
    size_t at = 0;

    if (token.kind == SQL_TOKEN_OTHER || token.kind == SQL_TOKEN_END)
        return false;
    for (size_t i = 0; i < prefix.len; i++) {
        int c = name_char(token, &at);

        if (c < 0 || lower((char)c) != lower(prefix.ptr[i]))
            return false;
    }
    return !whole || name_char(token, &at) < 0;
}

bool sql_token_names(struct sql_token token, struct str name)
{
    return begins_with(token, name, true);
}

/* A string after one of these is a value, never a name. */
static bool makes_value(struct sql_token before)
{
    static const char *const words[] = {"LIKE", "GLOB", "REGEXP", "MATCH", "ESCAPE", "DEFAULT",
        "THEN", "ELSE", "WHEN", "AND", "OR", "NOT", "IS", "BETWEEN", "LIMIT", "OFFSET",
        "RETURNING"};

    if (before.kind == SQL_TOKEN_OTHER && before.raw.len == 1)
        return before.raw.ptr[0] != '\0' && strchr("=<>|+-*/%&~", before.raw.ptr[0]) != NULL;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (sql_token_is(before, words[i]))
            return true;
    }
    return false;
}

static bool names(struct str sql, struct str name, bool whole)
{
    struct sql_token before = {.kind = SQL_TOKEN_END};

    for (;;) {
        struct sql_token token = sql_next(&sql);

        if (token.kind == SQL_TOKEN_END)
            return false;
        if (begins_with(token, name, whole) &&
            !(token.kind == SQL_TOKEN_STRING && makes_value(before)))
            return true;
        before = token;
    }
}

bool sql_names(struct str sql, struct str name)
{
    return names(sql, name, true);
}

bool sql_names_prefix(struct str sql, struct str prefix)
{
    return names(sql, prefix, false);
}

bool sql_has_word(struct str sql, const char *word)
{
    for (;;) {
        struct sql_token token = sql_next(&sql);

        if (token.kind == SQL_TOKEN_END)
            return false;
        if (sql_token_is(token, word))
            return true;
    }
}

bool sql_may_define(struct str sql, struct str name)
{
    struct str rest = sql;

    if (!sql_has_word(sql, "WITH"))
        return false;
    for (;;) {
        struct sql_token token = sql_next(&rest);
        struct str after = rest;
        struct sql_token next;

        if (token.kind == SQL_TOKEN_END)
            return false;
        if (!sql_token_names(token, name))
            continue;
        next = sql_next(&after);
        if (is_char(next, '('))
            return true;
        if (!sql_token_is(next, "AS"))
            continue;
        next = sql_next(&after);
        if (is_char(next, '(') || sql_token_is(next, "NOT") || sql_token_is(next, "MATERIALIZED"))
            return true;
    }
}

bool sql_contains(struct str sql, struct str needle)
{
    for (size_t i = 0; i + needle.len <= sql.len; i++) {
        size_t at = 0;

        while (at < needle.len && lower(sql.ptr[i + at]) == needle.ptr[at])
            at++;
        if (at == needle.len)
            return true;
    }
    return false;
}
