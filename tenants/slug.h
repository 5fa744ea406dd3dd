/* Slugs: the names in URLs. `[a-z0-9]([a-z0-9_-]*[a-z0-9])?`, no `--`, upper case is lowered.
 *
 * A tenant's has up to SLUG_TENANT_MAX characters, a database's up to SLUG_DATABASE_MAX, so that
 * `{database}--{tenant}` fits one label of a host name. Those with `_` are reached by path only.
 * Pure; any thread. */
#ifndef TENANTS_SLUG_H
#define TENANTS_SLUG_H

#include "tenants/base/err.h"
#include "tenants/base/str.h"

#define SLUG_TENANT_MAX 30
#define SLUG_DATABASE_MAX 31
#define SLUG_REF_MAX 64
/* A database segment: slug, '@' and a ref. */
#define SLUG_SEGMENT_MAX (SLUG_DATABASE_MAX + 1 + SLUG_REF_MAX)
#define SLUG_EXTERNAL_ID_MAX 128
#define SLUG_NAME_MAX 200

/* Lowers and checks. `out` has SLUG_TENANT_MAX + 1 (SLUG_DATABASE_MAX + 1) bytes and gets a
 * terminating NUL; *ret_len its length. ERR_BAD_REQUEST says which rule; reserved tenant slugs are
 * ERR_CONFLICT. */
int slug_tenant(struct str text, char *out, size_t *ret_len, struct err *ret_err) MUST_CHECK;
int slug_database(struct str text, char *out, size_t *ret_len, struct err *ret_err) MUST_CHECK;
/* One of sqld's namespaces: `T` is the database SLUG_NAMESPACE_DATABASE of tenant T, `D--T`
 * database D of tenant T. Errors as above. */
#define SLUG_NAMESPACE_DATABASE "default"
struct slug_namespace {
    char tenant_text[SLUG_TENANT_MAX + 1];
    char database_text[SLUG_DATABASE_MAX + 1];
    size_t tenant_len;
    size_t database_len;
};
int slug_namespace(struct str text, struct slug_namespace *ret_namespace, struct err *ret_err)
    MUST_CHECK;
/* True for names that would be mistaken for a route ("v1", "admin" ...). */
bool slug_is_reserved(struct str slug);
/* Lowers ASCII letters into `out` (`size` bytes). False when `text` does not fit. */
bool slug_lower(struct str text, char *out, size_t size);

/* The ways a database segment may be read, in order: the exact database, then `db@ref`, `db.ref`,
 * then every `db-ref`. Start with a zeroed cursor; false when there are no more. Refs are given as
 * written. */
struct slug_reading {
    struct str database;
    struct str ref; /* empty: the database itself */
    int step;       /* the iterator's own */
    size_t at;
};
bool slug_next_reading(struct str segment, struct slug_reading *reading);

/* Refs: 1-64 characters, the first alphanumeric, then [A-Za-z0-9._/-]. */
bool slug_is_ref(struct str text);

#endif
