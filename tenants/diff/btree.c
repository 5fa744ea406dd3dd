#include "tenants/diff/btree.h"

#define PAGE_ONE_HEADER 100
#define RECORD_HEADER_MAX (1U << 20) /* 32,767 columns of 9 bytes, and more */

static uint32_t get_u16(const unsigned char *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

int btree_page(const unsigned char *bytes, uint32_t usable, uint32_t pgno, struct btree_page *ret)
{
    uint32_t header = pgno == 1 ? PAGE_ONE_HEADER : 0;
    enum btree_type type = BTREE_NONE;

    switch (bytes[header]) {
    case BTREE_INDEX_INTERIOR:
        type = BTREE_INDEX_INTERIOR;
        break;
    case BTREE_TABLE_INTERIOR:
        type = BTREE_TABLE_INTERIOR;
        break;
    case BTREE_INDEX_LEAF:
        type = BTREE_INDEX_LEAF;
        break;
    case BTREE_TABLE_LEAF:
        type = BTREE_TABLE_LEAF;
        break;
    default:
        return -1;
    }
    *ret = (struct btree_page){.bytes = bytes,
        .usable = usable,
        .header = header,
        .type = type,
        .cells = get_u16(bytes + header + 3)};
    if (!btree_is_leaf(ret))
        ret->right_child = btree_u32(bytes + header + 8);
    if (header + (btree_is_leaf(ret) ? 8 : 12) + 2 * ret->cells > usable)
        return -1;
    return 0;
}

uint32_t btree_varint(const unsigned char *at, size_t len, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < 8 && i < len; i++) {
        value = value << 7 | (at[i] & 0x7f);
        if ((at[i] & 0x80) == 0) {
            *ret_value = value;
            return i + 1;
        }
    }
    if (len < 9)
        return 0;
    *ret_value = value << 8 | at[8];
    return 9;
}

/* How many bytes of a payload stay on the page. */
static uint32_t local_bytes(const struct btree_page *page, uint64_t payload)
{
    uint32_t usable = page->usable;
    uint32_t most = btree_is_index(page) ? (usable - 12) * 64 / 255 - 23 : usable - 35;
    uint32_t least = (usable - 12) * 32 / 255 - 23;
    uint64_t some;

    if (payload <= most)
        return (uint32_t)payload;
    some = least + (payload - least) % (usable - 4);
    return some <= most ? (uint32_t)some : least;
}

int btree_cell(const struct btree_page *page, uint32_t index, struct btree_cell *ret)
{
    uint32_t first = page->header + (btree_is_leaf(page) ? 8 : 12);
    uint32_t start = get_u16(page->bytes + first + (size_t)2 * index);
    uint32_t at = start, n, local;
    uint64_t value;

    *ret = (struct btree_cell){.left_child = 0};
    if (start < first || start + 4 > page->usable)
        return -1;
    if (!btree_is_leaf(page)) {
        ret->left_child = btree_u32(page->bytes + at);
        at += 4;
    }
    if (page->type != BTREE_TABLE_INTERIOR) {
        n = btree_varint(page->bytes + at, page->usable - at, &ret->payload);
        at += n;
        if (n == 0 || ret->payload > INT32_MAX)
            return -1;
    }
    if (!btree_is_index(page)) {
        n = btree_varint(page->bytes + at, page->usable - at, &value);
        at += n;
        ret->rowid = (int64_t)value;
        if (n == 0)
            return -1;
    }
    local = page->type == BTREE_TABLE_INTERIOR ? 0 : local_bytes(page, ret->payload);
    if (local > page->usable - at)
        return -1;
    ret->local = str_make((const char *)page->bytes + at, local);
    at += local;
    if (ret->payload > local) {
        if (page->usable - at < 4)
            return -1;
        ret->overflow = btree_u32(page->bytes + at);
        at += 4;
    }
    ret->raw = str_make((const char *)page->bytes + start, at - start);
    return 0;
}

static uint64_t serial_bytes(uint64_t serial)
{
    static const unsigned char fixed[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0};

    return serial < 12 ? fixed[serial] : (serial - 12) / 2;
}

int btree_fields(struct str record, struct btree_field *fields, uint32_t count, uint64_t *ret_need)
{
    const unsigned char *bytes = (const unsigned char *)record.ptr;
    uint64_t header, offset;
    uint32_t at = btree_varint(bytes, record.len, &header);

    if (at == 0 || header > RECORD_HEADER_MAX || header < at)
        return -1;
    *ret_need = header;
    if (header > record.len)
        return 0;
    offset = header;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t n = btree_varint(bytes + at, header - at, &fields[i].serial);

        if (n == 0 || fields[i].serial == 10 || fields[i].serial == 11)
            return -1;
        at += n;
        fields[i].offset = offset;
        fields[i].len = serial_bytes(fields[i].serial);
        offset += fields[i].len;
    }
    *ret_need = offset;
    return 0;
}
