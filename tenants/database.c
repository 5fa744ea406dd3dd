#include "tenants/database.h"

#include "tenants/base/check.h"
#include "tenants/base/mem.h"
#include "tenants/rate.h"
#include "tenants/usage.h"

static _Atomic(void (*)(struct actor *)) release_actor;

void database_on_release(void (*release)(struct actor *actor))
{
    atomic_store(&release_actor, release);
}

struct database *database_new(const struct database *from)
{
    size_t texts = from->slug.len + from->tenant_slug.len + from->access_name.len + 3;
    struct database *database = mem_alloc(sizeof(*database) + texts);
    char *at = (char *)(database + 1);

    memcpy(database, from, sizeof(*database));
    memcpy(at, from->slug.ptr, from->slug.len);
    at[from->slug.len] = '\0';
    database->slug.ptr = at;
    at += from->slug.len + 1;
    memcpy(at, from->tenant_slug.ptr, from->tenant_slug.len);
    at[from->tenant_slug.len] = '\0';
    database->tenant_slug.ptr = at;
    at += from->tenant_slug.len + 1;
    if (from->access_name.len > 0)
        memcpy(at, from->access_name.ptr, from->access_name.len);
    at[from->access_name.len] = '\0';
    database->access_name.ptr = at;
    atomic_init(&database->references, 1);
    atomic_init(&database->actor, NULL);
    return database;
}

struct database *database_ref(struct database *database)
{
    CHECK(atomic_fetch_add_explicit(&database->references, 1, memory_order_relaxed) > 0);
    return database;
}

void database_unref(struct database *database)
{
    struct actor *actor;
    uint32_t before;

    if (database == NULL)
        return;
    before = atomic_fetch_sub_explicit(&database->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before > 1)
        return;
    actor = atomic_load(&database->actor);
    if (actor != NULL && atomic_load(&release_actor) != NULL)
        atomic_load (&release_actor)(actor);
    rate_bucket_unref(database->tenant_rate);
    usage_unref(database->usage);
    mem_free(database);
}
