#include "proto/document.h"

#include "tenants/base/clock.h"

int document_init(struct document *d, enum body_format format, struct str body, unsigned depth_max,
    struct arena *arena, struct err *ret_err)
{
    d->format = format;
    d->token = TOKEN_END;
    d->arena = arena;
    if (format == BODY_MSGPACK)
        return msgpack_reader_init(&d->msgpack, body, depth_max, arena, ret_err);
    json_reader_init(&d->json, body, depth_max, arena);
    return 0;
}

enum token document_next(struct document *d)
{
    if (likely(d->format == BODY_JSON)) {
        d->token = json_next(&d->json);
        d->integer = d->json.integer;
        d->real = d->json.real;
        d->text = d->json.text;
    } else {
        d->token = msgpack_next(&d->msgpack);
        d->integer = d->msgpack.integer;
        d->real = d->msgpack.real;
        d->text = d->msgpack.text;
    }
    return d->token;
}

int document_error(const struct document *d, struct err *ret_err)
{
    if (arena_overflowed(d->arena))
        return err_set(ret_err, ERR_TOO_LARGE, "the request needs too much memory");
    if (d->format == BODY_MSGPACK)
        return err_set(ret_err, ERR_INVALID_MSGPACK, "the body holds %s",
            d->msgpack.error == NULL ? "something unexpected" : d->msgpack.error);
    return err_set(ret_err, ERR_INVALID_JSON, "the body is not JSON: %s at byte %zu",
        d->json.error == NULL ? "something unexpected" : d->json.error, d->json.error_offset);
}

int document_skip(struct document *d, struct err *ret_err)
{
    unsigned depth = 0;

    for (;;) {
        switch (d->token) {
        case TOKEN_INVALID:
            return document_error(d, ret_err);
        case TOKEN_ARRAY:
        case TOKEN_OBJECT:
            depth++;
            break;
        case TOKEN_ARRAY_END:
        case TOKEN_OBJECT_END:
            depth--;
            break;
        case TOKEN_END:
        case TOKEN_NULL:
        case TOKEN_FALSE:
        case TOKEN_TRUE:
        case TOKEN_INTEGER:
        case TOKEN_REAL:
        case TOKEN_STRING:
        case TOKEN_BLOB:
        case TOKEN_BAD_TEXT:
        case TOKEN_KEY:
        default:
            break;
        }
        if (depth == 0)
            return 0;
        (void)document_next(d);
    }
}

int document_end(struct document *d, struct err *ret_err)
{
    return document_next(d) == TOKEN_END ? 0 : document_error(d, ret_err);
}

const char *token_name(enum token token)
{
    switch (token) {
    case TOKEN_NULL:
        return "null";
    case TOKEN_FALSE:
    case TOKEN_TRUE:
        return "a boolean";
    case TOKEN_INTEGER:
    case TOKEN_REAL:
        return "a number";
    case TOKEN_STRING:
    case TOKEN_KEY:
    case TOKEN_BAD_TEXT:
        return "a string";
    case TOKEN_BLOB:
        return "a blob";
    case TOKEN_ARRAY:
    case TOKEN_ARRAY_END:
        return "an array";
    case TOKEN_OBJECT:
    case TOKEN_OBJECT_END:
        return "an object";
    case TOKEN_INVALID:
    case TOKEN_END:
    default:
        return "nothing";
    }
}

bool key_is(struct str key, const char *name)
{
    size_t at = 0;

    for (; *name != '\0'; name++) {
        char c = *name;

        if (at >= key.len)
            return false;
        if (c >= 'A' && c <= 'Z' && key.ptr[at] == '_') {
            at++;
            c = (char)(c + 32);
        }
        if (at >= key.len || key.ptr[at++] != c)
            return false;
    }
    return at == key.len;
}

/* ---- as a tree ---- */

static struct node *new_node(struct document *d, struct err *ret_err)
{
    struct node *node = arena_zalloc(d->arena, sizeof(*node));

