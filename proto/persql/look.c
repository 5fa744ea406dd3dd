#include "proto/persql/look.h"

/* May run more than once: everything is read anew. */
static int run(struct sqlite3 *db, void *argument, struct err *err)
{
    struct look *look = argument;
    struct arena *arena = &look->x->arena;

    if (introspect_schema(db, look->x->principal, look->detail, arena, &look->schema, err) < 0)
        return -1;
    return !look->wants_descriptions
               ? 0
               : descriptions_read(db, arena, &look->descriptions, &look->description_count, err);
}

static void on_done(struct request *request)
{
    struct exchange *x = request->owner;
    struct look *look = x->state;

    if (request->err.code != ERR_NONE)
        exchange_fail(x, &request->err);
    else
        look->answer(x, look);
}

void look_start(struct exchange *x, unsigned detail, bool wants_descriptions,
    void (*answer)(struct exchange *x, const struct look *look))
{
    struct look *look = persql_zalloc(x, sizeof(*look));

    if (look == NULL)
        return;
    look->x = x;
    look->detail = detail;
    look->wants_descriptions = wants_descriptions;
    look->answer = answer;
    persql_run_procedure(x, REQUEST_READ_PROCEDURE, run, look, on_done);
}

struct str look_description(const struct look *look, struct str table, struct str column)
{
    return descriptions_find(look->descriptions, look->description_count, table, column);
}
