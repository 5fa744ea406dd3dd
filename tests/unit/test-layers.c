/* Map logs, layer files, page checksums, page tables and stacks, below SQLite. */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tenants/base/check.h"
#include "tenants/base/mem.h"
#include "tenants/base/random.h"
#include "tenants/family.h"
#include "tenants/layers/stack.h"
#include "tenants/layers/sums.h"
#include "tenants/vfs_internal.h"
#include "tenants/vfs_io.h"
#include "tests/lib/scratch.h"
#include "tests/lib/tap.h"

#define PAGE 1024
#define ID "00112233445566778899aabbccddeeff"
#define PAGES_MAX 3000 /* of the model */

static char folder[64];
static struct err err;
static uint64_t state;

static uint32_t below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state % n);
}

/* ------------------------------------------------------------------ maps */

static void build(struct map *map, struct buf *out)
{
    buf_init(out, 0);
    map_init(map, PAGE);
    map->pages = map->base_limit = 10;
    map_put_header(map, ID, out);
    map_add(map, 3);
    map_add(map, 12);
    map->pages = 12;
    map_put_batch(map, 0, true, out);
    map->pages = map->base_limit = 5; /* cut, and longer again */
    map_put_batch(map, 2, true, out);
    map_add(map, 9);
    map->pages = 20;
    map_put_batch(map, 2, true, out);
}

static int parse(struct buf *out, size_t len, const struct map_end *end, struct map *map)
{
    err = ERR_INIT;
    return map_parse(str_make(out->bytes, len), ID, PAGE, end, map, &err);
}

static void test_map(void)
{
    struct map map, again;
    struct map_end end;
    struct buf out;
    char saved;

    build(&map, &out);
    end = (struct map_end){.batches = 3, .checksum = map.checksum, .pages = 20};
    is_int(parse(&out, out.len, &end, &again), 0, "a map is read back");
    ok(again.slots == 3 && again.pages == 20 && again.base_limit == 5 && again.batches == 3 &&
            again.bytes == out.len,
        "with its sizes");
    ok(again.pgno[0] == 3 && again.pgno[1] == 0 && again.pgno[2] == 9,
        "what was cut off is forgotten, though the file grew again");
    map_fini(&again);
    for (size_t len = 0; len < out.len; len++) {
        bool frozen_refused = parse(&out, len, &end, &again) < 0 && err.code == ERR_CORRUPT;
        bool torn = parse(&out, len, NULL, &again) == 0 && again.bytes <= len && again.batches < 3;

        if (!frozen_refused || !torn)
            ok(false, "cut at %zu", len);
        if (torn)
            map_fini(&again);
    }
    ok(true, "cut anywhere, it is torn when it is written, damaged when it is frozen");
    for (size_t at = 0; at < out.len; at++) {
        size_t last = out.len - MAP_BATCH_BYTES - 4;
        int rc;

        saved = out.bytes[at];
        out.bytes[at] = (char)(saved ^ 0x10);
        if (parse(&out, out.len, &end, &again) == 0)
            ok(false, "byte %zu changed, frozen", at);
        rc = parse(&out, out.len, NULL, &again);
        if (rc == 0)
            map_fini(&again);
        if ((rc == 0) != (at >= last))
            ok(false, "byte %zu changed: %d", at, rc);
        out.bytes[at] = saved;
    }
    ok(true, "a change is found: only in the last append can it be a torn one");
    end.checksum++;
    ok(parse(&out, out.len, &end, &again) < 0, "a frozen map of another checksum is refused");
    buf_append(&out, "more", 4);
    end.checksum--;
    ok(parse(&out, out.len, &end, &again) < 0, "and one with more behind it");
    map_fini(&map);
    buf_fini(&out);
}

/* ------------------------------------------------------------------ layers and stacks */

static void fill(char page[PAGE], uint32_t pgno, uint32_t number)
{
    memset(page, (int)(pgno * 31 + number), PAGE);
    memcpy(page + 200, &pgno, sizeof(pgno));
    memcpy(page + 204, &number, sizeof(number));
    if (pgno == 1) /* as much of a header as opening looks at */
        memcpy(page, "SQLite format 3\0\4\0\2\2", 20);
}

