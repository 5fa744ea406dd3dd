#include "tenants/functions.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/base/mem.h"
#include "tenants/sql_error.h"

static bool is_continuation(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

static void result_error_toobig_or(sqlite3_context *context, int64_t len)
{
    if (len > sqlite3_limit(sqlite3_context_db_handle(context), SQLITE_LIMIT_LENGTH, -1))
        sqlite3_result_error_toobig(context);
    else
        sqlite3_result_error_nomem(context);
}

/* instr(X, Y): the place of Y in X, 1-based, in characters, or in bytes when both are blobs. */
static void on_instr(sqlite3_context *context, int count, sqlite3_value **values)
{
    int types[2] = {sqlite3_value_type(values[0]), sqlite3_value_type(values[1])};
    bool is_text = types[0] != SQLITE_BLOB || types[1] != SQLITE_BLOB;
    const unsigned char *haystack;
    const unsigned char *needle;
    const unsigned char *found;
    int haystack_len;
    int needle_len;
    int64_t place = 1;

    (void)count;
    if (types[0] == SQLITE_NULL || types[1] == SQLITE_NULL)
        return;
    haystack = is_text ? sqlite3_value_text(values[0]) : sqlite3_value_blob(values[0]);
    needle = is_text ? sqlite3_value_text(values[1]) : sqlite3_value_blob(values[1]);
    haystack_len = sqlite3_value_bytes(values[0]);
    needle_len = sqlite3_value_bytes(values[1]);
    if (needle_len == 0) {
        sqlite3_result_int(context, 1);
        return;
    }
    if (haystack == NULL || needle == NULL) {
        if (haystack_len > 0 || is_text)
            sqlite3_result_error_nomem(context);
        else
            sqlite3_result_int(context, 0);
        return;
    }
    found = memmem(haystack, (size_t)haystack_len, needle, (size_t)needle_len);
    if (found == NULL || (is_text && found != haystack && is_continuation(*found))) {
        sqlite3_result_int(context, 0);
        return;
    }
    if (!is_text)
        place += found - haystack;
    for (const unsigned char *at = haystack + 1; is_text && at <= found; at++)
        place += !is_continuation(*at);
    sqlite3_result_int64(context, place);
}

/* memchr for one byte: quicker, and a thread sanitizer's memmem looks at all of the text each time.
 */
static const char *find_pattern(
    const char *text, const char *end, const char *pattern, int64_t pattern_len)
{
    size_t len = (size_t)(end - text);

    return pattern_len == 1 ? memchr(text, pattern[0], len)
                            : memmem(text, len, pattern, (size_t)pattern_len);
}

/* The length of `text` with each `pattern` replaced. */
static int64_t replaced_len(
    const char *text, int64_t len, const char *pattern, int64_t pattern_len, int64_t by_len)
{
    const char *end = text + len;
    int64_t result = len;

    for (;;) {
        const char *found = find_pattern(text, end, pattern, pattern_len);

        if (found == NULL)
            return result;
        result += by_len - pattern_len;
        text = found + pattern_len;
    }
}

static void replace_into(char *out, const char *text, int64_t len, const char *pattern,
    int64_t pattern_len, const char *by, int64_t by_len)
{
    const char *end = text + len;

    for (;;) {
        const char *found = find_pattern(text, end, pattern, pattern_len);
        size_t before = (size_t)((found == NULL ? end : found) - text);

        memcpy(out, text, before);
        out += before;
        if (found == NULL)
            return;
        memcpy(out, by, (size_t)by_len);
        out += by_len;
        text = found + pattern_len;
    }
}

/* replace(X, Y, Z): X with every Y made Z. */
static void on_replace(sqlite3_context *context, int count, sqlite3_value **values)
{
    const char *text = (const char *)sqlite3_value_text(values[0]);
    int64_t text_len = sqlite3_value_bytes(values[0]);
    const char *pattern = (const char *)sqlite3_value_text(values[1]);
    int64_t pattern_len = sqlite3_value_bytes(values[1]);
    const char *by;
    int64_t by_len;
    int64_t len;
    char *out;

    (void)count;
    if (text == NULL || pattern == NULL)
        return;
    if (pattern[0] == '\0') {
        sqlite3_result_text(context, text, (int)text_len, SQLITE_TRANSIENT);
        return;
    }
    by = (const char *)sqlite3_value_text(values[2]);
    by_len = sqlite3_value_bytes(values[2]);
    if (by == NULL)
        return;
    len = replaced_len(text, text_len, pattern, pattern_len, by_len);
    out = len > sqlite3_limit(sqlite3_context_db_handle(context), SQLITE_LIMIT_LENGTH, -1)
              ? NULL
              : sqlite3_malloc64((sqlite3_uint64)len + 1);
    if (out == NULL) {
        result_error_toobig_or(context, len);
        return;
    }
    replace_into(out, text, text_len, pattern, pattern_len, by, by_len);
    out[len] = '\0';
    sqlite3_result_text(context, out, (int)len, sqlite3_free);
}

/* The characters that trim takes away: bytes of one-byte ones in a table, longer ones sorted. */
struct charset {
    bool bytes[256];
    uint32_t *wide; /* sqlite3_malloc: packed bytes */
    size_t wide_count;
};

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static uint32_t pack(const unsigned char *text, size_t len)
{
    uint32_t packed = 0;

    for (size_t i = 0; i < len; i++)
        packed = packed << 8 | text[i];
    return packed;
}

/* As SQLite cuts text into characters: a byte over 0xbf takes its continuation bytes along. */
static size_t char_len(const unsigned char *text, size_t left)
{
    size_t len = 1;

    if (text[0] >= 0xc0) {
        while (len < left && is_continuation(text[len]))
            len++;
    }
    return len;
}

static int charset_init(struct charset *set, const unsigned char *text, size_t len)
{
    memset(set->bytes, 0, sizeof(set->bytes));
    set->wide = NULL;
    set->wide_count = 0;
    for (size_t at = 0, step; at < len; at += step) {
        step = char_len(text + at, len - at);
        if (step == 1)
            set->bytes[text[at]] = true;
        else if (set->wide == NULL &&
                 (set->wide = sqlite3_malloc64((len / 2 + 1) * sizeof(uint32_t))) == NULL)
            return -1;
        if (step > 1 && step <= 4) /* longer ones are not UTF-8 and are left alone */
            set->wide[set->wide_count++] = pack(text + at, step);
    }
    if (set->wide_count > 1)
        qsort(set->wide, set->wide_count, sizeof(uint32_t), compare_u32);
    return 0;
}

static bool charset_has(const struct charset *set, const unsigned char *text, size_t len)
{
    uint32_t packed;

    if (len == 1)
        return set->bytes[text[0]];
    if (len > 4 || set->wide_count == 0)
        return false;
    packed = pack(text, len);
    return bsearch(&packed, set->wide, set->wide_count, sizeof(uint32_t), compare_u32) != NULL;
}

/* Length of the character that ends the text. */
static size_t last_char_len(const unsigned char *text, size_t len)
{
    size_t back = 1;

    while (back < len && back < 5 && is_continuation(text[len - back]))
        back++;
    return back > 1 && text[len - back] < 0xc0 ? 1 : back;
}

enum trim_side { TRIM_LEFT = 1, TRIM_RIGHT = 2 };

/* trim(X, Y): X without the characters of Y at its ends. */
static void on_trim(sqlite3_context *context, int count, sqlite3_value **values)
{
    unsigned sides = *(const unsigned *)sqlite3_user_data(context);
    const unsigned char *text;
    const unsigned char *chars;
    struct charset set;
    size_t len;

    (void)count;
    if (sqlite3_value_type(values[0]) == SQLITE_NULL ||
        sqlite3_value_type(values[1]) == SQLITE_NULL)
        return;
    text = sqlite3_value_text(values[0]);
    len = (size_t)sqlite3_value_bytes(values[0]);
    chars = sqlite3_value_text(values[1]);
    if (text == NULL || chars == NULL ||
        charset_init(&set, chars, (size_t)sqlite3_value_bytes(values[1])) < 0) {
        sqlite3_result_error_nomem(context);
        return;
    }
    while ((sides & TRIM_LEFT) != 0 && len > 0) {
        size_t step = char_len(text, len);

        if (!charset_has(&set, text, step))
            break;
        text += step;
        len -= step;
    }
    while ((sides & TRIM_RIGHT) != 0 && len > 0) {
        size_t step = last_char_len(text, len);

        if (!charset_has(&set, text + len - step, step))
            break;
        len -= step;
    }
    sqlite3_free(set.wide);
    sqlite3_result_text(context, (const char *)text, (int)len, SQLITE_TRANSIENT);
}

/* SQLite's own function, asked on a connection beside, which is opened when first needed. */
struct beside {
    const char *name;
    const char *sql;
    bool is_json;
    struct sqlite3 *db;
    struct sqlite3_stmt *statement;
};

static void beside_free(void *argument)
{
    struct beside *beside = argument;

    (void)sqlite3_finalize(beside->statement);
    (void)sqlite3_close(beside->db);
    mem_free(beside);
}

static int beside_open(struct beside *beside)
{
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX;
    int rc;

    if (beside->statement != NULL)
        return SQLITE_OK;
    rc = beside->db == NULL ? sqlite3_open_v2(":memory:", &beside->db, flags, NULL) : SQLITE_OK;
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v3(
            beside->db, beside->sql, -1, SQLITE_PREPARE_PERSISTENT, &beside->statement, NULL);
    if (rc != SQLITE_OK) {
        (void)sqlite3_close(beside->db);
        beside->db = NULL;
    }
    return rc;
}

static void on_beside(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct beside *beside = sqlite3_user_data(context);
    int64_t product = (int64_t)sqlite3_value_bytes(values[0]) * sqlite3_value_bytes(values[1]);
    int rc;

    (void)count;
    if (product > FUNCTIONS_PRODUCT_MAX) {
        char text[96];

        (void)sqlite3_snprintf(
            sizeof(text), text, "%s: the arguments are too large together", beside->name);
        sqlite3_result_error(context, text, -1);
        return;
    }
    rc = beside_open(beside);
    if (rc != SQLITE_OK) {
        sqlite3_result_error_code(context, rc);
        return;
    }
    (void)sqlite3_limit(beside->db, SQLITE_LIMIT_LENGTH,
        sqlite3_limit(sqlite3_context_db_handle(context), SQLITE_LIMIT_LENGTH, -1));
    for (int i = 0; i < 2 && rc == SQLITE_OK; i++)
        rc = sqlite3_bind_value(beside->statement, i + 1, values[i]);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(beside->statement);
    if (rc == SQLITE_ROW) {
        sqlite3_result_value(context, sqlite3_column_value(beside->statement, 0));
        if (beside->is_json)
            sqlite3_result_subtype(context, 'J');
    } else if ((rc & 0xff) == SQLITE_ERROR) {
        sqlite3_result_error(context, sqlite3_errmsg(beside->db), -1);
    } else {
        sqlite3_result_error_code(context, rc);
    }
    (void)sqlite3_reset(beside->statement);
    (void)sqlite3_clear_bindings(beside->statement);
}

static int register_beside(struct sqlite3 *db, const char *name, const char *sql, bool is_json)
{
    struct beside *beside = mem_zalloc(sizeof(*beside));
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;

#ifdef SQLITE_RESULT_SUBTYPE
    flags |= is_json ? SQLITE_RESULT_SUBTYPE : 0;
#endif
    *beside = (struct beside){.name = name, .sql = sql, .is_json = is_json};
    return sqlite3_create_function_v2(
        db, name, 2, flags, beside, on_beside, NULL, NULL, beside_free);
}

int functions_register(struct sqlite3 *db, struct err *ret_err)
{
    static unsigned sides[] = {0, TRIM_LEFT, TRIM_RIGHT, TRIM_LEFT | TRIM_RIGHT};
    static const struct {
        const char *name;
        int count;
        unsigned *data;
        void (*run)(sqlite3_context *, int, sqlite3_value **);
    } linear[] = {
        {"instr", 2, &sides[0], on_instr},
        {"replace", 3, &sides[0], on_replace},
        {"trim", 2, &sides[TRIM_LEFT | TRIM_RIGHT], on_trim},
        {"ltrim", 2, &sides[TRIM_LEFT], on_trim},
        {"rtrim", 2, &sides[TRIM_RIGHT], on_trim},
    };
    /* What this SQLite does not have it does not get. */
    static const struct {
        const char *name;
        const char *sql;
        bool is_json;
        int since;
    } besides[] = {
        {"unhex", "SELECT unhex(?1, ?2)", false, 3041000},
        {"json_patch", "SELECT json_patch(?1, ?2)", true, 3018000},
        {"jsonb_patch", "SELECT jsonb_patch(?1, ?2)", false, 3045000},
    };
    int rc = SQLITE_OK;

    for (size_t i = 0; i < ARRAY_LEN(linear) && rc == SQLITE_OK; i++)
        rc = sqlite3_create_function_v2(db, linear[i].name, linear[i].count,
            SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, linear[i].data, linear[i].run,
            NULL, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(besides) && rc == SQLITE_OK; i++) {
        if (sqlite3_libversion_number() >= besides[i].since)
            rc = register_beside(db, besides[i].name, besides[i].sql, besides[i].is_json);
    }
    return rc == SQLITE_OK ? 0 : sql_err_set(ret_err, db, rc);
}
