/* Two tables of the same make: open addressing with linear probing over entries that are found by a
 * keyed hash (SipHash, so that strangers cannot aim at one chain) and compared whole. The tokens'
 * key is the 43-character tail (a signed one's 32 bytes of SHA-256), compared in constant time; the
 * databases' is "tenant/segment", lowered. A third one holds the database that a principal means
 * when it names none.
 *
 * Invariants:
 *   1. An entry with a value owns one reference to it.
 *   2. No gap between an entry and its home slot: removal shifts later ones back.
 *   3. At most `bound` entries in a table of at least twice as many slots, so that probing ends.
 * Over the bound the hand goes round: an entry used since it last came by gets a second chance. */
#include "tenants/directory.h"

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/hash.h"
#include "tenants/base/list.h"
#include "tenants/base/mem.h"
#include "tenants/token.h"

#define ONLY_KEY_BYTES (SLUG_TENANT_MAX + 1 + (int)sizeof(uint64_t))
#define KEY_MAX (SLUG_TENANT_MAX + 1 + SLUG_SEGMENT_MAX)
#define SLOTS_MIN 32
#define UNDER_WAY_SLOTS 256 /* a power of two */

struct entry {
    uint64_t hash;
    void *value; /* owned reference; NULL: empty */
    char *key;   /* owned */
    uint64_t tenant_id;
    uint64_t generation;
    int64_t expires_wall_ms; /* 0: never */
    uint16_t key_len;
    bool used;
};

struct table {
    struct entry *entries;
    size_t capacity; /* a power of two */
    size_t count;
    size_t bound;
    size_t hand;
    void (*release)(void *value);
    bool secret; /* keys are compared in constant time and wiped */
    /* While this holds of an entry's tenant and generation, it is good. */
    bool (*is_current)(const struct catalogue *catalogue, uint64_t tenant_id, uint64_t generation);
};

struct directory {
    struct catalogue *catalogue;
    struct table tokens;
    struct table databases;
    struct table only;                      /* by tenant and principal */
    struct list under_way[UNDER_WAY_SLOTS]; /* directory_load.link, by hash */
    uint64_t hits;
    uint64_t misses;
    uint64_t evicted;
};

/* ---- the table ---- */

static void table_init(struct table *table, size_t bound, void (*release)(void *value), bool secret)
{
    *table =
        (struct table){.capacity = SLOTS_MIN, .bound = MAX(bound, (size_t)16), .release = release};
    table->secret = secret;
    table->is_current = catalogue_is_current;
    table->entries = mem_zalloc(table->capacity * sizeof(struct entry));
}

static void entry_clear(struct table *table, struct entry *entry)
{
    if (entry->value == NULL)
        return;
    table->release(entry->value);
    if (table->secret)
        explicit_bzero(entry->key, entry->key_len);
    mem_free(entry->key);
    *entry = (struct entry){.value = NULL};
}

static void table_fini(struct table *table)
{
    for (size_t i = 0; i < table->capacity; i++)
        entry_clear(table, &table->entries[i]);
    mem_free(table->entries);
    table->entries = NULL;
}

static bool same_key(
    const struct table *table, const struct entry *entry, uint64_t hash, struct str key)
{
    if (entry->hash != hash || entry->key_len != key.len)
        return false;
    return table->secret ? token_equal(entry->key, key.ptr, key.len)
                         : memcmp(entry->key, key.ptr, key.len) == 0;
}

/* The key's entry, or the empty one where it would go. */
static struct entry *find(const struct table *table, uint64_t hash, struct str key)
{
    size_t at = hash & (table->capacity - 1);

    while (table->entries[at].value != NULL && !same_key(table, &table->entries[at], hash, key))
        at = (at + 1) & (table->capacity - 1);
    return &table->entries[at];
}

/* Invariant 2: whoever may sit in the gap moves into it, which leaves another gap. */
static void table_remove(struct table *table, struct entry *entry)
{
    size_t mask = table->capacity - 1;
    size_t gap = (size_t)(entry - table->entries);

    entry_clear(table, entry);
    table->count--;
    for (size_t at = (gap + 1) & mask; table->entries[at].value != NULL; at = (at + 1) & mask) {
        size_t home = table->entries[at].hash & mask;

        if (((at - home) & mask) < ((at - gap) & mask))
            continue; /* its home lies after the gap */
        table->entries[gap] = table->entries[at];
        table->entries[at] = (struct entry){.value = NULL};
        gap = at;
    }
}

static void table_grow(struct table *table)
{
    struct entry *old = table->entries;
    size_t old_capacity = table->capacity;

    table->capacity *= 2;
    table->entries = mem_zalloc(table->capacity * sizeof(struct entry));
    for (size_t i = 0; i < old_capacity; i++) {
        size_t at = old[i].hash & (table->capacity - 1);

        if (old[i].value == NULL)
            continue;
        while (table->entries[at].value != NULL)
            at = (at + 1) & (table->capacity - 1);
        table->entries[at] = old[i];
    }
    mem_free(old);
    table->hand = 0;
}