    if (node == NULL) {
        (void)err_set(ret_err, ERR_TOO_LARGE, "the request needs too much memory");
        return NULL;
    }
    node->type = d->token;
    if (d->token == TOKEN_INTEGER)
        node->integer = d->integer;
    else if (d->token == TOKEN_REAL)
        node->real = d->real;
    else if (d->token == TOKEN_STRING || d->token == TOKEN_BLOB || d->token == TOKEN_BAD_TEXT)
        node->text = d->text;
    return node;
}

/* The value whose first token was read. Recursion is bounded by the depth limit. */
static struct node *read_node(struct document *d, struct err *ret_err)
{
    struct node *node = new_node(d, ret_err);
    const struct node **link;

    if (node == NULL || (d->token != TOKEN_OBJECT && d->token != TOKEN_ARRAY))
        return node;
    link = &node->first;
    for (;;) {
        struct str key = {.ptr = NULL};
        struct node *child;

        (void)document_next(d);
        if (d->token == TOKEN_OBJECT_END || d->token == TOKEN_ARRAY_END)
            return node;
        if (d->token == TOKEN_KEY) {
            key = d->text;
            (void)document_next(d);
        }
        if (d->token == TOKEN_INVALID) {
            (void)document_error(d, ret_err);
            return NULL;
        }
        child = read_node(d, ret_err);
        if (child == NULL)
            return NULL;
        child->key = key;
        *link = child;
        link = &child->next;
        node->count++;
    }
}

int document_read_object(enum body_format format, struct str body, unsigned depth_max,
    bool empty_ok, struct arena *arena, const struct node **ret_root, struct err *ret_err)
{
    static const struct node nothing = {.type = TOKEN_OBJECT};
    struct document d;
    const struct node *root;

    if (body.len == 0 && empty_ok) {
        *ret_root = &nothing;
        return 0;
    }
    if (document_init(&d, format, body, depth_max, arena, ret_err) < 0)
        return -1;
    if (document_next(&d) == TOKEN_INVALID)
        return document_error(&d, ret_err);
    if (d.token != TOKEN_OBJECT)
        return err_set(
            ret_err, ERR_BAD_REQUEST, "the body must be an object, not %s", token_name(d.token));
    root = read_node(&d, ret_err);
    if (root == NULL || document_end(&d, ret_err) < 0)
        return -1;
    *ret_root = root;
    return 0;
}

const struct node *node_find(const struct node *object, const char *name)
{
    const struct node *found = NULL;

    if (object == NULL || object->type != TOKEN_OBJECT)
        return NULL;
    for (const struct node *node = object->first; node != NULL; node = node->next) {
        if (key_is(node->key, name))
            found = node;
    }
    return found;
}

const struct node *node_get(const struct node *object, const char *name)
{
    const struct node *node = node_find(object, name);

    return node == NULL || node->type == TOKEN_NULL ? NULL : node;
}

static int wrong(const struct node *node, const char *name, const char *want, struct err *ret_err)
{
    return err_set(
        ret_err, ERR_BAD_REQUEST, "'%s' must be %s, not %s", name, want, token_name(node->type));
}

int node_string(
    const struct node *object, const char *name, struct str *ret_text, struct err *ret_err)
{
    const struct node *node = node_get(object, name);

    if (node == NULL)
        return 0;
    if (node->type != TOKEN_STRING)
        return wrong(node, name, "a string", ret_err);
    *ret_text = node->text;
    return 0;
}

int node_u64(const struct node *object, const char *name, uint64_t *ret_value, struct err *ret_err)
{
    const struct node *node = node_get(object, name);

    if (node == NULL)
        return 0;
    if (node->type == TOKEN_STRING && str_to_u64(node->text, ret_value) == 0)
        return 0;
    if (node->type == TOKEN_REAL && node->real >= 0 && node->real < 9007199254740992.0 &&
        (double)(uint64_t)node->real == node->real) {
        *ret_value = (uint64_t)node->real;
        return 0;
    }
    if (node->type != TOKEN_INTEGER || node->integer < 0)
        return wrong(node, name, "a whole number, 0 or more", ret_err);
    *ret_value = (uint64_t)node->integer;
    return 0;
}