/* What each page holds: 0 nothing, else a version. */
struct model {
    uint32_t pages;
    uint32_t versions[PAGES_MAX + 1];
};
static struct model model;
static uint32_t version;

static bool same(struct layer_stack *stack, const struct model *want)
{
    struct layer_view *held = NULL;
    char page[PAGE], expected[PAGE];
    bool right = stack_bytes(stack) == (uint64_t)want->pages * PAGE;

    for (uint32_t pgno = 1; pgno <= want->pages + 3 && right; pgno++) {
        int rc = stack_read(stack, &held, page, PAGE, (int64_t)(pgno - 1) * PAGE);

        memset(expected, 0, PAGE);
        if (pgno <= want->pages && want->versions[pgno] != 0)
            fill(expected, pgno, want->versions[pgno]);
        right = rc == (pgno <= want->pages ? SQLITE_OK : SQLITE_IOERR_SHORT_READ) &&
                memcmp(page, expected, PAGE) == 0;
        if (!right)
            (void)printf("# page %u of %u, code %d\n", pgno, want->pages, rc);
    }
    stack_let_go(&held);
    return right;
}

static bool put(struct layer_stack *stack, uint32_t pgno)
{
    char page[PAGE];

    fill(page, pgno, ++version);
    model.versions[pgno] = version;
    model.pages = MAX(model.pages, pgno);
    return stack_write(stack, page, PAGE, (int64_t)(pgno - 1) * PAGE) == SQLITE_OK;
}

static bool cut(struct layer_stack *stack, uint32_t pages)
{
    for (uint32_t i = pages + 1; i <= PAGES_MAX; i++)
        model.versions[i] = 0;
    model.pages = MIN(model.pages, pages);
    return stack_truncate(stack, (int64_t)pages * PAGE) == SQLITE_OK;
}

#define LAYERS_MAX 12
static struct manifest_layer lines[LAYERS_MAX]; /* as a MANIFEST would have them */
static uint32_t line_count;

static struct layer_stack *open_stack(void)
{
    struct layer *layers[LAYERS_MAX];
    struct layer_stack *stack = NULL;

    for (uint32_t i = 0; i < line_count; i++)
        if (layer_open(folder, &lines[i], &layers[i], &err) < 0) {
            (void)printf("# %s\n", err.msg);
            while (i-- > 0)
                layer_unref(layers[i]);
            return NULL;
        }
    if (stack_open(layers, line_count, &stack, &err) < 0)
        return NULL;
    return stack;
}

static void new_line(void)
{
    lines[line_count] = (struct manifest_layer){.kind = MANIFEST_OVER, .page_size = PAGE};
    family_new_id(lines[line_count++].id);
}

/* A base of `pages` pages, all of version 1, and an empty top. */
static void make_base(uint32_t pages)
{
    char page[PAGE], path[200], name[LAYER_NAME_MAX];
    FILE *file;

    memset(&model, 0, sizeof(model));
    line_count = 1;
    version = 1;
    lines[0] = (struct manifest_layer){
        .kind = MANIFEST_BASE, .frozen = true, .page_size = PAGE, .pages = pages};
    family_new_id(lines[0].id);
    (void)snprintf(
        path, sizeof(path), "%s/%s", folder, layer_file_name(LAYER_BASE, lines[0].id, name));
    file = fopen(path, "w");
    CHECK(file != NULL);
    for (uint32_t pgno = 1; pgno <= pages; pgno++) {
        fill(page, pgno, 1);
        CHECK(fwrite(page, PAGE, 1, file) == 1);
        model.versions[pgno] = 1;
    }
    (void)fclose(file);
    model.pages = pages;
    new_line();
}

