/* An open family: its MANIFEST in memory, the layers that are open, and its open heads.
 *
 * All heads of a family that are open in this process share one struct family, found by id: they
 * share layers (and a base's one lock), and only through it is the MANIFEST replaced. Functions
 * here and in branches.h and fold.h take the family's lock while they work, I/O included: workers
 * only, never a loop. Reads and writes of pages take no part in it. */
#ifndef TENANTS_LAYERS_HEADS_H
#define TENANTS_LAYERS_HEADS_H

#include "tenants/family.h"
#include "tenants/layers/stack.h"
#include "tenants/manifest.h"

struct family;
struct family_head;

/* Counted: each call is ended with family_release(). The first one reads the MANIFEST and clears
 * the folder of what it does not name. Errors: as family_locate(). */
int family_open(const char *data_dir, const char *family_id, struct family **ret_family,
    struct err *ret_err) MUST_CHECK;
struct family *family_ref(struct family *family);
void family_release(struct family *family); /* NULL is fine */

/* Opens a head's layers. Each head once at a time. Errors: ERR_NOT_FOUND the MANIFEST has no such
 * head; ERR_BUSY it is open; ERR_CORRUPT, ERR_IO. */
int family_head_open(struct family *family, const char *head_id, struct family_head **ret_head,
    struct err *ret_err) MUST_CHECK;
/* After vfs_head_close(). NULL is fine. */
void family_head_close(struct family_head *head);
/* For vfs_head_options: `stack`, and the paths of WAL and placeholder (main_path is empty). */
struct layer_stack *family_head_stack(const struct family_head *head);
const struct family_paths *family_head_files(const struct family_head *head);

/* A MANIFEST was replaced and nobody knows whether that is on disk. Nothing of the family changes
 * any more, heads that took part write nothing into their layers: close all its heads, so that it
 * is read anew. */
bool family_is_broken(struct family *family);

/* What the MANIFEST says now: heads with their refs, snapshots, stacks. The caller ends it with
 * manifest_fini(). */
void family_describe(struct family *family, struct manifest *ret_manifest);

struct family_usage {
    uint64_t own_bytes;    /* of layers that no other head or snapshot has, log included */
    uint64_t shared_bytes; /* of the others */
    unsigned depth;        /* layers, base included */
};
int family_head_usage(struct family *family, const char *head_id, struct family_usage *ret_usage,
    struct err *ret_err) MUST_CHECK;

#endif
