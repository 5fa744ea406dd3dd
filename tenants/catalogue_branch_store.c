/* Rows of branches and snapshots. What a change is about to do is written down first (pending), so
 * that no crash leaves a head or a snapshot that no row tells of. */
#include <sqlite3.h>
#include <stdio.h>

#include "tenants/base/clock.h"
#include "tenants/catalogue_store.h"
#include "tenants/family.h"
#include "tenants/slug.h"

#define ALIASES_MAX 100 /* of refs that have one alias in common */

/* ---- names ---- */

/* The ref as a part of a slug. */
static struct str alias_of(const struct store *store, struct str ref)
{
    char *out = arena_alloc(store->arena, ref.len + 1);
    size_t len = 0;

    for (size_t i = 0; out != NULL && i < ref.len; i++) {
        char c = ref.ptr[i];

        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        else if (c == '/' || c == '.')
            c = '-';
        if (c == '-' && len > 0 && out[len - 1] == '-')
            continue;
        out[len++] = c;
    }
    while (len > 0 && (out[len - 1] == '-' || out[len - 1] == '_'))
        len--;
    return str_make(out, out == NULL ? 0 : len);
}

/* Whose branch has the slug: its root's id; 0 another database's; -1 nobody's; -2 an error. */
static int64_t owner_of(const struct store *store, uint64_t tenant_id, struct str slug,
    uint64_t but_id, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int row;

    if (store_query(store, &statement, ret_err,
            "SELECT root_id FROM databases WHERE tenant_id = ?1 AND slug = ?2 AND deleted_at = 0"
            " AND id <> ?3",
            "isi", (int64_t)tenant_id, slug, (int64_t)but_id) < 0)
        return -2;
    row = store_step(store, statement, ret_err);
    return row < 0 ? -2 : row == 0 ? -1 : sqlite3_column_int64(statement, 0);
}

struct branch_name {
    struct str alias;
    struct str slug;
};

/* A free slug for the ref of a root; of a branch that has one, `but_id`. */
static int name_branch(const struct store *store, const struct database_info *root,
    uint64_t tenant_id, struct str ref, uint64_t but_id, struct branch_name *ret_name,
    struct err *ret_err)
{
    struct str plain = alias_of(store, ref);

    for (unsigned i = 1; i <= ALIASES_MAX; i++) {
        char number[16] = "";
        int64_t owner;

        if (i > 1)
            (void)snprintf(number, sizeof(number), "-%u", i);
        ret_name->alias = str_from(arena_printf(store->arena, "%.*s%s", STR_ARGS(plain), number));
        ret_name->slug = str_from(arena_printf(
            store->arena, "%.*s-%.*s", STR_ARGS(root->slug), STR_ARGS(ret_name->alias)));
        if (store_finish(store, ret_err) < 0)
            return -1;
        if (ret_name->slug.len > SLUG_SEGMENT_MAX)
            return err_set(ret_err, ERR_BAD_REQUEST, "the ref is too long");
        owner = owner_of(store, tenant_id, ret_name->slug, but_id, ret_err);
        if (owner == -1)
            return 0;
        if (owner < -1)
            return -1;
        if ((uint64_t)owner != root->database_id)
            return err_set(ret_err, ERR_CONFLICT,
                "a database '%.*s' exists: the branch would be taken for it",
                STR_ARGS(ret_name->slug));
    }
    return err_set(
        ret_err, ERR_CONFLICT, "too many branches are called like '%.*s'", STR_ARGS(ref));
}

static int check_ref(struct str ref, struct err *ret_err)
{
    if (!slug_is_ref(ref))
        return err_set(ret_err, ERR_BAD_REQUEST,
            "a branch's ref has 1 to %d characters: letters, digits, '.', '_', '/' and '-', the "
            "first a letter or digit",
            SLUG_REF_MAX);
    if (str_equal_nocase(ref, STR_LITERAL(BRANCH_ROOT_REF)))
        return err_set(
            ret_err, ERR_CONFLICT, "'" BRANCH_ROOT_REF "' is the database itself, not a branch");
    return 0;
}

/* ---- finding ---- */