static bool freeze(struct layer_stack *stack)
{
    struct manifest_layer frozen;
    bool empty;

    if (stack_seal(stack, &frozen, &empty, &err) < 0)
        return false;
    if (empty) {
        stack_unseal(stack);
        return true;
    }
    lines[line_count - 1] = frozen;
    new_line();
    stack_push(stack, layer_new(folder, lines[line_count - 1].id, PAGE));
    return true;
}

static void test_stack_by_hand(void)
{
    struct layer_view *held = NULL;
    struct layer_stack *stack;
    char page[PAGE], half[PAGE];
    struct stat status;
    char path[200], name[LAYER_NAME_MAX];

    make_base(100);
    stack = open_stack();
    ok(stack != NULL, "a base and an empty top are opened");
    (void)snprintf(
        path, sizeof(path), "%s/%s", folder, layer_file_name(LAYER_PAGES, lines[1].id, name));
    ok(put(stack, 1), "page 1 is written");
    ok(same(stack, &model), "the pages are the base's, but for one");
    ok(stack_read(stack, &held, half, 100, 2 * PAGE + 24) == SQLITE_OK &&
            stack_read(stack, &held, page, PAGE, 2 * PAGE) == SQLITE_OK &&
            memcmp(half, page + 24, 100) == 0,
        "part of a page is read");
    is_int(stack_read(stack, &held, page, PAGE, 2 * PAGE + 512), SQLITE_IOERR_READ,
        "not across two pages");
    is_int(stack_write(stack, page, 512, 0), SQLITE_IOERR_WRITE, "nor is half a page written");
    stack_let_go(&held);
    ok(put(stack, 50) && put(stack, 50) && put(stack, 130), "more is written");
    is_int(stack_sync(stack), SQLITE_OK, "and synced");
    ok(stat(path, &status) == 0 && status.st_size == LAYER_HEADER_BYTES + 3 * PAGE,
        "a page that is written again takes no new slot");
    ok(same(stack, &model), "what lies between the base's end and a later page is zeros");
    ok(cut(stack, 40) && put(stack, 120), "cut and longer again");
    ok(same(stack, &model), "nothing comes back");
    is_int(stack_sync(stack), SQLITE_OK, "that is synced");
    stack_close(stack);
    stack = open_stack();
    ok(stack != NULL && same(stack, &model), "opened again it is the same");
    ok(freeze(stack) && same(stack, &model), "a freeze changes nothing");
    ok(line_count == 3 && lines[1].frozen && lines[1].pages == 120, "the MANIFEST has its sizes");
    ok(freeze(stack) && line_count == 3, "an empty top is not frozen");
    ok(put(stack, 2) && put(stack, 120) && cut(stack, 60) && put(stack, 61), "the new top");
    ok(same(stack, &model), "is read");
    stack_close(stack);
    model.pages = 120; /* nothing of that was synced */
    stack = open_stack();
    ok(stack != NULL && stack_bytes(stack) == UINT64_C(120) * PAGE,
        "without a sync there is nothing to open again");
    stack_close(stack);
}

static void test_stack_at_random(void)
{
    static struct model synced;
    struct layer_stack *stack;
    bool right = true;

    make_base(1 + below(1500));
    stack = open_stack();
    right = stack != NULL;
    synced = model;
    for (int i = 0; i < 4000 && right; i++) {
        switch (below(40)) {
        case 0:
            right = cut(stack, below(model.pages + 1));
            break;
        case 1:
            right = stack_sync(stack) == SQLITE_OK;
            synced = model;
            break;
        case 2:
            if (line_count < LAYERS_MAX && below(6) == 0) {
                right = freeze(stack) && same(stack, &model);
                synced = model;
            }
            break;
        case 3:
            if (below(4) > 0)
                break;
            right = stack_sync(stack) == SQLITE_OK && same(stack, &model);
            synced = model;
            stack_close(stack);
            stack = open_stack();
            right = right && stack != NULL && same(stack, &synced);
            break;
        default:
            right = put(stack, 1 + below(MIN(model.pages + 20, PAGES_MAX)));
        }
    }
    ok(right && same(stack, &model), "a stack is what was written, %u layers", line_count);
    if (stack != NULL)
        stack_close(stack);
}

