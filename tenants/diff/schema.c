/* Objects of both schemas, matched by type and name. */
#include <sqlite3.h>
#include <stdlib.h>

#include "tenants/base/mem.h"
#include "tenants/diff/internal.h"
#include "tenants/guard.h"
#include "tenants/sql_error.h"

struct objects {
    struct diff_object *items; /* owned */
    uint32_t count, capacity;
};

static const char *text(struct diff *diff, struct sqlite3_stmt *statement, int column)
{
    const char *bytes = (const char *)sqlite3_column_text(statement, column);

    return arena_cstr(&diff->arena, str_from(bytes == NULL ? "" : bytes));
}

static bool is_left_out(const struct side *side, const char *name, const char *table)
{
    const struct shape *shape = shapes_find(&side->shapes, table);

    return guard_is_reserved(str_from(name)) || guard_is_reserved(str_from(table)) ||
           str_starts_with_nocase(str_from(name), "sqlite_") ||
           (shape != NULL && shape->kind == SHAPE_SHADOW);
}

/* Their SQL is in `sql_before` for now. */
static int load(
    struct diff *diff, const struct side *side, struct objects *objects, struct err *ret_err)
{
    struct sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(side->db,
        "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL "
        "ORDER BY instr('table index view trigger', type), name COLLATE NOCASE",
        -1, &statement, NULL);

    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        struct diff_object object;

        rc = sqlite3_step(statement);
        if (rc != SQLITE_ROW)
            break;
        object = (struct diff_object){.type = text(diff, statement, 0),
            .name = text(diff, statement, 1),
            .table = text(diff, statement, 2),
            .sql_before = text(diff, statement, 3)};
        if (arena_overflowed(&diff->arena))
            break;
        if (is_left_out(side, object.name, object.table))
            continue;
        if (objects->count == objects->capacity) {
            objects->capacity = MAX(objects->capacity * 2, 64U);
            objects->items = mem_realloc(objects->items, objects->capacity * sizeof(object));
        }
        objects->items[objects->count++] = object;
    }
    (void)sqlite3_finalize(statement);
    if (arena_overflowed(&diff->arena))
        return diff_no_room(ret_err);
    return rc == SQLITE_DONE ? 0 : sql_err_set(ret_err, side->db, rc);
}

static int rank(const char *type)
{
    static const char *const types[] = {"table", "index", "view"};
    int at = 0;

    while (at < (int)ARRAY_LEN(types) && strcmp(types[at], type) != 0)
        at++;
    return at;
}

static int order_of(const struct diff_object *a, const struct diff_object *b)
{
    int by_type = rank(a->type) - rank(b->type);

    return by_type != 0 ? by_type : sqlite3_stricmp(a->name, b->name);
}

static uint32_t merge(
    const struct objects *before, const struct objects *after, struct diff_object *out)
{
    uint32_t count = 0, i = 0, j = 0;

    while (i < before->count || j < after->count) {
        int order = i == before->count  ? 1
                    : j == after->count ? -1
                                        : order_of(&before->items[i], &after->items[j]);
        struct diff_object object;

        if (order < 0) {
            object = before->items[i++];
            object.change = DIFF_REMOVED;
        } else {
            object = after->items[j++];
            object.sql_after = object.sql_before;
            object.sql_before = order > 0 ? NULL : before->items[i++].sql_before;
            object.change = order > 0 ? DIFF_ADDED : DIFF_CHANGED;
        }
        if (order != 0 || strcmp(object.sql_before, object.sql_after) != 0)
            out[count++] = object;
    }
    return count;
}

int diff_schema(struct diff *diff, const struct diff_object **ret_objects, size_t *ret_count,
    struct err *ret_err)
{
    struct objects before = {NULL, 0, 0}, after = {NULL, 0, 0};
    struct diff_object *out = NULL;
    int rc = load(diff, &diff->before, &before, ret_err);

    if (rc == 0)
        rc = load(diff, &diff->after, &after, ret_err);
    if (rc == 0) {
        out = arena_array(&diff->arena, (size_t)before.count + after.count + 1, sizeof(*out));
        rc = out == NULL ? diff_no_room(ret_err) : 0;
    }
    if (rc == 0 && out != NULL) {
        *ret_count = merge(&before, &after, out);
        *ret_objects = out;
    }
    mem_free(before.items);
    mem_free(after.items);
    return rc;
}
