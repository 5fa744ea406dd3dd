/* Branches and snapshots as the catalogue has them: databases of a tenant that share pages with the
 * one they were made of. Calls are made as those of tenants/catalogue.h.
 *
 * A branch has a row of its own, with its own id, settings (its parent's, at first), tokens' rights
 * and usage. It belongs to a *root*, the database that is no branch; its ref is one of the root's,
 * whoever it was branched from. It is reached as `root@ref`, `root.ref`, and by its slug,
 * `root-alias`, where the alias is the ref in lower case with '-' for what a slug cannot have, and
 * a number behind where another branch has that alias. Refs are compared without case. "main" is
 * the root itself.
 *
 * Each change takes steps: what is going to be is noted in the catalogue (`pending`), the family's
 * MANIFEST is changed (tenants/family_call.h), and the catalogue says so. A crash between them is
 * repaired at the next start, from the MANIFEST. While a change is under way another one of the
 * same branch is refused (ERR_CONFLICT).
 *
 * Rights: the route's capabilities are the dialect's to check; that the principal reaches the
 * parent too (it names it by its id, which it has looked up). Here: that its globs name the branch.
 */
#ifndef TENANTS_BRANCHES_H
#define TENANTS_BRANCHES_H

#include "tenants/catalogue.h"
#include "tenants/layers/heads.h"

#define BRANCH_ROOT_REF "main"
#define SNAPSHOT_LABEL_MAX 80

struct branch_put_input {
    uint64_t tenant_id;
    uint64_t database_id; /* the parent */
    struct str ref;
    struct str name;     /* ptr NULL: the slug, or as it is */
    struct str snapshot; /* of the parent, or another of its family; empty: what it has now */
    bool set_expires;
    int64_t expires_wall_ms; /* 0: never */
    bool set_protected;
    bool is_protected;
    bool schema_only; /* no rows; and no pages in common: a database of its own */
};
struct branch_result {
    struct database_info info;
    bool is_new; /* else it was reset to its parent's present state */
};
/* Makes a branch, or gives the one with that ref what its parent has now. output: struct
 * branch_result. ERR_BAD_REQUEST no ref, ERR_CONFLICT its name would be another database's, it is
 * protected, or another change is under way; ERR_NOT_FOUND the snapshot; ERR_QUOTA_EXCEEDED;
 * ERR_UNAVAILABLE see tenants/family_call.h. */
void catalogue_branch_put(struct catalogue_call *call, const struct branch_put_input *input);

struct branch_list_input {
    uint64_t tenant_id;
    uint64_t database_id;
    struct list_input page; /* its tenant is not read */
};
/* All branches of the root, by alias. output: struct database_list. */
void catalogue_branch_list(struct catalogue_call *call, const struct branch_list_input *input);

struct branch_input {
    uint64_t tenant_id;
    uint64_t database_id; /* any of the family */
    struct str ref;
};
/* output: struct database_info. ERR_NOT_FOUND no such branch. */
void catalogue_branch_get(struct catalogue_call *call, const struct branch_input *input);
/* Gone at once, its own pages too; not restorable. output: struct database_info. ERR_CONFLICT it is
 * protected. */
void catalogue_branch_delete(struct catalogue_call *call, const struct branch_input *input);

struct branch_patch_input {
    struct branch_input branch;
    struct str ref; /* ptr NULL: as it is */
    struct str name;
    bool set_expires;
    int64_t expires_wall_ms;
    bool set_protected;
    bool is_protected;
};
/* output: struct database_info. ERR_CONFLICT the ref or its alias is taken. */
void catalogue_branch_patch(struct catalogue_call *call, const struct branch_patch_input *input);

struct snapshot_info {
    struct str id; /* "snap_..." */
    struct str label;
    struct str reason; /* "manual", "promote", "restore": what it was kept before */
    int64_t created_wall_ms;
    uint64_t number; /* the list's order */
};
struct branch_swapped {
    struct database_info info; /* the database that has other content now */
    struct snapshot_info kept; /* what it had */
};
/* What the branch has becomes its parent's content; that is kept as a snapshot. output: struct
 * branch_swapped. ERR_CONFLICT the parent is protected or gone, or the branch shares no pages. */
void catalogue_branch_promote(struct catalogue_call *call, const struct branch_input *input);

struct snapshot_input {
    uint64_t tenant_id;
    uint64_t database_id;
    struct str snapshot; /* its id */
    struct str label;    /* creation: empty is the time */
};
/* output: struct snapshot_info. */
void catalogue_snapshot_create(struct catalogue_call *call, const struct snapshot_input *input);
/* output: struct snapshot_info. ERR_NOT_FOUND. */
void catalogue_snapshot_delete(struct catalogue_call *call, const struct snapshot_input *input);
/* The database gets what the snapshot has; what it had is kept. output: struct branch_swapped. */
void catalogue_snapshot_restore(struct catalogue_call *call, const struct snapshot_input *input);

struct snapshot_list {
    const struct snapshot_info *items;
    size_t count;
    struct str next_cursor;
};
/* Newest first. output: struct snapshot_list. */
void catalogue_snapshot_list(struct catalogue_call *call, const struct branch_list_input *input);

struct branch_usage_input {
    struct database *database; /* borrowed */
};
/* output: struct family_usage; zeros for a database that nothing was written to. */
void catalogue_family_usage(struct catalogue_call *call, const struct branch_usage_input *input);

#endif