/* Frees one place: what is outdated or was not used since the hand last came by. */
static void table_evict(struct directory *directory, struct table *table)
{
    for (;;) {
        struct entry *entry = &table->entries[table->hand];

        table->hand = (table->hand + 1) & (table->capacity - 1);
        if (entry->value == NULL)
            continue;
        if (entry->used &&
            table->is_current(directory->catalogue, entry->tenant_id, entry->generation)) {
            entry->used = false;
            continue;
        }
        table_remove(table, entry);
        directory->evicted++;
        return;
    }
}

/* Takes over a reference to the value. */
static void table_put(
    struct directory *directory, struct table *table, struct str key, const struct entry *filled)
{
    uint64_t hash = hash_str(key);
    struct entry *entry = find(table, hash, key);

    if (entry->value != NULL) {
        table->release(entry->value);
    } else {
        if (table->count >= table->bound)
            table_evict(directory, table);
        else if ((table->count + 1) * 2 > table->capacity)
            table_grow(table);
        entry = find(table, hash, key);
        entry->key = mem_strndup(key.ptr, key.len);
        entry->key_len = (uint16_t)key.len;
        entry->hash = hash;
        table->count++;
    }
    entry->value = filled->value;
    entry->tenant_id = filled->tenant_id;
    entry->generation = filled->generation;
    entry->expires_wall_ms = filled->expires_wall_ms;
    entry->used = true;
}

static void *table_get(struct directory *directory, struct table *table, struct str key)
{
    struct entry *entry = find(table, hash_str(key), key);

    if (entry->value != NULL &&
        (!table->is_current(directory->catalogue, entry->tenant_id, entry->generation) ||
            (entry->expires_wall_ms != 0 && entry->expires_wall_ms <= clock_wall_ms()))) {
        table_remove(table, entry);
        directory->misses++;
        return NULL;
    }
    if (entry->value == NULL) {
        directory->misses++;
        return NULL;
    }
    entry->used = true;
    directory->hits++;
    return entry->value;
}

/* ---- the directory ---- */

static void release_principal(void *value)
{
    principal_unref(value);
}

static void release_database(void *value)
{
    database_unref(value);
}

struct directory *directory_new(struct catalogue *catalogue)
{
    return directory_new_bounded(catalogue, DIRECTORY_TOKENS_MAX, DIRECTORY_DATABASES_MAX);
}

struct directory *directory_new_bounded(
    struct catalogue *catalogue, size_t tokens_max, size_t databases_max)
{
    struct directory *directory = mem_zalloc(sizeof(*directory));

    directory->catalogue = catalogue;
    for (size_t i = 0; i < UNDER_WAY_SLOTS; i++)
        list_init(&directory->under_way[i]);
    table_init(&directory->tokens, tokens_max, release_principal, true);
    table_init(&directory->databases, databases_max, release_database, false);
    table_init(&directory->only, tokens_max, release_database, false);
    directory->only.is_current = catalogue_has_same_databases;
    return directory;
}

void directory_free(struct directory *directory)
{
    if (directory == NULL)
        return;
    table_fini(&directory->tokens);
    table_fini(&directory->databases);
    table_fini(&directory->only);
    mem_free(directory);
}

/* "tenant/segment", lowered, into `out` (KEY_MAX). len 0: no such name can be. */
static struct str database_key(struct str tenant_slug, struct str segment, char *out)
{
    if (tenant_slug.len == 0 || tenant_slug.len > SLUG_TENANT_MAX || segment.len == 0 ||
        segment.len > SLUG_SEGMENT_MAX || str_find(tenant_slug, '/') < tenant_slug.len ||
        !slug_lower(tenant_slug, out, SLUG_TENANT_MAX) ||
        !slug_lower(segment, out + tenant_slug.len + 1, SLUG_SEGMENT_MAX))
        return str_make(out, 0);
    out[tenant_slug.len] = '/';
    return str_make(out, tenant_slug.len + 1 + segment.len);
}

struct principal *directory_token(struct directory *directory, struct str token)
{
    struct str prefix;
    struct str tail;

    if (token_parse(token, &prefix, &tail, NULL) < 0)
        return NULL;
    return table_get(directory, &directory->tokens, tail);
}

struct principal *directory_credentials(
    struct directory *directory, struct str text, struct str tenant_slug, struct str database_slug)
{
    uint64_t epoch = catalogue_verifier_epoch(directory->catalogue);
    unsigned char key[SIGNED_KEY_BYTES];
    struct str view = str_make((const char *)key, sizeof(key));
    struct principal *principal;

