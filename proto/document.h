/* Request bodies, read without knowing whether they are JSON or MessagePack.
 *
 * Two ways: token by token (query and batch: no tree, no allocation), or as a tree in the arena
 * (small bodies of the admin routes).
 *
 *     object { key value, key value ... }      TOKEN_OBJECT TOKEN_KEY value ... TOKEN_OBJECT_END
 *
 * Texts are views into the body or in the arena: both must outlive them. Sans-I/O; any thread. */
#ifndef PROTO_DOCUMENT_H
#define PROTO_DOCUMENT_H

#include "proto/json.h"
#include "proto/msgpack.h"

enum body_format { BODY_JSON, BODY_MSGPACK };

struct document {
    enum body_format format;
    enum token token; /* the last one */
    /* Of the last token. */
    int64_t integer;
    double real;
    struct str text;
    struct arena *arena;
    union {
        struct json_reader json;
        struct msgpack_reader msgpack;
    };
};

/* ERR_INVALID_MSGPACK, ERR_TOO_LARGE; JSON's errors come with the tokens. */
int document_init(struct document *document, enum body_format format, struct str body,
    unsigned depth_max, struct arena *arena, struct err *ret_err) MUST_CHECK;
/* The next token; TOKEN_INVALID sticks. */
enum token document_next(struct document *document);
/* What TOKEN_INVALID was: ERR_INVALID_JSON (with the byte), ERR_INVALID_MSGPACK. Returns -1. */
int document_error(const struct document *document, struct err *ret_err);
/* Passes over the value that begins with the token just read. */
int document_skip(struct document *document, struct err *ret_err) MUST_CHECK;
/* Reads the end; anything else is an error. */
int document_end(struct document *document, struct err *ret_err) MUST_CHECK;
/* "a string", "an array" ...: for messages. */
const char *token_name(enum token token);

/* True when `key` is `name` (camelCase) or its snake_case form. */
bool key_is(struct str key, const char *name);

/* ---- as a tree ---- */

struct node {
    enum token type; /* TOKEN_OBJECT and TOKEN_ARRAY stand for the whole */
    union {
        int64_t integer;
        double real;
        struct str text;
        size_t count; /* of members */
    };
    struct str key;          /* of an object's member */
    const struct node *next; /* sibling */
    const struct node *first;
};

/* The whole body. An empty body is an empty object when `empty_ok`. ERR_INVALID_JSON,
 * ERR_BAD_REQUEST (not an object), ERR_TOO_LARGE. */
int document_read_object(enum body_format format, struct str body, unsigned depth_max,
    bool empty_ok, struct arena *arena, const struct node **ret_root, struct err *ret_err)
    MUST_CHECK;

/* The member with that name (or its snake_case form), NULL when absent. The last of several counts.
 */
const struct node *node_find(const struct node *object, const char *name);
/* The same; null is absent too. */
const struct node *node_get(const struct node *object, const char *name);
/* Typed members: *ret_… is untouched when absent. ERR_BAD_REQUEST naming the member when it is of
 * another type. Numbers: integers, and digits in a string. */
int node_string(const struct node *object, const char *name, struct str *ret_text,
    struct err *ret_err) MUST_CHECK;
int node_u64(const struct node *object, const char *name, uint64_t *ret_value, struct err *ret_err)
    MUST_CHECK;
int node_bool(const struct node *object, const char *name, bool *ret_value, struct err *ret_err)
    MUST_CHECK;
/* An array of strings, or one string. */
int node_strings(const struct node *object, const char *name, struct arena *arena,
    const struct str **ret_texts, size_t *ret_count, struct err *ret_err) MUST_CHECK;
/* Milliseconds since 1970 in a number, or an ISO-8601 text; null: 0. *ret_given: it was there. */
int node_time(const struct node *object, const char *name, bool *ret_given, int64_t *ret_wall_ms,
    struct err *ret_err) MUST_CHECK;
/* Writes the tree as JSON. */
void node_write_json(const struct node *node, struct buf *out);

#endif
