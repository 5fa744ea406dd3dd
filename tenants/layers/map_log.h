/* The map of a packed layer: which page each slot holds, as a log (docs/formats/layer.md).
 *
 * Pure functions over bytes: no I/O. The reader takes whole valid batches, checksums chained, until
 * the first bad one: what follows was never acknowledged. Two things it tells from a torn end and
 * refuses: a bad batch that is followed by a later append (only the last append can be torn), and a
 * frozen map that ends elsewhere than its MANIFEST says. */
#ifndef TENANTS_LAYERS_MAP_LOG_H
#define TENANTS_LAYERS_MAP_LOG_H

#include "tenants/base/buf.h"
#include "tenants/base/err.h"
#include "tenants/database.h"

#define MAP_HEADER_BYTES 48
#define MAP_BATCH_BYTES 32
#define MAP_SLOTS_MAX 0xfffffeU /* of one layer: a table's entry has 24 bits for the slot */
#define MAP_ID_BYTES 16

struct map {
    uint32_t page_size;
    uint32_t *pgno; /* owned: page of each slot, 0 none (forgotten by a truncation) */
    uint32_t slots, capacity;
    uint32_t pages;      /* size of the database seen from this layer; 0 before the first batch */
    uint32_t base_limit; /* pages beyond it do not exist below; UINT32_MAX before the first batch */
    uint32_t batches;
    uint32_t checksum; /* of the last batch, or of the header */
    uint64_t bytes;    /* where the valid part ends; 0: not even a header */
};

/* What the MANIFEST says of a frozen map. */
struct map_end {
    uint32_t batches, checksum, pages;
};

/* `end` NULL: the map of a layer that is being written; no header and a torn end are fine then. The
 * caller ends *ret_map with map_fini(). Errors: ERR_CORRUPT. */
int map_parse(struct str bytes, const char *layer_id, uint32_t page_size, const struct map_end *end,
    struct map *ret_map, struct err *ret_err) MUST_CHECK;
void map_init(struct map *map, uint32_t page_size); /* an empty one */
void map_fini(struct map *map);                     /* zeroed is fine, and twice */

/* Notes that the next slot holds a page; in memory only. */
void map_add(struct map *map, uint32_t pgno);
/* Appends the header, and starts the chain. */
void map_put_header(struct map *map, const char *layer_id, struct buf *out);
/* Appends a batch with slots from `first_slot` on, and the map's size and limit. `starts`: it is
 * the first of those that are written and synced together. */
void map_put_batch(struct map *map, uint32_t first_slot, bool starts, struct buf *out);

/* 32 hex digits as bytes. */
void map_id_bytes(const char *layer_id, unsigned char out[MAP_ID_BYTES]);

static inline void map_put_u32(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static inline uint32_t map_get_u32(const void *from)
{
    const unsigned char *at = from;

    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

#endif
