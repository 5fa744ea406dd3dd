/* The JSON reader against jansson: both accept, or both refuse; what is accepted is written and
 * read again to the same text. */
#include <jansson.h>

#include "proto/values.h"
#include "tenants/base/check.h"
#include "tests/fuzz/target.h"

#define DEPTH 100

/* What jansson refuses and RFC 8259 does not: numbers too large for a double, NUL in keys. */
static bool is_known_difference(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_numeric_overflow:
    case json_error_null_byte_in_key:
    case json_error_stack_overflow:
        return true;
    default:
        return false;
    }
}

static bool rewrite(struct str text, struct arena *arena, struct buf *out, bool *ret_too_deep)
{
    const struct node *root = NULL;
    struct err err = ERR_INIT;
    struct buf wrapped;
    bool good;

    /* Documents of handlers are objects: put any value into one. */
    buf_init(&wrapped, 0);
    buf_literal(&wrapped, "{\"v\":");
    buf_str(&wrapped, text);
    buf_char(&wrapped, '}');
    good = document_read_object(
               BODY_JSON, buf_view(&wrapped), DEPTH + 1, false, arena, &root, &err) == 0;
    if (good)
        node_write_json(root, out);
    *ret_too_deep = !good && strstr(err.msg, "deep") != NULL;
    /* The tree lives in the arena, its texts in `wrapped`. */
    buf_fini(&wrapped);
    return good;
}

static bool reads(struct str text, struct arena *arena, bool *ret_too_deep)
{
    struct document d;
    struct err err = ERR_INIT;
    bool good;

    CHECK(document_init(&d, BODY_JSON, text, DEPTH, arena, &err) == 0);
    (void)document_next(&d);
    good = document_skip(&d, &err) == 0 && document_end(&d, &err) == 0;
    if (!good)
        CHECK(d.json.error_offset <= text.len);
    *ret_too_deep = !good && strstr(err.msg, "deep") != NULL;
    return good;
}

static void read_as_parameters(struct str text, struct arena *arena)
{
    const struct parameter *parameters = NULL;
    struct document d;
    struct err err = ERR_INIT;
    unsigned count = 0;

    CHECK(document_init(&d, BODY_JSON, text, DEPTH, arena, &err) == 0);
    (void)document_next(&d);
    if (values_read_parameters(&d, &parameters, &count, &err) < 0)
        CHECK(err.code != ERR_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str text = {(const char *)bytes, len};
    json_error_t error;
    json_t *other = json_loadb(
        text.ptr, len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    struct arena arena;
    struct buf first;
    struct buf second;
    bool too_deep;
    bool good;

    arena_init(&arena, 64 << 20);
    buf_init(&first, 0);
    buf_init(&second, 0);
    good = reads(text, &arena, &too_deep);
    /* jansson passes over a NUL behind a number. */
    if (!too_deep && good != (other != NULL) && memchr(text.ptr, '\0', len) == NULL)
        CHECK(other == NULL && is_known_difference(&error));
    if (good && rewrite(text, &arena, &first, &too_deep)) {
        /* {"v":...} again; the outer object is one level more. */
        struct str inner = {first.bytes + 5, first.len - 6};

        CHECK(rewrite(inner, &arena, &second, &too_deep));
        CHECK(str_equal(buf_view(&first), buf_view(&second)));
    }
    read_as_parameters(text, &arena);
    json_decref(other);
    buf_fini(&first);
    buf_fini(&second);
    arena_fini(&arena);
    return 0;
}
