/* Maps of layers. The bytes as they are; then as steps of a writer, whose map is read back, whole,
 * with a byte changed, and cut: what is read is what was written, or a shorter part of it, or
 * refused. */
#include <string.h>

#include "tenants/base/check.h"
#include "tenants/layers/map_log.h"
#include "tests/fuzz/target.h"

#define LAYER "000102030405060708090a0b0c0d0e0f"
#define PAGE_SIZE 4096

static void parse(struct str bytes, const struct map *written)
{
    struct err err = ERR_INIT;
    struct map map;

    if (map_parse(bytes, LAYER, PAGE_SIZE, NULL, &map, &err) < 0) {
        CHECK(err.code == ERR_CORRUPT);
        return;
    }
    CHECK(map.bytes <= bytes.len);
    if (map.batches > 0)
        CHECK(map.base_limit <= map.pages);
    for (uint32_t i = 0; i < map.slots; i++)
        CHECK(map.pgno[i] <= map.pages);
    if (written != NULL)
        CHECK(map.batches <= written->batches && map.slots <= written->slots);
    map_fini(&map);
}

/* One byte a step: a page more, or the size. */
static void write_map(const uint8_t *bytes, size_t len, struct map *map, struct buf *out)
{
    uint32_t batched = 0;

    map_init(map, PAGE_SIZE);
    map->pages = map->base_limit = 8;
    map_put_header(map, LAYER, out);
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] < 0xc0) {
            map_add(map, bytes[i] + 1U);
            map->pages = MAX(map->pages, bytes[i] + 1U);
            continue;
        }
        map_put_batch(map, batched, bytes[i] % 2 == 0, out);
        batched = map->slots;
        map->pages = MIN(map->pages, bytes[i] - 0xb0U);
        map->base_limit = MIN(map->base_limit, map->pages);
        for (uint32_t slot = 0; slot < map->slots; slot++)
            if (map->pgno[slot] > map->pages)
                map->pgno[slot] = 0;
        map_put_batch(map, batched, false, out);
    }
    map_put_batch(map, batched, true, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct err err = ERR_INIT;
    struct map written, map;
    struct map_end end;
    struct buf out;

    parse(str_make((const char *)bytes, len), NULL);
    buf_init(&out, 0);
    write_map(bytes, MIN(len, 4096), &written, &out);
    end = (struct map_end){
        .batches = written.batches, .checksum = written.checksum, .pages = written.pages};
    CHECK(map_parse(buf_view(&out), LAYER, PAGE_SIZE, &end, &map, &err) == 0);
    CHECK(map.slots == written.slots && map.base_limit == written.base_limit);
    for (uint32_t i = 0; i < map.slots; i++)
        CHECK(map.pgno[i] == written.pgno[i]);
    map_fini(&map);
    if (len > 2) {
        size_t at = (bytes[0] | (size_t)bytes[1] << 8) % out.len;

        parse(str_make(out.bytes, at), &written);
        out.bytes[at] = (char)(out.bytes[at] ^ (bytes[2] | 1));
        parse(buf_view(&out), &written);
        CHECK(map_parse(buf_view(&out), LAYER, PAGE_SIZE, &end, &map, &err) < 0);
    }
    map_fini(&written);
    buf_fini(&out);
    return 0;
}
