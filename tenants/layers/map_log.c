#include "tenants/layers/map_log.h"

#include <string.h>

#include "tenants/base/check.h"
#include "tenants/base/hash.h"
#include "tenants/base/mem.h"

#define MAGIC "RKMAP001"
#define MAGIC_BYTES 8
/* First word of a batch. No page has this number, so that a torn append, of page numbers and
 * zeros, cannot be taken for one that was followed by another. */
#define BATCH_STARTS UINT32_C(0xffffffff)
#define BATCH_CONTINUES UINT32_C(0x48435442)

struct batch {
    uint32_t magic, count, pages, base_limit, first_slot, batch_no, flags, checksum;
    const char *pgno; /* into the bytes that are read */
};

void map_init(struct map *map, uint32_t page_size)
{
    *map = (struct map){.page_size = page_size, .base_limit = UINT32_MAX};
}

void map_fini(struct map *map)
{
    mem_free(map->pgno);
    *map = (struct map){.page_size = 0};
}

static void reserve(struct map *map, uint32_t more)
{
    if (map->capacity - map->slots >= more)
        return;
    map->capacity = MAX(map->capacity + map->capacity / 2 + 64, map->slots + more);
    map->pgno = mem_realloc(map->pgno, (size_t)map->capacity * sizeof(*map->pgno));
}

void map_add(struct map *map, uint32_t pgno)
{
    CHECK(map->slots < MAP_SLOTS_MAX);
    reserve(map, 1);
    map->pgno[map->slots++] = pgno;
}

static int hex_value(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

void map_id_bytes(const char *layer_id, unsigned char out[MAP_ID_BYTES])
{
    for (size_t i = 0; i < MAP_ID_BYTES; i++)
        out[i] = (unsigned char)(hex_value(layer_id[2 * i]) << 4 | hex_value(layer_id[2 * i + 1]));
}

/* ------------------------------------------------------------------ writing */

static void make_header(
    const char *layer_id, uint32_t page_size, unsigned char header[MAP_HEADER_BYTES])
{
    memset(header, 0, MAP_HEADER_BYTES);
    memcpy(header, MAGIC, MAGIC_BYTES); /* NOLINT(bugprone-not-null-terminated-result) */
    map_put_u32(header + 8, page_size);
    map_id_bytes(layer_id, header + 16);
    map_put_u32(header + MAP_HEADER_BYTES - 4, crc32c(0, header, MAP_HEADER_BYTES - 4));
}

void map_put_header(struct map *map, const char *layer_id, struct buf *out)
{
    unsigned char header[MAP_HEADER_BYTES];

    make_header(layer_id, map->page_size, header);
    buf_append(out, header, sizeof(header));
    map->checksum = map_get_u32(header + MAP_HEADER_BYTES - 4);
}

/* Over the checksum before, the batch's head and its page numbers. */
static uint32_t batch_checksum(
    uint32_t before, const void *head, const void *pgno, size_t pgno_bytes)
{
    unsigned char chained[4];
    uint32_t crc;

    map_put_u32(chained, before);
    crc = crc32c(0, chained, sizeof(chained));
    crc = crc32c(crc, head, MAP_BATCH_BYTES - 4);
    return crc32c(crc, pgno, pgno_bytes);
}

void map_put_batch(struct map *map, uint32_t first_slot, bool starts, struct buf *out)
{
    unsigned char head[MAP_BATCH_BYTES] = {0};
    uint32_t count = map->slots - first_slot;
    size_t at;

    map_put_u32(head, starts ? BATCH_STARTS : BATCH_CONTINUES);
    map_put_u32(head + 4, count);
    map_put_u32(head + 8, map->pages);
    map_put_u32(head + 12, map->base_limit);
    map_put_u32(head + 16, first_slot);
    map_put_u32(head + 20, map->batches);
    if (buf_reserve(out, MAP_BATCH_BYTES + (size_t)count * 4) < 0)
        return;
    at = out->len;
    buf_append(out, head, sizeof(head));
    for (uint32_t i = 0; i < count; i++) {
        unsigned char word[4];

        map_put_u32(word, map->pgno[first_slot + i]);
        buf_append(out, word, sizeof(word));
    }
    map->checksum =
        batch_checksum(map->checksum, head, out->bytes + at + MAP_BATCH_BYTES, (size_t)count * 4);
    map_put_u32((unsigned char *)out->bytes + at + MAP_BATCH_BYTES - 4, map->checksum);
    map->batches++;
}

/* ------------------------------------------------------------------ reading */

/* Points where the database became smaller: what slots before it held beyond `pages` is gone. */
struct cut {
    uint32_t slot, pages;
};

struct reader {
    struct str rest;
    struct map *map;
    struct cut *cuts; /* owned */
    size_t cut_count, cut_capacity;
};

static bool read_header(struct str bytes, const char *layer_id, uint32_t page_size)
{
    unsigned char want[MAP_HEADER_BYTES];

    make_header(layer_id, page_size, want);
    return bytes.len >= MAP_HEADER_BYTES && memcmp(bytes.ptr, want, MAP_HEADER_BYTES) == 0;
}

static struct batch read_batch_head(const char *at)
{
    return (struct batch){.magic = map_get_u32(at),
        .count = map_get_u32(at + 4),
        .pages = map_get_u32(at + 8),
        .base_limit = map_get_u32(at + 12),
        .first_slot = map_get_u32(at + 16),
        .batch_no = map_get_u32(at + 20),
        .flags = map_get_u32(at + 24),
        .checksum = map_get_u32(at + 28),
        .pgno = at + MAP_BATCH_BYTES};
}

static bool are_pages(const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++)
        if (map_get_u32(batch->pgno + (size_t)i * 4) > batch->pages)
            return false;
    return true;
}