int node_bool(const struct node *object, const char *name, bool *ret_value, struct err *ret_err)
{
    const struct node *node = node_get(object, name);

    if (node == NULL)
        return 0;
    if (node->type == TOKEN_INTEGER && (node->integer == 0 || node->integer == 1))
        *ret_value = node->integer == 1;
    else if (node->type == TOKEN_TRUE || node->type == TOKEN_FALSE)
        *ret_value = node->type == TOKEN_TRUE;
    else
        return wrong(node, name, "true or false", ret_err);
    return 0;
}

int node_strings(const struct node *object, const char *name, struct arena *arena,
    const struct str **ret_texts, size_t *ret_count, struct err *ret_err)
{
    const struct node *node = node_get(object, name);
    struct str *texts;
    size_t count = 0;

    if (node == NULL)
        return 0;
    if (node->type == TOKEN_STRING) {
        *ret_texts = &node->text;
        *ret_count = 1;
        return 0;
    }
    if (node->type != TOKEN_ARRAY)
        return wrong(node, name, "an array of strings", ret_err);
    texts = arena_array(arena, node->count + 1, sizeof(*texts));
    if (texts == NULL)
        return err_set(ret_err, ERR_TOO_LARGE, "the request needs too much memory");
    for (const struct node *item = node->first; item != NULL; item = item->next) {
        if (item->type != TOKEN_STRING)
            return wrong(item, name, "an array of strings", ret_err);
        texts[count++] = item->text;
    }
    *ret_texts = texts;
    *ret_count = count;
    return 0;
}

int node_time(const struct node *object, const char *name, bool *ret_given, int64_t *ret_wall_ms,
    struct err *ret_err)
{
    const struct node *node = node_find(object, name);

    if (node == NULL)
        return 0;
    *ret_given = true;
    if (node->type == TOKEN_NULL) {
        *ret_wall_ms = 0;
        return 0;
    }
    if (node->type == TOKEN_INTEGER && node->integer >= 0) {
        *ret_wall_ms = node->integer;
        return 0;
    }
    if (node->type == TOKEN_STRING &&
        clock_parse_iso8601(node->text.ptr, node->text.len, ret_wall_ms) == 0)
        return 0;
    return err_set(ret_err, ERR_BAD_REQUEST,
        "'%s' must be a time like 2026-05-05T12:30:00.000Z, or milliseconds since 1970", name);
}

void node_write_json(const struct node *node, struct buf *out)
{
    bool object = node->type == TOKEN_OBJECT;
    bool first = true;

    switch (node->type) {
    case TOKEN_FALSE:
        buf_literal(out, "false");
        return;
    case TOKEN_TRUE:
        buf_literal(out, "true");
        return;
    case TOKEN_INTEGER:
        json_write_integer(out, node->integer);
        return;
    case TOKEN_REAL:
        json_write_real(out, node->real);
        return;
    case TOKEN_STRING:
        json_write_string(out, node->text);
        return;
    case TOKEN_ARRAY:
    case TOKEN_OBJECT:
        break;
    case TOKEN_INVALID:
    case TOKEN_END:
    case TOKEN_NULL:
    case TOKEN_BLOB:
    case TOKEN_BAD_TEXT:
    case TOKEN_ARRAY_END:
    case TOKEN_KEY:
    case TOKEN_OBJECT_END:
    default:
        buf_literal(out, "null");
        return;
    }
    buf_char(out, object ? '{' : '[');
    for (const struct node *child = node->first; child != NULL; child = child->next) {
        if (!first)
            buf_char(out, ',');
        first = false;
        if (object) {
            json_write_string(out, child->key);
            buf_char(out, ':');
        }
        node_write_json(child, out);
    }
    buf_char(out, object ? '}' : ']');
}
