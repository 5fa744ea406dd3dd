#include "tenants/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/base/hash.h"
#include "tenants/base/mem.h"

#define CHECKSUM_WORD "crc32c "
#define CHECKSUM_LINE_BYTES (sizeof(CHECKSUM_WORD) - 1 + 8 + 1)

struct reader {
    struct str rest; /* what is left, checksum line cut off */
    struct str line;
    unsigned line_number;
    struct manifest *manifest;
    struct err *err;
    size_t capacity[4]; /* of layers, heads, snapshots, drops */
};

enum item { LAYERS, HEADS, SNAPSHOTS, DROPS };

static int fail(struct reader *reader, const char *what)
{
    return err_set(reader->err, ERR_CORRUPT, "MANIFEST line %u: %s", reader->line_number, what);
}

/* ------------------------------------------------------------------ words */

/* The next word of the line; words are divided by one blank. ptr is NULL when there is none. */
static struct str next_word(struct reader *reader)
{
    return str_split(&reader->line, ' ');
}

bool manifest_is_id(struct str text)
{
    if (text.len != ID_HEX_BYTES - 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return true;
}

static int read_id(struct reader *reader, char out[ID_HEX_BYTES])
{
    struct str word = next_word(reader);

    if (!manifest_is_id(word))
        return fail(reader, "an id of 32 hex digits was expected");
    memcpy(out, word.ptr, word.len);
    out[word.len] = '\0';
    return 0;
}

/* No leading zeros: one number has one spelling. */
static int read_number(struct reader *reader, uint64_t max, uint64_t *ret_value)
{
    struct str word = next_word(reader);

    if (str_to_u64(word, ret_value) < 0 || *ret_value > max || (word.len > 1 && word.ptr[0] == '0'))
        return fail(reader, "a number was expected");
    return 0;
}

static int read_u32(struct reader *reader, uint32_t *ret_value)
{
    uint64_t value;

    if (read_number(reader, UINT32_MAX, &value) < 0)
        return -1;
    *ret_value = (uint32_t)value;
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Eight lower-case hex digits. */
static int parse_hex32(struct str word, uint32_t *ret_value)
{
    uint32_t value = 0;

    if (word.len != 8)
        return -1;
    for (size_t i = 0; i < word.len; i++) {
        int digit = hex_value(word.ptr[i]);

        if (digit < 0)
            return -1;
        value = value << 4 | (uint32_t)digit;
    }
    *ret_value = value;
    return 0;
}

static bool is_name_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.' || c == '/' || c == '@' || c == '+' || c == '#';
}

bool manifest_is_name(struct str text)
{
    if (text.ptr == NULL || text.len == 0 || text.len > MANIFEST_NAME_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_name_byte(text.ptr[i]))
            return false;
    return true;
}

static int read_name(struct reader *reader, bool is_file, char out[MANIFEST_NAME_MAX + 1])
{
    struct str word = next_word(reader);

    if (!manifest_is_name(word) || (is_file && str_find(word, '/') < word.len))
        return fail(reader, "a name was expected");
    if (is_file && (str_is(word, ".") || str_is(word, "..") || str_is(word, "MANIFEST")))
        return fail(reader, "not the name of a file that may be dropped");
    memcpy(out, word.ptr, word.len);
    out[word.len] = '\0';
    return 0;
}

static int end_of_line(struct reader *reader)
{
    return reader->line.ptr == NULL ? 0 : fail(reader, "more words than expected");
}

/* ------------------------------------------------------------------ arrays */

/* Room for one more of `size` bytes, zeroed. */
static void *add_item(
    struct reader *reader, enum item item, void *array, size_t *count, size_t size)
{
    void **items = array;
    size_t *capacity = &reader->capacity[item];
    char *added;

    if (*count == *capacity) {
        *capacity = *capacity == 0 ? 4 : *capacity * 2;
        *items = mem_realloc(*items, *capacity * size);
    }
    added = (char *)*items + *count * size;
    memset(added, 0, size);
    (*count)++;
    return added;
}

/* ------------------------------------------------------------------ lines */

static int read_layer(struct reader *reader)
{
    struct manifest *manifest = reader->manifest;
    struct manifest_layer *layer = add_item(
        reader, LAYERS, &manifest->layers, &manifest->layer_count, sizeof(*manifest->layers));
    struct str kind;

    if (read_id(reader, layer->id) < 0)
        return -1;
    kind = next_word(reader);
    if (str_is(kind, "base"))
        layer->kind = MANIFEST_BASE;
    else if (str_is(kind, "over"))
        layer->kind = MANIFEST_OVER;
    else
        return fail(reader, "'base' or 'over' was expected");
    if (read_u32(reader, &layer->page_size) < 0 || read_u32(reader, &layer->pages) < 0)
        return -1;
    if (layer->page_size < 512 || layer->page_size > 65536 ||
        (layer->page_size & (layer->page_size - 1)) != 0)
        return fail(reader, "not a page size");
    layer->frozen = reader->line.ptr != NULL;
    if (!layer->frozen)
        return layer->pages == 0 ? 0 : fail(reader, "pages are counted when a layer is frozen");
    if (read_u32(reader, &layer->batches) < 0)
        return -1;
    if (parse_hex32(next_word(reader), &layer->map_checksum) < 0)
        return fail(reader, "the checksum of a map was expected");
    return end_of_line(reader);
}

static int read_stack(struct reader *reader, struct manifest_stack *stack)
{
    size_t capacity = 0;

    while (reader->line.ptr != NULL) {
        if (stack->count == MANIFEST_STACK_MAX)
            return fail(reader, "too many layers in a stack");
        if (stack->count == capacity) {
            capacity = capacity == 0 ? 2 : capacity * 2;
            stack->layers = mem_realloc(stack->layers, capacity * sizeof(*stack->layers));
        }
        if (read_id(reader, stack->layers[stack->count]) < 0)
            return -1;
        stack->count++;
    }
    return stack->count > 0 ? 0 : fail(reader, "a stack has at least one layer");
}

static int read_head(struct reader *reader)
{
    struct manifest *manifest = reader->manifest;
    struct manifest_head *head =
        add_item(reader, HEADS, &manifest->heads, &manifest->head_count, sizeof(*manifest->heads));

    if (read_id(reader, head->id) < 0 || read_name(reader, false, head->ref) < 0)
        return -1;
    return read_stack(reader, &head->stack);
}

static int read_snapshot(struct reader *reader)
{
    struct manifest *manifest = reader->manifest;
    struct manifest_snapshot *snapshot = add_item(reader, SNAPSHOTS, &manifest->snapshots,
        &manifest->snapshot_count, sizeof(*manifest->snapshots));

    if (read_name(reader, false, snapshot->name) < 0)
        return -1;
    return read_stack(reader, &snapshot->stack);
}

static int read_drop(struct reader *reader)
{
    struct manifest *manifest = reader->manifest;
    struct manifest_drop *drop =
        add_item(reader, DROPS, &manifest->drops, &manifest->drop_count, sizeof(*manifest->drops));

    if (read_name(reader, true, drop->file) < 0)
        return -1;
    return end_of_line(reader);
}

static int read_first_line(struct reader *reader)
{
    struct str word;
    uint64_t format;

    if (!str_is(next_word(reader), "rookery-family"))
        return fail(reader, "this is no MANIFEST of a family");
    if (read_number(reader, UINT64_MAX, &format) < 0)
        return -1;
    if (format != MANIFEST_FORMAT)
        return fail(reader, "a format that this version does not know");
    word = reader->line;
    if (!str_starts_with(word, "gen="))
        return fail(reader, "gen=<number> was expected");
    reader->line = str_make(word.ptr + 4, word.len - 4);
    if (read_number(reader, UINT64_MAX, &reader->manifest->generation) < 0)
        return -1;
    return end_of_line(reader);
}

/* Lines come in this order; each kind may be absent. */
static const struct {
    const char *word;
    int (*read)(struct reader *reader);
} line_kinds[] = {
    {"layer", read_layer},
    {"head", read_head},
    {"snapshot", read_snapshot},
    {"drop", read_drop},
};

static int read_lines(struct reader *reader)
{
    size_t kind = 0;

    while (reader->rest.ptr != NULL && reader->rest.len > 0) {
        struct str word;

        reader->line = str_split(&reader->rest, '\n');
        if (++reader->line_number > MANIFEST_LINES_MAX)
            return fail(reader, "too many lines");
        if (reader->line_number == 1) {
            if (read_first_line(reader) < 0)
                return -1;
            continue;
        }
        word = next_word(reader);
        while (kind < ARRAY_LEN(line_kinds) && !str_is(word, line_kinds[kind].word))
            kind++;
        if (kind == ARRAY_LEN(line_kinds))
            return fail(reader, "an unknown line, or one out of order");
        if (line_kinds[kind].read(reader) < 0)
            return -1;
    }
    return 0;
}

/* ------------------------------------------------------------------ what it means */

static int by_text(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;

    return strcmp(*x, *y);
}

/* `stride` bytes from text to text. False when two are the same. Sorted copy of pointers, so that
 * a manifest of many lines is checked in time. */
static bool all_different(const void *texts, size_t count, size_t stride)
{
    const char **sorted;
    bool different = true;

    if (count < 2)
        return true;
    sorted = mem_alloc(count * sizeof(*sorted));
    for (size_t i = 0; i < count; i++)
        sorted[i] = (const char *)texts + i * stride;
    qsort(sorted, count, sizeof(*sorted), by_text);
    for (size_t i = 1; i < count && different; i++)
        different = strcmp(sorted[i - 1], sorted[i]) != 0;
    mem_free(sorted);
    return different;
}

const struct manifest_layer *manifest_find_layer(const struct manifest *manifest, const char *id)
{
    for (size_t i = 0; i < manifest->layer_count; i++)
        if (strcmp(manifest->layers[i].id, id) == 0)
            return &manifest->layers[i];
    return NULL;
}

const struct manifest_head *manifest_find_head(const struct manifest *manifest, const char *id)
{
    for (size_t i = 0; i < manifest->head_count; i++)
        if (strcmp(manifest->heads[i].id, id) == 0)
            return &manifest->heads[i];
    return NULL;
}

static int by_id(const void *a, const void *b)
{
    const struct manifest_layer *const *x = a;
    const struct manifest_layer *const *y = b;

    return strcmp((*x)->id, (*y)->id);
}

struct index {
    const struct manifest_layer **layers; /* owned, by id */
    size_t count;
};

static const struct manifest_layer *find_in(const struct index *index, const char *id)
{
    size_t low = 0, high = index->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(index->layers[middle]->id, id);

        if (order == 0)
            return index->layers[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static int check_stack(
    struct reader *reader, const struct index *index, const struct manifest_stack *stack)
{
    for (size_t i = 0; i < stack->count; i++) {
        const struct manifest_layer *layer = find_in(index, stack->layers[i]);

        if (layer == NULL)
            return fail(reader, "a stack names a layer that is not there");
        if ((layer->kind == MANIFEST_BASE) != (i == 0))
            return fail(reader, "a stack has a base at its bottom and only there");
        if (i + 1 < stack->count && !layer->frozen)
            return fail(reader, "a layer that is written has another on top");
    }
    return 0;
}

/* Each layer that is written is the top of exactly one head, and of no snapshot. */
static int check_tops(struct reader *reader, const struct index *index)
{
    const struct manifest *manifest = reader->manifest;
    const char **tops = mem_alloc((manifest->head_count + 1) * sizeof(*tops));
    size_t count = 0;
    bool shared = false;
    size_t written = 0;

    for (size_t i = 0; i < manifest->head_count; i++) {
        const struct manifest_stack *stack = &manifest->heads[i].stack;
        const struct manifest_layer *top = find_in(index, stack->layers[stack->count - 1]);

        if (top != NULL && !top->frozen)
            tops[count++] = top->id;
    }
    qsort(tops, count, sizeof(*tops), by_text);
    for (size_t i = 1; i < count; i++)
        shared = shared || strcmp(tops[i - 1], tops[i]) == 0;
    mem_free(tops);
    for (size_t i = 0; i < manifest->layer_count; i++)
        written += !manifest->layers[i].frozen;
    if (shared)
        return fail(reader, "two heads write one layer");
    if (count != manifest->head_count)
        return fail(reader, "a head has no layer to write");
    return written == count ? 0 : fail(reader, "a layer is written by no head");
}

static int check_stacks(struct reader *reader, const struct index *index)
{
    const struct manifest *manifest = reader->manifest;

    for (size_t i = 0; i < manifest->head_count; i++)
        if (check_stack(reader, index, &manifest->heads[i].stack) < 0)
            return -1;
    for (size_t i = 0; i < manifest->snapshot_count; i++) {
        const struct manifest_stack *stack = &manifest->snapshots[i].stack;
        const struct manifest_layer *top = find_in(index, stack->layers[stack->count - 1]);

        if (top != NULL && !top->frozen)
            return fail(reader, "a snapshot has a layer that is written");
        if (check_stack(reader, index, stack) < 0)
            return -1;
    }
    return check_tops(reader, index);
}

static int check_meaning(struct reader *reader)
{
    const struct manifest *manifest = reader->manifest;
    struct index index = {.count = manifest->layer_count};
    int rc;

    if (!all_different(manifest->layers, manifest->layer_count, sizeof(*manifest->layers)) ||
        !all_different(manifest->heads, manifest->head_count, sizeof(*manifest->heads)))
        return fail(reader, "an id is there twice");
    if ((manifest->head_count > 0 && !all_different(manifest->heads[0].ref, manifest->head_count,
                                         sizeof(*manifest->heads))) ||
        !all_different(manifest->snapshots, manifest->snapshot_count, sizeof(*manifest->snapshots)))
        return fail(reader, "a name is there twice");
    for (size_t i = 1; i < manifest->layer_count; i++)
        if (manifest->layers[i].page_size != manifest->layers[0].page_size)
            return fail(reader, "a family has one page size");
    index.layers = mem_alloc((index.count + 1) * sizeof(void *));
    for (size_t i = 0; i < index.count; i++)
        index.layers[i] = &manifest->layers[i];
    qsort(index.layers, index.count, sizeof(void *), by_id);
    rc = check_stacks(reader, &index);
    mem_free(index.layers);
    return rc;
}

/* ------------------------------------------------------------------ the whole */

/* Cuts off the last line and compares. */
static int check_checksum(struct str text, struct str *ret_body, struct err *ret_err)
{
    struct str last;
    uint32_t want;

    if (text.len > MANIFEST_BYTES_MAX)
        return err_set(ret_err, ERR_CORRUPT, "MANIFEST is longer than any may be");
    if (text.len <= CHECKSUM_LINE_BYTES || text.ptr[text.len - 1] != '\n')
        return err_set(ret_err, ERR_CORRUPT, "MANIFEST is cut off");
    last = str_make(text.ptr + text.len - CHECKSUM_LINE_BYTES, CHECKSUM_LINE_BYTES - 1);
    *ret_body = str_make(text.ptr, text.len - CHECKSUM_LINE_BYTES);
    if (!str_starts_with(last, CHECKSUM_WORD) || ret_body->ptr[ret_body->len - 1] != '\n' ||
        parse_hex32(str_make(last.ptr + sizeof(CHECKSUM_WORD) - 1, 8), &want) < 0)
        return err_set(ret_err, ERR_CORRUPT, "MANIFEST has no checksum at its end");
    if (want != crc32c(0, ret_body->ptr, ret_body->len))
        return err_set(ret_err, ERR_CORRUPT, "MANIFEST does not match its checksum");
    return 0;
}

int manifest_parse(struct str text, struct manifest *ret_manifest, struct err *ret_err)
{
    struct manifest manifest = {.generation = 0};
    struct reader reader = {.manifest = &manifest, .err = ret_err};

    if (check_checksum(text, &reader.rest, ret_err) < 0)
        return -1;
    if (read_lines(&reader) < 0 || check_meaning(&reader) < 0) {
        manifest_fini(&manifest);
        return -1;
    }
    *ret_manifest = manifest;
    return 0;
}

static void print_stack(const struct manifest_stack *stack, struct buf *out)
{
    for (size_t i = 0; i < stack->count; i++)
        buf_printf(out, " %s", stack->layers[i]);
    buf_char(out, '\n');
}

void manifest_print(const struct manifest *manifest, struct buf *out)
{
    size_t start = out->len;

    buf_printf(out, "rookery-family %d gen=%llu\n", MANIFEST_FORMAT,
        (unsigned long long)manifest->generation);
    for (size_t i = 0; i < manifest->layer_count; i++) {
        const struct manifest_layer *layer = &manifest->layers[i];

        buf_printf(out, "layer %s %s %u %u", layer->id,
            layer->kind == MANIFEST_BASE ? "base" : "over", layer->page_size, layer->pages);
        if (layer->frozen)
            buf_printf(out, " %u %08x", layer->batches, layer->map_checksum);
        buf_char(out, '\n');
    }
    for (size_t i = 0; i < manifest->head_count; i++) {
        buf_printf(out, "head %s %s", manifest->heads[i].id, manifest->heads[i].ref);
        print_stack(&manifest->heads[i].stack, out);
    }
    for (size_t i = 0; i < manifest->snapshot_count; i++) {
        buf_printf(out, "snapshot %s", manifest->snapshots[i].name);
        print_stack(&manifest->snapshots[i].stack, out);
    }
    for (size_t i = 0; i < manifest->drop_count; i++)
        buf_printf(out, "drop %s\n", manifest->drops[i].file);
    if (!out->failed)
        buf_printf(out, CHECKSUM_WORD "%08x\n", crc32c(0, out->bytes + start, out->len - start));
}

void manifest_fini(struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->head_count; i++)
        mem_free(manifest->heads[i].stack.layers);
    for (size_t i = 0; i < manifest->snapshot_count; i++)
        mem_free(manifest->snapshots[i].stack.layers);
    mem_free(manifest->layers);
    mem_free(manifest->heads);
    mem_free(manifest->snapshots);
    mem_free(manifest->drops);
    *manifest = (struct manifest){.generation = 0};
}