static bool change_byte(int fd, off_t at)
{
    char c;

    if (pread(fd, &c, 1, at) != 1)
        return false;
    c = (char)~c;
    return pwrite(fd, &c, 1, at) == 1;
}

static void test_damage(void)
{
    char path[200], name[LAYER_NAME_MAX];
    struct layer_stack *stack;
    struct layer *layer;
    int fd;

    make_base(20);
    stack = open_stack();
    ok(put(stack, 3) && put(stack, 4) && freeze(stack), "a frozen layer");
    stack_close(stack);
    is_int(layer_open(folder, &lines[1], &layer, &err), 0, "is opened");
    ok(sums_check(layer, &err) < 0 && err.code == ERR_NOT_FOUND, "it has no checksums yet");
    is_int(sums_write(layer, &err), 0, "they are written");
    is_int(sums_check(layer, &err), 0, "and are right");
    (void)snprintf(
        path, sizeof(path), "%s/%s", folder, layer_file_name(LAYER_PAGES, layer->id, name));
    fd = open(path, O_RDWR | O_CLOEXEC);
    ok(change_byte(fd, LAYER_HEADER_BYTES + PAGE + 7), "a byte of a page is changed");
    ok(sums_check(layer, &err) < 0 && err.code == ERR_CORRUPT && strstr(err.msg, "page 4") != NULL,
        "the checksums tell which page");
    ok(change_byte(fd, 25), "a byte of the header is changed");
    (void)close(fd);
    layer_unref(layer);
    ok(layer_open(folder, &lines[1], &layer, &err) < 0 && err.code == ERR_CORRUPT,
        "the layer is refused");
    (void)unlink(path);
    ok(layer_open(folder, &lines[1], &layer, &err) < 0 && err.code == ERR_CORRUPT,
        "and when it is missing");
    lines[0].pages++;
    ok(layer_open(folder, &lines[0], &layer, &err) < 0 && err.code == ERR_CORRUPT,
        "a base that is cut off is refused");
}

/* ------------------------------------------------------------------ a disk that fails */

static int fail_at, calls;

static bool fails(void)
{
    return ++calls == fail_at;
}

static ssize_t on_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    if (!fails())
        return pwritev(fd, parts, count, offset);
    errno = ENOSPC;
    return -1;
}

static int on_open(const char *path, int flags, mode_t mode)
{
    if ((flags & O_CREAT) == 0 || !fails())
        return open(path, flags, mode);
    errno = ENOSPC;
    return -1;
}

static void test_full_disk(void)
{
    static const struct vfs_io_hooks hooks = {.pwritev = on_pwritev, .open = on_open};
    bool right = true;
    int n = 0;

    for (fail_at = 1; right && fail_at <= calls + 1; fail_at++, n++) {
        struct layer_stack *stack;

        make_base(30);
        stack = open_stack();
        calls = 0;
        vfs_io_hooks = &hooks;
        for (uint32_t pgno = 5; pgno < 9; pgno++)
            if (!put(stack, pgno))
                right = put(stack, pgno); /* as the next checkpoint would */
        if (stack_sync(stack) != SQLITE_OK)
            right = right && stack_sync(stack) == SQLITE_OK;
        vfs_io_hooks = NULL;
        right = right && same(stack, &model);
        stack_close(stack);
        stack = open_stack();
        right = right && stack != NULL && same(stack, &model);
        if (stack != NULL)
            stack_close(stack);
    }
    ok(right && n > 5, "a full disk at any of %d calls: it is tried again, and right", n - 1);
}

int main(int argc, char **argv)
{
    state = (argc > 1 ? strtoull(argv[1], NULL, 10) : random_u64()) | 1;
    (void)printf("# seed %llu\n", (unsigned long long)state);
    CHECK(scratch_make(folder, sizeof(folder), "/tmp") == 0);
    test_map();
    test_stack_by_hand();
    for (int i = 0; i < 8; i++)
        test_stack_at_random();
    test_damage();
    test_full_disk();
    (void)scratch_remove(folder);
    return done_testing();
}