/* The next batch, if it is whole, is the next in the chain, and makes sense. */
static bool read_batch(const struct reader *reader, struct batch *ret_batch)
{
    const struct map *map = reader->map;
    struct batch batch;

    if (reader->rest.len < MAP_BATCH_BYTES)
        return false;
    batch = read_batch_head(reader->rest.ptr);
    if ((batch.magic != BATCH_STARTS && batch.magic != BATCH_CONTINUES) || batch.flags != 0 ||
        batch.batch_no != map->batches || batch.first_slot != map->slots ||
        batch.count > MAP_SLOTS_MAX - map->slots ||
        batch.count > (reader->rest.len - MAP_BATCH_BYTES) / 4)
        return false;
    if (batch.checksum !=
        batch_checksum(map->checksum, reader->rest.ptr, batch.pgno, (size_t)batch.count * 4))
        return false;
    *ret_batch = batch;
    return batch.pages < UINT32_MAX && batch.base_limit <= batch.pages &&
           batch.base_limit <= map->base_limit && are_pages(&batch);
}

static void add_cut(struct reader *reader, uint32_t slot, uint32_t pages)
{
    if (reader->cut_count == reader->cut_capacity) {
        reader->cut_capacity = reader->cut_capacity * 2 + 8;
        reader->cuts = mem_realloc(reader->cuts, reader->cut_capacity * sizeof(*reader->cuts));
    }
    reader->cuts[reader->cut_count++] = (struct cut){.slot = slot, .pages = pages};
}

static void take_batch(struct reader *reader, const struct batch *batch)
{
    struct map *map = reader->map;
    size_t len = MAP_BATCH_BYTES + (size_t)batch->count * 4;

    if (batch->pages < map->pages)
        add_cut(reader, map->slots, batch->pages);
    reserve(map, batch->count);
    for (uint32_t i = 0; i < batch->count; i++)
        map->pgno[map->slots++] = map_get_u32(batch->pgno + (size_t)i * 4);
    map->pages = batch->pages;
    map->base_limit = batch->base_limit;
    map->checksum = batch->checksum;
    map->batches++;
    map->bytes += len;
    reader->rest = str_make(reader->rest.ptr + len, reader->rest.len - len);
}

/* Backwards, so that each slot is looked at once. */
static void forget_cut_off(const struct reader *reader)
{
    struct map *map = reader->map;
    uint32_t slot = map->slots;
    uint32_t smallest = UINT32_MAX;

    for (size_t i = reader->cut_count; i-- > 0;) {
        while (slot > reader->cuts[i].slot)
            if (map->pgno[--slot] > smallest)
                map->pgno[slot] = 0;
        smallest = MIN(smallest, reader->cuts[i].pages);
    }
    while (slot > 0)
        if (map->pgno[--slot] > smallest)
            map->pgno[slot] = 0;
}

/* The start of a later append somewhere behind the first bad batch: then that one was synced, and
 * is damaged, not torn. */
static bool has_later_append(struct str rest, size_t from, uint32_t batch_no)
{
    for (size_t at = from; at + MAP_BATCH_BYTES <= rest.len; at += 4) {
        struct batch batch = read_batch_head(rest.ptr + at);

        if (batch.magic == BATCH_STARTS && batch.flags == 0 && batch.batch_no >= batch_no &&
            batch.base_limit <= batch.pages)
            return true;
    }
    return false;
}

static int check_end(const struct reader *reader, const char *layer_id, const struct map_end *end,
    struct err *ret_err)
{
    const struct map *map = reader->map;
    bool has_header = map->bytes > 0;

    if (end != NULL) {
        if (!has_header || map->batches != end->batches || map->checksum != end->checksum ||
            map->pages != end->pages || reader->rest.len != 0)
            return err_set(ret_err, ERR_CORRUPT, "the map of layer %s is damaged: %u of %u batches",
                layer_id, map->batches, end->batches);
        return 0;
    }
    /* The first batch of an append is behind the header of its file, or of the bad batch. */
    if (has_later_append(reader->rest, has_header ? MAP_BATCH_BYTES : MAP_HEADER_BYTES,
            has_header ? map->batches + 1 : 1))
        return err_set(ret_err, ERR_CORRUPT, "the map of layer %s is damaged after batch %u",
            layer_id, map->batches);
    return 0;
}

int map_parse(struct str bytes, const char *layer_id, uint32_t page_size, const struct map_end *end,
    struct map *ret_map, struct err *ret_err)
{
    struct map map;
    struct reader reader = {.rest = bytes, .map = &map};
    struct batch batch;
    int rc;

    map_init(&map, page_size);
    if (read_header(bytes, layer_id, page_size)) {
        map.bytes = MAP_HEADER_BYTES;
        map.checksum = map_get_u32(bytes.ptr + MAP_HEADER_BYTES - 4);
        reader.rest = str_make(bytes.ptr + MAP_HEADER_BYTES, bytes.len - MAP_HEADER_BYTES);
        while (read_batch(&reader, &batch))
            take_batch(&reader, &batch);
    }
    forget_cut_off(&reader);
    rc = check_end(&reader, layer_id, end, ret_err);
    mem_free(reader.cuts);
    if (rc < 0) {
        map_fini(&map);
        return -1;
    }
    *ret_map = map;
    return 0;
}
