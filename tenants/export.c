#include "tenants/export.h"

#include <sqlite3.h>

#include "tenants/sql_error.h"

#define PIECE_BYTES (128UL * 1024)
#define AT_VERSIONS 18 /* of the file format, to write and to read: 1 rollback mode, 2 WAL */
#define AT_CHANGES 24
#define AT_PAGES 28
#define AT_VALID_FOR 92
#define HEADER_BYTES 100

static int read_number(struct sqlite3 *db, const char *sql, uint32_t *ret_number, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *ret_number = (uint32_t)sqlite3_column_int64(stmt, 0);
    else
        (void)sql_err_set(err, db, rc);
    (void)sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? 0 : -1;
}

static int start(struct export_file *export, struct sqlite3 *db, struct err *ret_err)
{
    int rc;

    if (read_number(db, "PRAGMA page_size", &export->page_bytes, ret_err) < 0 ||
        read_number(db, "PRAGMA page_count", &export->page_count, ret_err) < 0)
        return -1;
    rc = sqlite3_prepare_v2(
        db, "SELECT data FROM sqlite_dbpage ORDER BY pgno", -1, &export->pages, NULL);
    if (rc == SQLITE_ERROR)
        return err_set(ret_err, ERR_NOT_IMPLEMENTED,
            "the SQLite that this server was built with lacks the table sqlite_dbpage, which files "
            "are exported by; export as SQL instead");
    if (rc != SQLITE_OK)
        return sql_err_set(ret_err, db, rc);
    export->total_bytes = (uint64_t) export->page_bytes * export->page_count;
    export->next = 1;
    return 0;
}

static void put_u32(unsigned char *at, uint32_t value)
{
    for (int i = 3; i >= 0; i--, value >>= 8)
        at[i] = (unsigned char)value;
}

/* As if a checkpoint had brought all of it into the file, and the file had left WAL mode: nothing
 * beside the file is needed to read it. */
static void settle_header(unsigned char *header, uint32_t pages)
{
    header[AT_VERSIONS] = 1;
    header[AT_VERSIONS + 1] = 1;
    put_u32(header + AT_PAGES, pages);
    memcpy(header + AT_VALID_FOR, header + AT_CHANGES, 4);
}

static int add_page(
    struct export_file *export, struct sqlite3 *db, struct buf *out, struct err *err)
{
    int rc = sqlite3_step(export->pages);
    const void *page;

    if (rc == SQLITE_DONE)
        return err_set(err, ERR_CORRUPT, "the database has fewer pages than its header says");
    if (rc != SQLITE_ROW)
        return sql_err_set(err, db, rc);
    page = sqlite3_column_blob(export->pages, 0);
    if (page == NULL || (uint32_t)sqlite3_column_bytes(export->pages, 0) != export->page_bytes)
        return err_set(err, ERR_NOMEM, "no memory for a page");
    buf_append(out, page, export->page_bytes);
    if (export->next == 1 && !out->failed)
        settle_header(
            (unsigned char *)out->bytes + out->len - export->page_bytes, export->page_count);
    export->next++;
    return 0;
}

static int produce(
    struct producer *producer, struct sqlite3 *db, struct buf *out, struct err *ret_err)
{
    struct export_file *export = CONTAINER_OF(producer, struct export_file, producer);
    size_t before = out->len;

    if (export->pages == NULL && start(export, db, ret_err) < 0)
        return -1;
    while (export->next <= export->page_count && out->len - before < PIECE_BYTES && !out->failed) {
        if (add_page(export, db, out, ret_err) < 0)
            return -1;
    }
    return export->next <= export->page_count;
}

static void end(struct producer *producer)
{
    struct export_file *export = CONTAINER_OF(producer, struct export_file, producer);

    (void)sqlite3_finalize(export->pages);
    export->pages = NULL;
}

void export_file_init(struct export_file *export)
{
    *export = (struct export_file){.producer = {.produce = produce, .end = end}};
}
