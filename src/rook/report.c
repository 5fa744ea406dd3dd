#include "src/rook/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "src/rook/interrupt.h"
#include "src/rook/show.h"
#include "src/rook/text.h"

#define COLUMNS_OTHERWISE 120 /* when stderr is no terminal */

static bool as_json;
static bool muted;

void report_mute(bool on)
{
    muted = on;
}

void report_as_json(void)
{
    as_json = true;
}

static void put_line(struct buf *text)
{
    buf_char(text, '\n');
    (void)fflush(stdout); /* so that data and talk keep their order on a terminal */
    if (!muted)
        (void)fwrite(text->bytes, 1, text->len, stderr);
    buf_fini(text);
}

static const char *status_code(int status)
{
    switch (status) {
    case EXIT_USAGE:
        return "usage";
    case EXIT_UNREACHABLE:
        return "unreachable";
    case EXIT_AUTH:
        return "unauthorized";
    case EXIT_LOCAL:
        return "local_file";
    case EXIT_INTERRUPTED:
        return "cancelled";
    default:
        return "refused";
    }
}

static int report_text(int status, struct str message)
{
    struct buf text = {0};

    if (as_json) {
        json_t *object = json_pack("{s:b, s:s%, s:s}", "success", 0, "error", message.ptr,
            message.len, "code", status_code(status));
        json_write(&text, object, JSON_LAYOUT_LINE);
        json_decref(object);
    } else {
        buf_literal(&text, "rook: ");
        (void)text_escape(&text, message, TEXT_KEEP_LINES);
    }
    put_line(&text);
    return status;
}

