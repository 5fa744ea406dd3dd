/* MessagePack: any bytes are refused or read to the end in bounded memory; what is accepted is
 * written again through the encoder and reads back to the same JSON. */
#include "proto/encoder.h"
#include "proto/values.h"
#include "tenants/base/check.h"
#include "tests/fuzz/target.h"

#define ARENA_BYTES (8U << 20)

/* Writes the tree as MessagePack. */
static void write_node(struct encoder *e, const struct node *node)
{
    switch (node->type) {
    case TOKEN_FALSE:
    case TOKEN_TRUE:
        encoder_bool(e, node->type == TOKEN_TRUE);
        return;
    case TOKEN_INTEGER:
        encoder_integer(e, node->integer);
        return;
    case TOKEN_REAL:
        encoder_real(e, node->real);
        return;
    case TOKEN_STRING:
        encoder_string(e, node->text);
        return;
    case TOKEN_ARRAY:
    case TOKEN_OBJECT:
        break;
    case TOKEN_NULL:
    case TOKEN_BLOB:
    case TOKEN_BAD_TEXT:
    case TOKEN_INVALID:
    case TOKEN_END:
    case TOKEN_ARRAY_END:
    case TOKEN_KEY:
    case TOKEN_OBJECT_END:
    default:
        encoder_null(e);
        return;
    }
    if (node->type == TOKEN_ARRAY)
        encoder_array(e);
    else
        encoder_object(e);
    for (const struct node *child = node->first; child != NULL; child = child->next) {
        if (node->type == TOKEN_OBJECT)
            encoder_key_str(e, child->key);
        write_node(e, child);
    }
    encoder_end(e);
}

static bool read_tree(struct str text, struct arena *arena, const struct node **ret_root)
{
    struct err err = ERR_INIT;

    return document_read_object(
               BODY_MSGPACK, text, ENCODER_DEPTH_MAX - 2, false, arena, ret_root, &err) == 0;
}

static void round_trip(struct str text, struct arena *arena)
{
    const struct node *root = NULL;
    const struct node *again = NULL;
    struct encoder e;
    struct buf out;
    struct buf first;
    struct buf second;

    if (!read_tree(text, arena, &root))
        return;
    buf_init(&out, 0);
    buf_init(&first, 0);
    buf_init(&second, 0);
    encoder_init(&e, &out, BODY_MSGPACK);
    write_node(&e, root);
    CHECK(read_tree(buf_view(&out), arena, &again));
    node_write_json(root, &first);
    node_write_json(again, &second);
    CHECK(str_equal(buf_view(&first), buf_view(&second)));
    buf_fini(&out);
    buf_fini(&first);
    buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str text = {(const char *)bytes, len};
    const struct parameter *parameters = NULL;
    unsigned count = 0;
    struct err err = ERR_INIT;
    struct document d;
    struct arena arena;

    arena_init(&arena, ARENA_BYTES);
    if (document_init(&d, BODY_MSGPACK, text, 20, &arena, &err) < 0) {
        CHECK(err.code == ERR_INVALID_MSGPACK || err.code == ERR_TOO_LARGE);
    } else {
        (void)document_next(&d);
        if (document_skip(&d, &err) == 0)
            CHECK(document_next(&d) == TOKEN_END);
        round_trip(text, &arena);
        if (document_init(&d, BODY_MSGPACK, text, 20, &arena, &err) == 0) {
            (void)document_next(&d);
            if (values_read_parameters(&d, &parameters, &count, &err) < 0)
                CHECK(err.code != ERR_NONE);
        }
    }
    arena_fini(&arena);
    return 0;
}
