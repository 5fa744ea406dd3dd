#include "tenants/diff/side.h"

#include <sqlite3.h>

#include "tenants/base/mem.h"
#include "tenants/sql_error.h"

#define PAGE_SIZE_MAX 65536
#define LOCK_BYTE UINT32_C(0x40000000) /* no page that holds this byte is ever used */

static int read_u32(struct sqlite3 *db, const char *sql, uint32_t *ret_value, struct err *ret_err)
{
    struct sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *ret_value = (uint32_t)sqlite3_column_int64(statement, 0);
    else
        (void)sql_err_set(ret_err, db, sqlite3_errcode(db));
    (void)sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? 0 : -1;
}

static int read_header(struct side *side, struct err *ret_err)
{
    unsigned char *header = mem_zalloc(PAGE_SIZE_MAX);
    int rc = side->pages == 0 ? 0 : side_page(side, 1, header, ret_err);
    uint32_t encoding = btree_u32(header + 56);

    if (rc == 0) {
        side->usable = side->page_size - header[20];
        side->free_trunk = btree_u32(header + 32);
        side->auto_vacuum = btree_u32(header + 52) != 0;
        side->encoding = encoding == 2   ? SQLITE_UTF16LE
                         : encoding == 3 ? SQLITE_UTF16BE
                                         : SQLITE_UTF8;
    }
    mem_free(header);
    return rc;
}

int side_open(struct side *side, struct sqlite3 *db, struct arena *arena, uint64_t *pages_read,
    struct err *ret_err)
{
    *side = (struct side){.db = db, .pages_read = pages_read};
    if (read_u32(db, "PRAGMA main.page_count", &side->pages, ret_err) < 0 ||
        read_u32(db, "PRAGMA main.page_size", &side->page_size, ret_err) < 0)
        return -1;
    side->usable = side->page_size;
    if (sqlite3_prepare_v2(db, "SELECT data FROM sqlite_dbpage('main') WHERE pgno = ?1", -1,
            &side->page, NULL) == SQLITE_OK &&
        read_header(side, ret_err) < 0)
        return -1;
    return shapes_load(db, arena, &side->shapes, ret_err);
}

void side_close(struct side *side)
{
    (void)sqlite3_finalize(side->page);
    side->page = NULL;
}

int side_page(struct side *side, uint32_t pgno, unsigned char *out, struct err *ret_err)
{
    int rc;

    if (pgno == 0 || pgno > side->pages) {
        memset(out, 0, side->page_size);
        return 0;
    }
    (*side->pages_read)++;
    (void)sqlite3_bind_int64(side->page, 1, pgno);
    rc = sqlite3_step(side->page);
    if (rc == SQLITE_ROW && sqlite3_column_bytes(side->page, 0) == (int)side->page_size)
        memcpy(out, sqlite3_column_blob(side->page, 0), side->page_size);
    else if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        rc = err_set(ret_err, ERR_CORRUPT, "page %u cannot be read", pgno);
    else
        rc = sql_err_set(ret_err, side->db, rc);
    (void)sqlite3_reset(side->page);
    return rc < 0 ? -1 : 0;
}

/* File format, section 1.8: page 2, and then one for as many pages as it has entries of 5 bytes; a
 * page later where the lock byte's page would be one. */
bool side_is_pointer_map(const struct side *side, uint32_t pgno)
{
    uint32_t run = side->usable / 5 + 1;
    uint32_t map;

    if (!side->auto_vacuum || pgno < 2)
        return false;
    map = (pgno - 2) / run * run + 2;
    if (map == LOCK_BYTE / side->page_size + 1)
        map++;
    return map == pgno;
}

int side_payload(struct side *side, const struct btree_cell *cell, uint64_t need, struct buf *room,
    struct err *ret_err)
{
    uint32_t next = cell->overflow;
    unsigned char *page;
    int rc = 0;

    buf_reset(room, 1U << 20);
    buf_append(room, cell->local.ptr, cell->local.len);
    if (room->len >= need)
        return 0;
    page = mem_alloc(side->page_size);
    while (rc == 0 && room->len < need && !room->failed) {
        size_t len = (size_t)MIN(cell->payload - room->len, side->usable - 4);

        if (next == 0 || next > side->pages || len == 0)
            rc = err_set(ret_err, ERR_CORRUPT, "an overflow chain ends too early");
        else
            rc = side_page(side, next, page, ret_err);
        if (rc == 0) {
            buf_append(room, page + 4, len);
            next = btree_u32(page);
        }
    }
    mem_free(page);
    if (rc == 0 && room->failed)
        return err_set(ret_err, ERR_TOO_LARGE, "a key is too long to be compared");
    return rc;
}