int report(enum exit_status status, const char *format, ...)
{
    char message[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return report_text((int)status, str_from(message));
}

void note(bool quiet, const char *format, ...)
{
    char message[1024];
    struct buf text = {0};
    va_list args;

    if (quiet)
        return;
    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    (void)text_escape(&text, str_from(message), TEXT_KEEP_LINES);
    put_line(&text);
}

int report_err(const struct err *err)
{
    int status;

    if (err->code == ERR_CANCELLED)
        status = EXIT_INTERRUPTED;
    else if (err->code == ERR_UNAVAILABLE || err->code == ERR_INVALID_JSON)
        status = EXIT_UNREACHABLE;
    else if (err->code == ERR_FORBIDDEN || err->code == ERR_UNAUTHORIZED)
        status = EXIT_AUTH;
    else if (err->code == ERR_BAD_REQUEST)
        status = EXIT_USAGE;
    else
        status = EXIT_LOCAL;
    return report_text(status, str_from(err->msg));
}

/* ---- the place in a statement -------------------------------------------------------------- */

static bool is_name_byte(char c)
{
    return (c >= '0' && c <= '9') || c == '_' || ((unsigned char)c | 0x20) >= 'a';
}

/* Bytes of the word, string or sign that begins at `at`. */
static size_t token_len(struct str line, size_t at)
{
    size_t end = at;

    if (at < line.len && (line.ptr[at] == '\'' || line.ptr[at] == '"')) {
        const char *close = memchr(line.ptr + at + 1, line.ptr[at], line.len - at - 1);
        return close != NULL ? (size_t)(close - line.ptr) + 1 - at : 1;
    }
    while (
        end < line.len && ((line.ptr[end] >= '0' && line.ptr[end] <= '9') || line.ptr[end] == '_' ||
                              ((unsigned char)line.ptr[end] | 0x20) >= 'a'))
        end++;
    return MAX(end - at, 1);
}

static size_t columns_of(struct str text)
{
    struct buf safe = {0};
    size_t columns = text_escape(&safe, text, TEXT_ONE_LINE);

    buf_fini(&safe);
    return columns;
}

/* Drops characters in front until at most `room` columns are left. */
static size_t cut_front(struct str *text, size_t room)
{
    size_t dropped = 0;

    while (text->len > 0 && columns_of(*text) > room) {
        int32_t code_point;
        size_t len = text_char(*text, 0, &code_point);
        text->ptr += len;
        text->len -= len;
        dropped += len;
    }
    return dropped;
}

/* The longest beginning of `text` that fits. */
static struct str cut_back(struct str text, size_t room)
{
    size_t end = 0;
    size_t used = 0;

    while (end < text.len) {
        int32_t code_point;
        size_t len = text_char(text, end, &code_point);
        used += columns_of(str_make(text.ptr + end, len));
        if (used > room)
            break;
        end += len;
    }
    return str_make(text.ptr, end);
}

/* Tabs as one blank: their width depends on where they stand. */
static void append_line_part(struct buf *out, struct str part)
{
    struct buf plain = {0};

    buf_str(&plain, part);
    for (size_t i = 0; i < plain.len; i++)
        if (plain.bytes[i] == '\t')
            plain.bytes[i] = ' ';
    (void)text_escape(out, buf_view(&plain), TEXT_ONE_LINE);
    buf_fini(&plain);
}

static size_t append_part(struct buf *out, struct str part)
{
    size_t before = out->len;

    append_line_part(out, part);
    return columns_of(str_make(out->bytes + before, out->len - before));
}

void report_place(struct buf *out, const struct statement *statement, size_t offset, size_t columns)
{
    struct str sql = statement->sql;
    unsigned number = MAX(statement->line, 1);
    size_t start = 0;
    size_t room = MAX(columns, 40) - 10;
    char gutter[16];
    struct str line;
    struct str front;
    struct str back;
    size_t caret;
    size_t token;

    offset = MIN(offset, sql.len);
    for (size_t i = 0; i < offset; i++) {
        if (sql.ptr[i] == '\n') {
            start = i + 1;
            number++;
        }
    }
    line = str_make(sql.ptr + start, str_find(str_make(sql.ptr + start, sql.len - start), '\n'));
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    front = str_make(line.ptr, MIN(offset - start, line.len));
    token = token_len(line, front.len);
    back = str_make(line.ptr + front.len, line.len - front.len);
    (void)snprintf(gutter, sizeof(gutter), "%3u", number);
    buf_printf(out, "%s | ", gutter);
    if (cut_front(&front, room * 2 / 3) > 0)
        buf_literal(out, "...");
    caret = append_part(out, front) + (front.ptr > line.ptr ? 3 : 0);
    token = columns_of(str_make(back.ptr, MIN(token, back.len)));
    (void)append_part(out, cut_back(back, room - MIN(caret, room - 1)));
    buf_printf(out, "\n%*s | %*s^", (int)strlen(gutter), "", (int)caret, "");
    token = MIN(token, room - MIN(caret, room - 1));
    for (size_t i = 1; i < token; i++)
        buf_char(out, '~');
    buf_char(out, '\n');
}

/* ---- refusals ------------------------------------------------------------------------------ */

/* Where `word` stands in `sql`, as a whole word (any case); -1 when nowhere, or more than once. */
static int64_t find_only(struct str sql, const char *word)
{
    size_t len = word != NULL ? strlen(word) : 0;
    int64_t found = -1;

    for (size_t at = 0; len > 0 && at + len <= sql.len; at++) {
        if (strncasecmp(sql.ptr + at, word, len) != 0 ||
            (is_name_byte(word[0]) && at > 0 && is_name_byte(sql.ptr[at - 1])) ||
            (is_name_byte(word[len - 1]) && at + len < sql.len && is_name_byte(sql.ptr[at + len])))
            continue;
        if (found >= 0)
            return -1;
        found = (int64_t)at;
    }
    return found;
}

/* Where the statement is wrong: said by the server, or found by what the error names when that
 * stands in one place only. -1: unknown. */
static int64_t place_of(const json_t *detail, struct str sql)
{
    static const char *const members[] = {"near", "column", "table"};
    int64_t offset = json_int(detail, "offset", -1);

    if (offset > (int64_t)sql.len)
        offset = -1;
    for (size_t i = 0; i < ARRAY_LEN(members) && offset < 0; i++)
        offset = find_only(sql, json_text(detail, members[i], NULL));
    return offset;
}

static const struct statement *guilty(
    const json_t *answer, const struct statement *statements, size_t count)
{
    int64_t index = json_int(answer, "failedIndex", -1);

    if (index < 0)
        return count == 1 ? statements : NULL;
    return (size_t)index < count ? &statements[index] : NULL;
}

/* Which statement it was, where no place in it is known. */
static void append_first_line(struct buf *text, const struct statement *statement, size_t columns)
{
    struct str line = statement->sql;

    line.len = str_find(line, '\n');
    buf_printf(text, "%3u | ", MAX(statement->line, 1));
    append_line_part(text, cut_back(line, MAX(columns, 40) - 10));
    buf_char(text, '\n');
}

/* What this client offers where the server refuses; used when the server gives no hint. */
static const char *own_hint(const char *code)
{
    static const struct {
        const char *code;
        const char *hint;
    } hints[] = {
        {"many_statements", "rook db shell DATABASE < FILE runs several statements"},
        {"transaction_words",
            "in rook db shell, what stands between BEGIN and COMMIT is sent as one "
            "transaction"},
    };

    for (size_t i = 0; code != NULL && i < ARRAY_LEN(hints); i++)
        if (strcmp(code, hints[i].code) == 0)
            return hints[i].hint;
    return NULL;
}

static void append_hint(struct buf *text, const char *hint, long retry_after_s)
{
    if (hint != NULL) {
        buf_literal(text, "\nhint: ");
        (void)text_escape(text, str_from(hint), TEXT_ONE_LINE);
    }
    if (retry_after_s >= 0)
        buf_printf(text, "\nhint: try again in %ld s", retry_after_s);
}

static void refusal_as_json(
    struct buf *text, const json_t *answer, int http_status, const char *request_id)
{
    json_t *copy = json_is_object(answer) ? json_deep_copy(answer) : json_object();

    (void)json_object_set_new(copy, "success", json_false());
    (void)json_object_set_new(copy, "status", json_integer(http_status));
    if (request_id[0] != '\0' && json_object_get(copy, "requestId") == NULL)
        (void)json_object_set_new(copy, "requestId", json_string(request_id));
    json_write(text, copy, JSON_LAYOUT_LINE);
    json_decref(copy);
}

static void refusal_as_text(struct buf *text, const json_t *answer, int http_status,
    const char *request_id, long retry_after_s, const struct statement *statement)
{
    const json_t *detail = json_object_get(answer, "errorDetail");
    const char *code = json_text(answer, "code", NULL);
    size_t columns = show_terminal_columns(stderr);

    buf_literal(text, "error: ");
    (void)text_escape(text,
        str_from(json_text(answer, "error", "the server refused, without a reason")),
        TEXT_KEEP_LINES);
    if (statement != NULL) {
        int64_t offset = place_of(detail, statement->sql);
        buf_char(text, '\n');
        if (offset >= 0)
            report_place(
                text, statement, (size_t)offset, columns > 0 ? columns : COLUMNS_OTHERWISE);
        else if (statement->line > 0 || json_object_get(answer, "failedIndex") != NULL)
            append_first_line(text, statement, columns > 0 ? columns : COLUMNS_OTHERWISE);
        text->len--;
    }
    append_hint(
        text, json_text(detail, "hint", json_text(answer, "hint", own_hint(code))), retry_after_s);
    if (detail == NULL) /* an SQL error explains itself; anything else may need the log */
        buf_printf(text, "\n(%s%sHTTP %d%s%s)", code != NULL ? code : "", code != NULL ? ", " : "",
            http_status, request_id[0] != '\0' ? ", request " : "", request_id);
}

int report_refusal(const json_t *answer, int http_status, const char *request_id,
    long retry_after_s, const struct statement *statements, size_t count)
{
    struct buf text = {0};

    if (as_json)
        refusal_as_json(&text, answer, http_status, request_id);
    else
        refusal_as_text(&text, answer, http_status, request_id, retry_after_s,
            guilty(answer, statements, count));
    put_line(&text);
    return http_status == 401 || http_status == 403 ? EXIT_AUTH : EXIT_REFUSED;
}
