/* A family's MANIFEST: parser and printer (docs/formats/manifest.md).
 *
 * Pure functions over bytes: no I/O, no clock. The parser is strict: what it accepts prints as the
 * same bytes, and anything it does not know refuses the whole file, because a family must never be
 * guessed at. What it checks beyond syntax: ids and names once each, every stack known layers with
 * a base below and only there, and each head with a top of its own. */
#ifndef TENANTS_MANIFEST_H
#define TENANTS_MANIFEST_H

#include "tenants/base/buf.h"
#include "tenants/base/err.h"
#include "tenants/database.h"

#define MANIFEST_FORMAT 1
#define MANIFEST_BYTES_MAX (16U << 20)
#define MANIFEST_NAME_MAX 128  /* of refs, snapshots and dropped files */
#define MANIFEST_STACK_MAX 254 /* layers of one stack */
#define MANIFEST_LINES_MAX 65536

enum manifest_layer_kind { MANIFEST_BASE, MANIFEST_OVER };

struct manifest_layer {
    char id[ID_HEX_BYTES];
    enum manifest_layer_kind kind;
    bool frozen;
    uint32_t page_size;
    uint32_t pages;        /* 0 while it is written */
    uint32_t batches;      /* of its map, when frozen */
    uint32_t map_checksum; /* when frozen */
};

struct manifest_stack {
    char (*layers)[ID_HEX_BYTES]; /* owned; bottom first */
    size_t count;
};

struct manifest_head {
    char id[ID_HEX_BYTES];
    char ref[MANIFEST_NAME_MAX + 1];
    struct manifest_stack stack;
};

struct manifest_snapshot {
    char name[MANIFEST_NAME_MAX + 1];
    struct manifest_stack stack;
};

struct manifest_drop {
    char file[MANIFEST_NAME_MAX + 1];
};

struct manifest {
    uint64_t generation;           /* one more with each replacement */
    struct manifest_layer *layers; /* owned, as all arrays */
    size_t layer_count;
    struct manifest_head *heads;
    size_t head_count;
    struct manifest_snapshot *snapshots;
    size_t snapshot_count;
    struct manifest_drop *drops;
    size_t drop_count;
};

/* Reads the whole text of a MANIFEST. The caller ends *ret_manifest with manifest_fini().
 * Errors: ERR_CORRUPT, with the line. */
int manifest_parse(struct str text, struct manifest *ret_manifest, struct err *ret_err) MUST_CHECK;
/* Appends the text of a manifest, checksum and all. */
void manifest_print(const struct manifest *manifest, struct buf *out);
void manifest_fini(struct manifest *manifest); /* zeroed is fine, and twice */

/* NULL when there is none. */
const struct manifest_head *manifest_find_head(const struct manifest *manifest, const char *id);
const struct manifest_layer *manifest_find_layer(const struct manifest *manifest, const char *id);

/* What a ref or a snapshot may be called. */
bool manifest_is_name(struct str text);
/* 32 lower-case hex digits. */
bool manifest_is_id(struct str text);

#endif
