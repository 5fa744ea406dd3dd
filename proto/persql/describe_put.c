/* PUT describe: stores what people say about the database, its tables and columns. */
#include "proto/persql/look.h"

struct writing {
    struct description *items;
    size_t count;
    size_t capacity;
};

static int run(struct sqlite3 *db, void *argument, struct err *err)
{
    const struct writing *writing = argument;

    return descriptions_write(db, writing->items, writing->count, err);
}

static void on_done(struct request *request)
{
    struct exchange *x = request->owner;
    const struct writing *writing = x->state;
    struct encoder e;

    if (request->err.code != ERR_NONE) {
        exchange_fail(x, &request->err);
        return;
    }
    persql_begin(x, &e);
    encoder_object(&e);
    encoder_key(&e, "updated");
    encoder_u64(&e, writing->count);
    encoder_end(&e);
    persql_finish(x, &e);
}

/* The member's text under (table, column); null or "" removes. Absent: nothing. */
static int add(struct writing *writing, const struct node *object, const char *member,
    struct str table, struct str column, struct err *ret_err)
{
    const struct node *node = node_find(object, member);
    struct str text = STR_LITERAL("");

    if (node == NULL)
        return 0;
    if (node_string(object, member, &text, ret_err) < 0)
        return -1;
    if (text.len > DESCRIPTION_BYTES_MAX)
        return err_set(
            ret_err, ERR_BAD_REQUEST, "a description may have %d bytes", DESCRIPTION_BYTES_MAX);
    if (writing->count == writing->capacity)
        return err_set(
            ret_err, ERR_BAD_REQUEST, "more than %d descriptions at once", DESCRIPTIONS_MAX);
    writing->items[writing->count++] =
        (struct description){.table = table, .column = column, .text = text};
    return 0;
}

static int name_of(
    const struct node *object, const char *word, struct str *ret_name, struct err *ret_err)
{
    if (object->type != TOKEN_OBJECT)
        return err_set(ret_err, ERR_BAD_REQUEST, "a %s to describe must be an object", word);
    if (node_string(object, word, ret_name, ret_err) < 0)
        return -1;
    if (ret_name->len == 0 && node_string(object, "name", ret_name, ret_err) < 0)
        return -1;
    return ret_name->len > 0
               ? 0
               : err_set(ret_err, ERR_BAD_REQUEST, "a %s to describe has no '%s'", word, word);
}

static int read_table(struct writing *writing, const struct node *node, struct err *ret_err)
{
    struct str table = {.ptr = NULL};
    const struct node *columns;

    if (name_of(node, "table", &table, ret_err) < 0 ||
        add(writing, node, "description", table, STR_LITERAL(""), ret_err) < 0)
        return -1;
    columns = node_get(node, "columns");
    if (columns == NULL)
        return 0;
    if (columns->type != TOKEN_ARRAY)
        return err_set(ret_err, ERR_BAD_REQUEST, "'columns' must be an array");
    for (const struct node *item = columns->first; item != NULL; item = item->next) {
        struct str column = {.ptr = NULL};

        if (name_of(item, "column", &column, ret_err) < 0 ||
            add(writing, item, "description", table, column, ret_err) < 0)
            return -1;
    }
    return 0;
}

static int read_body(struct writing *writing, const struct node *body, struct err *ret_err)
{
    const struct node *tables = node_get(body, "tables");

    if (add(writing, body, "databaseDescription", STR_LITERAL(""), STR_LITERAL(""), ret_err) < 0)
        return -1;
    if (tables == NULL)
        return node_get(body, "table") == NULL ? 0 : read_table(writing, body, ret_err);
    if (tables->type != TOKEN_ARRAY)
        return err_set(ret_err, ERR_BAD_REQUEST, "'tables' must be an array");
    for (const struct node *node = tables->first; node != NULL; node = node->next) {
        if (read_table(writing, node, ret_err) < 0)
            return -1;
    }
    return 0;
}

/* Room for every description the body can hold. */
static size_t count_nodes(const struct node *node)
{
    size_t count = 1;

    if (node->type != TOKEN_OBJECT && node->type != TOKEN_ARRAY)
        return 0;
    for (const struct node *child = node->first; child != NULL; child = child->next)
        count += count_nodes(child);
    return count;
}

void persql_describe_put(struct exchange *x)
{
    const struct node *body = persql_body(x, false);
    struct writing *writing = body == NULL ? NULL : persql_zalloc(x, sizeof(*writing));
    struct err err = ERR_INIT;

    if (writing == NULL)
        return;
    writing->capacity = MIN(count_nodes(body), (size_t)DESCRIPTIONS_MAX);
    writing->items = persql_array(x, writing->capacity, sizeof(*writing->items));
    if (writing->items == NULL)
        return;
    if (read_body(writing, body, &err) < 0) {
        exchange_fail(x, &err);
        return;
    }
    persql_run_procedure(x, REQUEST_PROCEDURE, run, writing, on_done);
}