    if (!token_is_signed(text))
        return directory_token(directory, text);
    if (!token_signed_is_sound(text))
        return NULL;
    token_signed_key(text, tenant_slug, NULL, epoch, key);
    principal = table_get(directory, &directory->tokens, view);
    if (likely(principal != NULL))
        return principal;
    token_signed_key(text, tenant_slug, &database_slug, epoch, key);
    return table_get(directory, &directory->tokens, view);
}

struct database *directory_database(
    struct directory *directory, struct str tenant_slug, struct str database_slug)
{
    char text[KEY_MAX];
    struct str key = database_key(tenant_slug, database_slug, text);

    return key.len == 0 ? NULL : table_get(directory, &directory->databases, key);
}

/* Tenant and serial of the principal; of another name than any database's, as it is in another
 * table. */
static struct str only_key(
    struct str tenant_slug, const struct principal *principal, char out[ONLY_KEY_BYTES])
{
    if (tenant_slug.len == 0 || tenant_slug.len > SLUG_TENANT_MAX ||
        !slug_lower(tenant_slug, out, SLUG_TENANT_MAX))
        return str_make(out, 0);
    memcpy(out + tenant_slug.len, &principal->serial, sizeof(principal->serial));
    return str_make(out, tenant_slug.len + sizeof(principal->serial));
}

struct database *directory_only_database(
    struct directory *directory, struct str tenant_slug, const struct principal *principal)
{
    char text[ONLY_KEY_BYTES];
    struct str key = only_key(tenant_slug, principal, text);

    return key.len == 0 ? NULL : table_get(directory, &directory->only, key);
}

/* ---- loads ----
 *
 * The first load of a name is its leader; others of the same name and principal follow it. The
 * lists are the loop's alone: a load is linked when it begins and unlinked in directory_loaded(). A
 * leader answers its followers with its own result when that is still current; when it failed in a
 * way that may have changed since (the name was unknown), its first follower looks again, and leads
 * the rest.
 */

static void on_loaded(struct catalogue_call *call)
{
    struct directory_load *load = CONTAINER_OF(call, struct directory_load, call);

    if (call->err.code == ERR_NONE) {
        if (load->token.len > 0)
            load->principal = call->output;
        else
            load->database = call->output;
    }
    call->done = load->done;
    call->done(call);
}

/* The catalogue is asked; on_loaded() comes back. */
static void ask(struct directory *directory, struct directory_load *load)
{
    struct str prefix;
    struct str tail;

    /* Before the read: what changes from here on outdates it. */
    load->generation = catalogue_generation(directory->catalogue);
    load->call.done = on_loaded;
    if (load->token.len == 0) {
        load->database_lookup = (struct database_lookup_input){
            .tenant = load->tenant_slug, .segment = load->database_slug};
        catalogue_database_lookup(&load->call, &load->database_lookup);
        return;
    }
    if (token_is_signed(load->token)) {
        load->epoch = catalogue_verifier_epoch(directory->catalogue);
        load->signed_lookup = (struct signed_lookup){
            .token = load->token, .tenant = load->tenant_slug, .segment = load->database_slug};
        catalogue_signed_lookup(&load->call, &load->signed_lookup);
        return;
    }
    load->call.err = ERR_INIT;
    if (token_parse(load->token, &prefix, &tail, &load->call.err) < 0) {
        on_loaded(&load->call);
        return;
    }
    token_hash(tail, load->token_lookup.hash);
    catalogue_token_lookup(&load->call, &load->token_lookup);
}

static bool same_name(const struct directory_load *one, const struct directory_load *other)
{
    return one->hash == other->hash && one->call.principal == other->call.principal &&
           one->token.len == other->token.len &&
           token_equal(one->token.ptr, other->token.ptr, one->token.len) &&
           str_equal(one->tenant_slug, other->tenant_slug) &&
           str_equal(one->database_slug, other->database_slug);
}

static void begin_load(struct directory *directory, struct directory_load *load)
{
    struct list *under_way;

    load->principal = NULL;
    load->database = NULL;
    load->done = load->call.done;
    load->call.catalogue = directory->catalogue;
    load->hash =
        hash_str(load->token) ^ hash_str(load->tenant_slug) ^ (hash_str(load->database_slug) << 1);
    list_init(&load->link);
    list_init(&load->waiting);
    under_way = &directory->under_way[load->hash & (UNDER_WAY_SLOTS - 1)];
    LIST_FOREACH(item, under_way)
    {
        struct directory_load *leader = LIST_ENTRY(item, struct directory_load, link);

        if (same_name(leader, load)) {
            list_append(&leader->waiting, &load->link);
            return;
        }
    }
    list_append(under_way, &load->link);
    ask(directory, load);
}

