/* sqld's admin API, on a listener of its own (--listen-admin): namespaces, which are tenants and
 * databases here (slug_namespace() in tenants/slug.h), their settings and figures. Errors are
 * {"error"}.
 *
 * Every route but /health takes an operator's token, as Bearer or, as sqld's admin key is sent, as
 * Basic; with --admin-open none (struct exchange's is_trusted). Shared by its files. */
#ifndef PROTO_SQLD_ADMIN_SQLD_ADMIN_H
#define PROTO_SQLD_ADMIN_SQLD_ADMIN_H

#include "proto/document.h"
#include "proto/exchange.h"
#include "proto/router.h"

#define SQLD_SETTINGS_MAX 8

extern const struct dialect sqld_admin_dialect;
/* Finds its routes and no others. */
const struct router *sqld_admin_router(void);

/* A request about a namespace, in its exchange's arena. */
struct sqld_call {
    struct exchange *x;
    struct catalogue_call call;
    struct slug_namespace namespace;
    struct str tenant;
    struct str database;
    struct setting_change changes[SQLD_SETTINGS_MAX];
    size_t change_count;
    union {
        struct tenant_create_input tenant_create;
        struct database_create_input database_create;
        struct database_patch_input database_patch;
        struct database_input database_input;
    };
    struct database_create_item item;
};

/* NULL: answered. */
struct sqld_call *sqld_begin(struct exchange *x) MUST_CHECK;
/* The catalogue call for its next step, zeroed. */
struct catalogue_call *sqld_next(struct sqld_call *call, void (*done)(struct catalogue_call *call));
void sqld_fail(struct exchange *x, enum err_code code, const char *message);
/* 200: nothing, or what was written into the body. */
void sqld_finish(struct exchange *x, const char *content_type);

/* config.c: what a body asks for, into call->changes. `is_new`: of a namespace that is being made,
 * else of one whose block_reason and jwt_key the body replaces, as sqld has it. */
int sqld_read_config(
    struct sqld_call *call, const struct node *body, bool is_new, struct err *ret_err) MUST_CHECK;
void sqld_write_config(struct buf *out, const struct database_info *info);
void sqld_write_stats(struct buf *out, const struct database_info *info);
/* "10mb", "1.5 GiB", "4096": as sqld's bytesize reads them, k being 1,000 and ki 1,024. -1. */
int sqld_parse_size(struct str text, uint64_t *ret_bytes) MUST_CHECK;

#endif