int store_branch_id(const struct store *store, uint64_t tenant_id, struct str database,
    struct str ref, uint64_t *ret_id, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int row;

    if (store_query(store, &statement, ret_err,
            "WITH named(root) AS (SELECT iif(root_id = 0, id, root_id) FROM databases"
            "  WHERE tenant_id = ?1 AND slug = ?2 AND deleted_at = 0 AND pending <> head_id)"
            " SELECT id, root_id = 0 OR ref <> ?3 AS second FROM databases"
            " WHERE deleted_at = 0 AND pending <> head_id"
            " AND (expires_at = 0 OR expires_at > ?4 OR protected = 1)"
            " AND ((root_id = (SELECT root FROM named) AND (ref = ?3 OR alias = lower(?3)))"
            "  OR (id = (SELECT root FROM named) AND lower(?3) = '" BRANCH_ROOT_REF "'))"
            " ORDER BY second LIMIT 1",
            "issi", (int64_t)tenant_id, database, ref, store->now_wall_ms) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    if (row > 0)
        *ret_id = (uint64_t)sqlite3_column_int64(statement, 0);
    return row;
}

static int get(const struct store *store, uint64_t tenant_id, uint64_t database_id,
    struct database_info *info, struct err *ret_err)
{
    int row = store_database_by_id(store, tenant_id, database_id, info, ret_err);

    if (row != 0)
        return row < 0 ? -1 : 0;
    return err_set(ret_err, ERR_UNKNOWN_DATABASE, "the database is gone");
}

static int get_root(const struct store *store, uint64_t tenant_id, uint64_t database_id,
    struct database_info *root, struct err *ret_err)
{
    if (get(store, tenant_id, database_id, root, ret_err) < 0)
        return -1;
    return root->root_id == 0 ? 0 : get(store, tenant_id, root->root_id, root, ret_err);
}

/* The row with that ref, whatever its state: 1, 0, -1. */
static int find_ref(const struct store *store, uint64_t root_id, struct str ref, uint64_t *ret_id,
    bool *ret_pending, struct err *ret_err)
{
    STORE_STATEMENT statement = NULL;
    int row;

    if (store_query(store, &statement, ret_err,
            "SELECT id, pending <> '' FROM databases"
            " WHERE root_id = ?1 AND ref = ?2 AND deleted_at = 0",
            "is", (int64_t)root_id, ref) < 0)
        return -1;
    row = store_step(store, statement, ret_err);
    if (row > 0) {
        *ret_id = (uint64_t)sqlite3_column_int64(statement, 0);
        *ret_pending = sqlite3_column_int(statement, 1) != 0;
    }
    return row;
}

static int no_branch(struct str ref, struct err *ret_err)
{
    return err_set(ret_err, ERR_NOT_FOUND, "there is no branch '%.*s'",
        (int)MIN(ref.len, (size_t)SLUG_REF_MAX), ref.ptr);
}

static int find_branch(const struct store *store, const struct branch_input *input,
    struct database_info *info, struct err *ret_err)
{
    struct database_info root;
    bool pending;
    uint64_t id;
    int row;

    if (get_root(store, input->tenant_id, input->database_id, &root, ret_err) < 0)
        return -1;
    row = find_ref(store, root.database_id, input->ref, &id, &pending, ret_err);
    if (row > 0)
        row = store_database_by_id(store, input->tenant_id, id, info, ret_err);
    if (row < 0)
        return -1;
    return row > 0 && store_may_reach(store, info) ? 0 : no_branch(input->ref, ret_err);
}

int store_branch_get(const struct store *store, const struct branch_input *input,
    struct database_info *ret_info, struct err *ret_err)
{
    if (find_branch(store, input, ret_info, ret_err) < 0 ||
        store_database_settings(store, ret_info, ret_err) < 0 ||
        store_database_usage(store, ret_info, ret_err) < 0)
        return -1;
    return store_finish(store, ret_err);
}

int store_branch_remove(const struct store *store, uint64_t tenant_id, uint64_t database_id,
    struct store_database *ret_row, struct err *ret_err)
{
    (void)tenant_id;
    if (store_run(store, ret_err,
            "UPDATE databases SET deleted_at = ?2, updated_at = ?2, purging = 1 WHERE id = ?1",
            "ii", (int64_t)database_id, store->now_wall_ms) < 0)
        return -1;
    return store_database_row(store, database_id, ret_row, ret_err);
}

/* ---- beginning ---- */

static int set_pending(const struct store *store, struct store_change *change, struct err *ret_err)
{
    if (store_run(store, ret_err,
            "UPDATE databases SET pending = ?2 WHERE id = ?1 AND pending = '' AND deleted_at = 0",
            "is", (int64_t)change->target.database.id, str_from(change->head_id)) < 0)
        return -1;
    if (sqlite3_changes(store->db) == 0)
        return err_set(ret_err, ERR_CONFLICT, "'%.*s' is being changed at this moment; try again",
            STR_ARGS(change->target.database.slug));
    return 0;
}

/* The snapshot that keeps what the target has, or that is made. */
static int add_snapshot(const struct store *store, struct store_change *change,
    uint64_t database_id, struct str label, const char *reason, struct err *ret_err)
{
    char id[PUBLIC_ID_BYTES];
    char text[CLOCK_ISO8601_BYTES];

    public_id_new("snap", id);
    if (label.len == 0) {
        clock_format_iso8601(store->now_wall_ms, text);
        label = str_from(text);
    }
    change->snapshot_id = arena_str(store->arena, str_from(id));
    change->keep =
        str_from(arena_printf(store->arena, "d%llu.%s", (unsigned long long)database_id, id));
    if (store_finish(store, ret_err) < 0)
        return -1;
    return store_run(store, ret_err,
        "INSERT INTO snapshots(public_id, database_id, label, reason, created_at, created_by,"
        " pending) VALUES(?1, ?2, ?3, ?4, ?5, ?6, 1)",
        "sissii", change->snapshot_id, (int64_t)database_id, label, str_from(reason),
        store->now_wall_ms, store_asker(store));
}

int store_snapshot_begin(const struct store *store, const struct snapshot_input *input,
    struct store_change *ret_change, struct err *ret_err)
{
    struct database_info info;

    memset(ret_change, 0, sizeof(*ret_change));
    if (input->label.len > SNAPSHOT_LABEL_MAX)
        return err_set(ret_err, ERR_BAD_REQUEST, "a snapshot's label has at most %d characters",
            SNAPSHOT_LABEL_MAX);
    if (store_check_name(input->label, ret_err) < 0 ||
        get(store, input->tenant_id, input->database_id, &info, ret_err) < 0 ||
        store_database_row(store, input->database_id, &ret_change->source, ret_err) < 0)
        return -1;
    return add_snapshot(store, ret_change, input->database_id, input->label, "manual", ret_err);
}

/* Whose head is to be replaced. */
static int begin_swap(const struct store *store, struct store_change *change, struct err *ret_err)
{
    family_new_id(change->head_id);
    change->ref = str_from(arena_printf(store->arena, "#new.%s", change->head_id));
    if (store_finish(store, ret_err) < 0)
        return -1;
    return set_pending(store, change, ret_err);
}

static int insert_branch(const struct store *store, const struct branch_put_input *input,
    const struct database_info *root, struct store_change *change, struct err *ret_err)
{
    char public_id[PUBLIC_ID_BYTES];
    char family_id[ID_HEX_BYTES];
    struct branch_name name;

    if (name_branch(store, root, input->tenant_id, input->ref, 0, &name, ret_err) < 0)
        return -1;
    public_id_new("db", public_id);
    family_new_id(family_id);
    family_new_id(change->head_id);
    change->is_new = true;
    change->ref = arena_str(store->arena, input->ref);
    if (!change->copies_schema)
        (void)snprintf(family_id, sizeof(family_id), "%s", change->source.database.family_id);
    if (store_run(store, ret_err,
            "INSERT INTO databases(tenant_id, public_id, slug, name, family_id, head_id, state,"
            " created_at, updated_at, created_by, expires_at, forked_from, root_id, ref, alias,"
            " protected, pending) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11, ?12,"
            " ?13, ?14, ?15, ?6)",
            "isssssiiiiiissi", (int64_t)input->tenant_id, str_from(public_id), name.slug,
            input->name.len > 0 ? input->name : name.slug, str_from(family_id),
            str_from(change->head_id),
            (int64_t)(change->copies_schema ? DATABASE_RESERVED : DATABASE_LIVE),
            store->now_wall_ms, store_asker(store), input->expires_wall_ms,
            (int64_t)input->database_id, (int64_t)root->database_id, input->ref, name.alias,
            (int64_t)input->is_protected) < 0)
        return -1;
    change->target.database.id = (uint64_t)sqlite3_last_insert_rowid(store->db);
    if (store_run(store, ret_err,
            "INSERT INTO settings(scope, owner_id, name, value) SELECT scope, ?2, name, value"
            " FROM settings WHERE scope = ?3 AND owner_id = ?1",
            "iii", (int64_t)input->database_id, (int64_t)change->target.database.id,
            (int64_t)SETTING_DATABASE) < 0)
        return -1;
    return store_database_row(store, change->target.database.id, &change->target, ret_err);
}

/* The branch is there: what is asked of it is done with its row at once. */
static int begin_reset(const struct store *store, const struct branch_put_input *input,
    struct store_change *change, struct err *ret_err)
{
    if (store_run(store, ret_err,
            "UPDATE databases SET expires_at = iif(?2, ?3, expires_at), updated_at = ?4,"
            " protected = iif(?5, ?6, protected), name = iif(?7 = '', name, ?7) WHERE id = ?1",
            "iiiiiis", (int64_t)change->target.database.id, (int64_t)input->set_expires,
            input->expires_wall_ms, store->now_wall_ms, (int64_t)input->set_protected,
            (int64_t)input->is_protected, input->name) < 0 ||
        store_run(store, ret_err, "UPDATE databases SET forked_from = ?2 WHERE id = ?1", "ii",
            (int64_t)change->target.database.id, (int64_t)input->database_id) < 0)
        return -1;
    return begin_swap(store, change, ret_err);
}

static int begin_existing(const struct store *store, const struct branch_put_input *input,
    const struct database_info *root, uint64_t id, struct store_change *change, struct err *ret_err)
{
    struct database_info info;
    bool expired;

    if (id == input->database_id)
        return err_set(ret_err, ERR_BAD_REQUEST, "a branch is not reset to itself");
    if (get(store, input->tenant_id, id, &info, ret_err) < 0 ||
        store_database_row(store, id, &change->target, ret_err) < 0)
        return -1;
    expired = info.expires_wall_ms > 0 && info.expires_wall_ms <= store->now_wall_ms;
    if (info.is_protected)
        return err_set(ret_err, ERR_CONFLICT, "the branch is protected");
    /* One that shares no pages cannot become one that does, nor the other way: a new one. */
    if (!expired && !change->copies_schema && !change->target.database.owns_family)
        return begin_reset(store, input, change, ret_err);
    if (store_branch_remove(store, input->tenant_id, id, &change->target, ret_err) < 0)
        return -1;
    return insert_branch(store, input, root, change, ret_err);
}

int store_branch_begin(const struct store *store, const struct branch_put_input *input,
    struct store_change *ret_change, struct err *ret_err)
{
    struct database_info reached = {.branch_ref = input->ref};
    struct snapshot_info snapshot;
    struct database_info root;
    bool pending = false;
    uint64_t id = 0;
    int row;

    memset(ret_change, 0, sizeof(*ret_change));
    if (check_ref(input->ref, ret_err) < 0 || store_check_name(input->name, ret_err) < 0 ||
        get_root(store, input->tenant_id, input->database_id, &root, ret_err) < 0 ||
        store_database_row(store, input->database_id, &ret_change->source, ret_err) < 0)
        return -1;
    if (input->set_expires && input->expires_wall_ms != 0 &&
        input->expires_wall_ms <= store->now_wall_ms)
        return err_set(ret_err, ERR_BAD_REQUEST, "expiresAt is in the past");
    reached.root_id = root.database_id;
    reached.root_slug = root.slug;
    if (!store_may_reach(store, &reached))
        return err_set(ret_err, ERR_FORBIDDEN, "the token's branches do not include '%.*s'",
            STR_ARGS(input->ref));
    ret_change->copies_schema = input->schema_only;
    if (input->snapshot.len > 0 &&
        store_snapshot_find(store, input->tenant_id, input->database_id, input->snapshot, &snapshot,
            &ret_change->from_snapshot, ret_err) < 0)
        return -1;
    row = find_ref(store, root.database_id, input->ref, &id, &pending, ret_err);
    if (row < 0)
        return -1;
    if (row > 0 && pending)
        return err_set(
            ret_err, ERR_CONFLICT, "the branch is being changed at this moment; try again");
    if (row > 0)
        return begin_existing(store, input, &root, id, ret_change, ret_err);
    if (store_check_quota(store, root.tenant_slug, 1, ret_err) < 0)
        return -1;
    return insert_branch(store, input, &root, ret_change, ret_err);
}

int store_promote_begin(const struct store *store, const struct branch_input *input,
    struct store_change *ret_change, struct err *ret_err)
{
    STORE_STATEMENT parent = NULL;
    struct database_info branch;
    struct database_info target;
    int row;

    memset(ret_change, 0, sizeof(*ret_change));
    if (find_branch(store, input, &branch, ret_err) < 0 ||
        store_database_row(store, branch.database_id, &ret_change->source, ret_err) < 0 ||
        store_query(store, &parent, ret_err, "SELECT forked_from FROM databases WHERE id = ?1", "i",
            (int64_t)branch.database_id) < 0)
        return -1;
    row = store_step(store, parent, ret_err);
    if (row <= 0)
        return row < 0 ? -1 : no_branch(input->ref, ret_err);
    row = store_database_by_id(
        store, input->tenant_id, (uint64_t)sqlite3_column_int64(parent, 0), &target, ret_err);
    if (row < 0)
        return -1;
    if (row == 0 || !store_may_reach(store, &target))
        return err_set(ret_err, ERR_CONFLICT, "the database it was branched from is gone");
    if (target.is_protected)
        return err_set(ret_err, ERR_CONFLICT, "'%.*s' is protected", STR_ARGS(target.slug));
    if (store_database_row(store, target.database_id, &ret_change->target, ret_err) < 0)
        return -1;
    if (strcmp(ret_change->source.database.family_id, ret_change->target.database.family_id) != 0)
        return err_set(ret_err, ERR_CONFLICT,
            "the branch was made without its parent's rows: it cannot take their place");
    if (begin_swap(store, ret_change, ret_err) < 0)
        return -1;
    return add_snapshot(store, ret_change, target.database_id,
        str_from(arena_printf(store->arena, "before %.*s", STR_ARGS(branch.branch_ref))), "promote",
        ret_err);
}

int store_restore_begin(const struct store *store, const struct snapshot_input *input,
    struct store_change *ret_change, struct err *ret_err)
{
    struct database_info info;
    struct snapshot_info snapshot;

    memset(ret_change, 0, sizeof(*ret_change));
    if (get(store, input->tenant_id, input->database_id, &info, ret_err) < 0)
        return -1;
    if (info.is_protected)
        return err_set(ret_err, ERR_CONFLICT, "'%.*s' is protected", STR_ARGS(info.slug));
    if (store_snapshot_find(store, input->tenant_id, input->database_id, input->snapshot, &snapshot,
            &ret_change->from_snapshot, ret_err) < 0 ||
        store_database_row(store, input->database_id, &ret_change->source, ret_err) < 0 ||
        store_database_row(store, input->database_id, &ret_change->target, ret_err) < 0 ||
        begin_swap(store, ret_change, ret_err) < 0)
        return -1;
    return add_snapshot(store, ret_change, input->database_id,
        str_from(arena_printf(store->arena, "before %.*s", STR_ARGS(snapshot.label))), "restore",
        ret_err);
}

/* ---- ending ---- */

int store_change_end(const struct store *store, const struct store_change *change,
    struct database_info *ret_info, struct err *ret_err)
{
    uint64_t id = change->target.database.id;

    if (id != 0 && store_run(store, ret_err,
                       "UPDATE databases SET head_id = ?2, pending = '', updated_at = ?3"
                       " WHERE id = ?1",
                       "isi", (int64_t)id, str_from(change->head_id), store->now_wall_ms) < 0)
        return -1;
    if (change->snapshot_id.len > 0 &&
        store_run(store, ret_err, "UPDATE snapshots SET pending = 0 WHERE public_id = ?1", "s",
            change->snapshot_id) < 0)
        return -1;
    if (id == 0 || ret_info == NULL)
        return 0;
    if (get(store, change->target.database.tenant_id, id, ret_info, ret_err) < 0)
        return -1;
    return store_database_settings(store, ret_info, ret_err);
}

int store_change_undo(
    const struct store *store, const struct store_change *change, struct err *ret_err)
{
    uint64_t id = change->target.database.id;

    if (change->snapshot_id.len > 0 &&
        store_snapshot_forget(store, change->snapshot_id, ret_err) < 0)
        return -1;
    if (id == 0)
        return 0;
    if (!change->is_new)
        return store_run(
            store, ret_err, "UPDATE databases SET pending = '' WHERE id = ?1", "i", (int64_t)id);
    /* Of a family of its own there may be a folder: it is purged. */
    return store_run(store, ret_err,
        "UPDATE databases SET deleted_at = ?2, purging = 1, pending = '' WHERE id = ?1", "ii",
        (int64_t)id, store->now_wall_ms);
}

/* ---- lists, changes ---- */

int store_branch_list(const struct store *store, const struct branch_list_input *input,
    struct database_list *ret_list, struct err *ret_err)
{
    unsigned size = store_page_size(&input->page);
    struct database_info *items = arena_array(store->arena, size, sizeof(*items));
    struct database_list list = {.items = items};
    STORE_STATEMENT ids = NULL;
    struct database_info root;
    struct str slug;
    struct str id;
    int row = 0;

    if (items == NULL)
        return store_finish(store, ret_err);
    if (get_root(store, input->tenant_id, input->database_id, &root, ret_err) < 0 ||
        store_cursor_parse(input->page.cursor, &slug, &id, ret_err) < 0 ||
        store_query(store, &ids, ret_err,
            "SELECT id FROM databases WHERE root_id = ?1 AND deleted_at = 0 AND pending <> head_id"
            " AND (expires_at = 0 OR expires_at > ?4 OR protected = 1)"
            " AND (slug, public_id) > (?2, ?3) ORDER BY slug, public_id",
            "issi", (int64_t)root.database_id, slug, id, store->now_wall_ms) < 0)
        return -1;
    while ((row = store_step(store, ids, ret_err)) > 0) {
        struct database_info info;
        int found = store_database_by_id(
            store, input->tenant_id, (uint64_t)sqlite3_column_int64(ids, 0), &info, ret_err);

        if (found < 0)
            return -1;
        if (found == 0 || !store_may_reach(store, &info))
            continue;
        if (list.count == size) {
            list.next_cursor = store_cursor_make(store, items[size - 1].slug, items[size - 1].id);
            break;
        }
        items[list.count++] = info;
    }
    if (row < 0 || store_finish(store, ret_err) < 0)
        return -1;
    *ret_list = list;
    return 0;
}

static int rename_branch(const struct store *store, const struct branch_patch_input *input,
    const struct database_info *info, struct err *ret_err)
{
    struct database_info renamed = *info;
    struct database_info root;
    struct branch_name name;
    bool pending;
    uint64_t id;
    int row;

    if (str_equal(input->ref, info->branch_ref))
        return 0;
    renamed.branch_ref = input->ref;
    if (check_ref(input->ref, ret_err) < 0 ||
        get_root(store, input->branch.tenant_id, info->root_id, &root, ret_err) < 0)
        return -1;
    if (!store_may_reach(store, &renamed))
        return err_set(ret_err, ERR_FORBIDDEN, "the token's branches do not include '%.*s'",
            STR_ARGS(input->ref));
    row = find_ref(store, root.database_id, input->ref, &id, &pending, ret_err);
    if (row < 0)
        return -1;
    if (row > 0 && id != info->database_id)
        return err_set(ret_err, ERR_CONFLICT, "a branch '%.*s' exists", STR_ARGS(input->ref));
    if (name_branch(store, &root, input->branch.tenant_id, input->ref, info->database_id, &name,
            ret_err) < 0)
        return -1;
    return store_run(store, ret_err,
        "UPDATE databases SET ref = ?2, alias = ?3, name = iif(name = slug, ?4, name), slug = ?4"
        " WHERE id = ?1",
        "isss", (int64_t)info->database_id, input->ref, name.alias, name.slug);
}

int store_branch_patch(const struct store *store, const struct branch_patch_input *input,
    struct database_info *ret_info, struct store_database *ret_row, struct err *ret_err)
{
    struct database_info info;

    if (find_branch(store, &input->branch, &info, ret_err) < 0 ||
        store_check_name(input->name, ret_err) < 0)
        return -1;
    if (input->set_expires && input->expires_wall_ms != 0 &&
        input->expires_wall_ms <= store->now_wall_ms)
        return err_set(ret_err, ERR_BAD_REQUEST, "expiresAt is in the past");
    if (input->ref.ptr != NULL && rename_branch(store, input, &info, ret_err) < 0)
        return -1;
    if (store_run(store, ret_err,
            "UPDATE databases SET expires_at = iif(?2, ?3, expires_at), updated_at = ?4,"
            " protected = iif(?5, ?6, protected), name = iif(?7 = '', name, ?7) WHERE id = ?1",
            "iiiiiis", (int64_t)info.database_id, (int64_t)input->set_expires,
            input->expires_wall_ms, store->now_wall_ms, (int64_t)input->set_protected,
            (int64_t)input->is_protected, input->name) < 0 ||
        get(store, input->branch.tenant_id, info.database_id, ret_info, ret_err) < 0 ||
        store_database_settings(store, ret_info, ret_err) < 0)
        return -1;
    return store_database_row(store, info.database_id, ret_row, ret_err);
}