void directory_load_token(struct directory *directory, struct directory_load *load)
{
    if (!token_is_signed(load->token)) {
        load->tenant_slug = STR_LITERAL("");
        load->database_slug = STR_LITERAL("");
    }
    load->call.principal = NULL;
    begin_load(directory, load);
}

void directory_load_database(struct directory *directory, struct directory_load *load)
{
    load->token = str_make(NULL, 0);
    begin_load(directory, load);
}

/* The leader's answer is good for one who asked after it did. */
static bool may_share(const struct directory *directory, const struct directory_load *leader)
{
    enum err_code code = leader->call.err.code;

    if (leader->principal != NULL)
        return catalogue_is_current(
            directory->catalogue, leader->principal->tenant_id, leader->generation);
    if (leader->database != NULL)
        return catalogue_has_same_databases(
            directory->catalogue, leader->database->tenant_id, leader->generation);
    /* Too much to do, a failing disk: asking again makes it worse. */
    return code == ERR_OVERLOADED || code == ERR_DRAINING || err_is_internal(code);
}

static void share(struct directory_load *leader, struct directory_load *load)
{
    if (leader->principal != NULL)
        load->principal = principal_ref(leader->principal);
    if (leader->database != NULL)
        load->database = database_ref(leader->database);
    load->generation = leader->generation;
    err_copy(&load->call.err, &leader->call.err);
    load->call.done = load->done;
    load->call.done(&load->call);
}

static void answer_waiting(struct directory *directory, struct directory_load *leader)
{
    struct directory_load *next;

    if (list_empty(&leader->waiting))
        return;
    if (may_share(directory, leader)) {
        while (!list_empty(&leader->waiting)) {
            next = LIST_FIRST(&leader->waiting, struct directory_load, link);
            list_remove(&next->link);
            share(leader, next);
        }
        return;
    }
    next = LIST_FIRST(&leader->waiting, struct directory_load, link);
    list_remove(&next->link);
    list_splice(&next->waiting, &leader->waiting);
    list_append(&directory->under_way[next->hash & (UNDER_WAY_SLOTS - 1)], &next->link);
    ask(directory, next);
}

static void cache(struct directory *directory, const struct directory_load *load)
{
    struct entry filled = {.generation = load->generation};
    unsigned char hash[SIGNED_KEY_BYTES];
    char text[KEY_MAX];
    struct str prefix;
    struct str key;

    if (load->principal != NULL) {
        key = str_make((const char *)hash, sizeof(hash));
        if (token_is_signed(load->token))
            token_signed_key(load->token, load->tenant_slug,
                load->principal->is_tenants ? NULL : &load->database_slug, load->epoch, hash);
        else if (token_parse(load->token, &prefix, &key, NULL) < 0)
            return;
        filled.value = principal_ref(load->principal);
        filled.tenant_id = load->principal->tenant_id;
        filled.expires_wall_ms = load->principal->expires_wall_ms;
        table_put(directory, &directory->tokens, key, &filled);
    } else if (load->database != NULL && load->database_slug.len == 0) {
        key = only_key(load->tenant_slug, load->call.principal, text);
        if (key.len == 0)
            return;
        filled.value = database_ref(load->database);
        filled.tenant_id = load->database->tenant_id;
        filled.expires_wall_ms = load->database->expires_wall_ms;
        table_put(directory, &directory->only, key, &filled);
    } else if (load->database != NULL) {
        key = database_key(load->tenant_slug, load->database_slug, text);
        if (key.len == 0)
            return;
        filled.value = database_ref(load->database);
        filled.tenant_id = load->database->tenant_id;
        filled.expires_wall_ms = load->database->expires_wall_ms;
        table_put(directory, &directory->databases, key, &filled);
    }
}

void directory_loaded(struct directory *directory, struct directory_load *load)
{
    list_remove(&load->link); /* a follower is in no list any more */
    cache(directory, load);
    answer_waiting(directory, load);
}

static bool table_is_sound(const struct table *table)
{
    size_t count = 0;

    for (size_t i = 0; i < table->capacity; i++) {
        const struct entry *entry = &table->entries[i];

        if (entry->value == NULL)
            continue;
        if (find(table, entry->hash, str_make(entry->key, entry->key_len)) != entry)
            return false;
        count++;
    }
    return count == table->count && count <= table->bound && count * 2 <= table->capacity;
}

bool directory_is_sound(struct directory *directory)
{
    return table_is_sound(&directory->tokens) && table_is_sound(&directory->databases) &&
           table_is_sound(&directory->only);
}

void directory_figures(struct directory *directory, struct directory_figures *ret_figures)
{
    *ret_figures = (struct directory_figures){
        .tokens = directory->tokens.count,
        .databases = directory->databases.count,
        .hits = directory->hits,
        .misses = directory->misses,
        .evicted = directory->evicted,
    };
}
