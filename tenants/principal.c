#include "tenants/principal.h"

#include <stdatomic.h>

#include "tenants/base/check.h"
#include "tenants/base/mem.h"

static _Atomic uint64_t next_serial = 1;

/* Where the next piece of the block goes. With `block` NULL it only measures. */
struct block {
    char *block;
    size_t used;
};

static size_t aligned(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

static void *take(struct block *block, size_t size)
{
    void *piece = block->block == NULL ? NULL : block->block + block->used;

    block->used += aligned(size);
    return piece;
}

static struct str take_str(struct block *block, struct str text)
{
    char *copy = take(block, text.len + 1);

    if (copy == NULL)
        return text;
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return str_make(copy, text.len);
}

static const struct str *take_list(struct block *block, const struct str *list, size_t count)
{
    struct str *copy = take(block, count * sizeof(*copy));

    for (size_t i = 0; i < count; i++) {
        struct str text = take_str(block, list[i]);

        if (copy != NULL)
            copy[i] = text;
    }
    return count == 0 ? NULL : copy;
}

static void fill(struct block *block, const struct principal *from, struct principal *to)
{
    to->tenant_slug = take_str(block, from->tenant_slug);
    to->token_name = take_str(block, from->token_name);
    to->role = take_str(block, from->role);
    to->claims_json = take_str(block, from->claims_json);
    to->database_globs = take_list(block, from->database_globs, from->database_glob_count);
    to->branch_globs = take_list(block, from->branch_globs, from->branch_glob_count);
    to->tables = take_list(block, from->tables, from->table_count);
}

struct principal *principal_new(const struct principal *from)
{
    struct principal scratch = *from;
    struct block block = {.block = NULL, .used = aligned(sizeof(scratch))};
    struct principal *principal;

    fill(&block, from, &scratch);
    block.block = mem_alloc(block.used);
    block.used = 0;
    principal = take(&block, sizeof(*principal));
    *principal = *from;
    fill(&block, from, principal);
    principal->references = 1;
    principal->serial = atomic_fetch_add_explicit(&next_serial, 1, memory_order_relaxed);
    return principal;
}

struct principal *principal_ref(struct principal *principal)
{
    uint32_t before = __atomic_fetch_add(&principal->references, 1, __ATOMIC_RELAXED);

    CHECK(before > 0 && before < UINT32_MAX);
    return principal;
}

void principal_unref(struct principal *principal)
{
    uint32_t before;

    if (principal == NULL)
        return;
    before = __atomic_fetch_sub(&principal->references, 1, __ATOMIC_ACQ_REL);
    CHECK(before > 0);
    if (before > 1)
        return;
    if (principal->rate != NULL && principal->release_rate != NULL)
        principal->release_rate(principal->rate);
    mem_free(principal);
}

bool principal_has_table(const struct principal *principal, struct str table)
{
    if (principal->table_count == 0)
        return true;
    for (size_t i = 0; i < principal->table_count; i++) {
        if (str_equal_nocase(principal->tables[i], table))
            return true;
    }
    return false;
}

static bool any_glob(const struct str *globs, size_t count, struct str text)
{
    for (size_t i = 0; i < count; i++) {
        if (str_glob(globs[i], text))
            return true;
    }
    return count == 0;
}

bool principal_has_database(const struct principal *principal, struct str database)
{
    struct str rest = database;
    struct str slug = str_split(&rest, '@');
    struct str branch = rest.ptr == NULL ? STR_LITERAL("main") : rest;

    return any_glob(principal->database_globs, principal->database_glob_count, slug) &&
           any_glob(principal->branch_globs, principal->branch_glob_count, branch);
}

bool principal_has_branch(const struct principal *principal, struct str access, struct str slug)
{
    if (principal_has_database(principal, access))
        return true;
    for (size_t i = 0; i < principal->database_glob_count && principal->branch_glob_count == 0; i++)
        if (str_equal(principal->database_globs[i], slug))
            return true;
    return false;
}

/* spelling -> role. A new spelling of a dialect is a row here. */
static const struct {
    const char *spelling;
    const char *canonical;
    uint32_t capabilities;
} roles[] = {
    {"operator", "operator", ROLE_OPERATOR_CAPS},
    {"owner", "owner", ROLE_OWNER_CAPS},
    {"admin", "owner", ROLE_OWNER_CAPS},
    {"readwrite", "readwrite", ROLE_READWRITE_CAPS},
    {"read-write", "readwrite", ROLE_READWRITE_CAPS},
    {"read_write", "readwrite", ROLE_READWRITE_CAPS},
    {"write", "readwrite", ROLE_READWRITE_CAPS},
    {"readonly", "readonly", ROLE_READONLY_CAPS},
    {"read-only", "readonly", ROLE_READONLY_CAPS},
    {"read_only", "readonly", ROLE_READONLY_CAPS},
    {"read", "readonly", ROLE_READONLY_CAPS},
};

int role_parse(struct str name, uint32_t *ret_capabilities, const char **ret_canonical)
{
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        if (!str_is_nocase(name, roles[i].spelling))
            continue;
        if (ret_capabilities != NULL)
            *ret_capabilities = roles[i].capabilities;
        if (ret_canonical != NULL)
            *ret_canonical = roles[i].canonical;
        return 0;
    }
    return -1;
}
