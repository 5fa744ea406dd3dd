/* One layer of a family, opened: a base, or a packed layer with its map (docs/formats/layer.md).
 *
 * Shared and counted: all stacks of a process that contain a layer use one object, so a base has
 * one descriptor and one lock however many branches stand on it. A frozen layer is read only. The
 * one layer that is written belongs to one stack, whose lock guards what changes here; readers use
 * `fd` of slots that a page table has shown them. */
#ifndef TENANTS_LAYERS_LAYER_H
#define TENANTS_LAYERS_LAYER_H

#include <stdatomic.h>

#include "tenants/base/list.h"
#include "tenants/layers/map_log.h"
#include "tenants/manifest.h"

#define LAYER_FOLDER_MAX 512
#define LAYER_HEADER_BYTES 4096 /* slot 0 begins behind it */

struct layer {
    _Atomic uint32_t references;
    struct list link; /* the family's: in its list of open layers, which holds a reference */
    char id[ID_HEX_BYTES];
    bool is_base;
    bool frozen;
    uint32_t page_size;
    uint32_t pages; /* of a frozen base: how many of its file count */
    int fd;         /* owned; -1: nothing was written yet */
    int map_fd;     /* owned; only of one that is written */
    struct map map;
    /* The one that is written: */
    struct buf pending;     /* batches that are not in the file for sure */
    uint32_t batched_slots; /* slots that are in batches, pending ones included */
    uint32_t batched_pages, batched_limit;
    uint64_t map_end;   /* where pending goes */
    bool map_unsynced;  /* the file may have batches that are not on disk */
    bool name_unsynced; /* the files' names may not be on disk */
    char folder[LAYER_FOLDER_MAX];
};

/* A layer of the MANIFEST, with one reference, the caller's. A base is locked against other
 * programs. One that is written may have no files yet; a torn end of its map is cut off. Errors:
 * ERR_CORRUPT, ERR_IO, ERR_BUSY. Thread: worker, as all here. */
int layer_open(const char *folder, const struct manifest_layer *layer, struct layer **ret_layer,
    struct err *ret_err) MUST_CHECK;
/* A new, empty one, to be written. No file is made before the first page. */
struct layer *layer_new(const char *folder, const char *id, uint32_t page_size) MUST_CHECK;
/* The database below it is so long: what an empty one begins with. */
void layer_begin(struct layer *layer, uint32_t pages_below);
struct layer *layer_ref(struct layer *layer);
/* With the last reference the files are closed. NULL is fine. Not on a loop: closing a file that
 * was unlinked may take long. */
void layer_unref(struct layer *layer);

/* Of a page in a slot. */
static inline int64_t layer_offset(const struct layer *layer, uint32_t slot)
{
    return LAYER_HEADER_BYTES + (int64_t)slot * layer->page_size;
}

/* Writes into the layer; the owner's lock is held. SQLite's codes, SQLITE_OK or an error. */
int layer_put(struct layer *layer, uint32_t slot, const void *page);
/* Puts a page into a new slot; SQLITE_FULL when there is none. */
int layer_add(struct layer *layer, uint32_t pgno, const void *page, uint32_t *ret_slot);
/* The database is `pages` long from now on, less than before. */
void layer_truncate(struct layer *layer, uint32_t pages);
/* Pages and map are on disk when this returns SQLITE_OK. After SQLITE_IOERR_FSYNC nobody knows what
 * is; after any other error it may be tried again. */
int layer_sync(struct layer *layer);
/* Something was put or truncated that layer_sync() has not settled. */
bool layer_is_dirty(const struct layer *layer);
/* Nothing is written any more; it was synced, and the MANIFEST says so. */
void layer_freeze(struct layer *layer);
/* It has no page and no size of its own. */
bool layer_is_empty(const struct layer *layer);

/* Names of a layer's files: "base-<id>", "L<id>", "L<id>.map", "L<id>.sum". */
#define LAYER_NAME_MAX 48
enum layer_file { LAYER_BASE, LAYER_PAGES, LAYER_MAP, LAYER_SUMS };
const char *layer_file_name(enum layer_file file, const char *id, char out[LAYER_NAME_MAX]);

#endif
