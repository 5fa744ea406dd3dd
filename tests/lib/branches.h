/* A family with branches through SQLite, and what each should hold: for tests and benches of page
 * layers. One table of small numbers, kept twice. One program, one thread. */
#ifndef TESTS_LIB_BRANCHES_H
#define TESTS_LIB_BRANCHES_H

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/base/check.h"
#include "tenants/layers/branches.h"
#include "tenants/vfs.h"

#define ROWS 240

struct content {
    int rows[ROWS]; /* 0: no such row */
};

struct branch {
    bool live;
    char ref[MANIFEST_NAME_MAX + 1];
    char head_id[ID_HEX_BYTES];
    struct family_head *layers; /* NULL: closed */
    struct vfs_head *head;
    sqlite3 *db;
    struct content content;
};

__attribute__((unused)) static sqlite3 *branch_connect(struct vfs_head *head)
{
    sqlite3 *db = NULL;

    if (sqlite3_open_v2(vfs_head_name(head), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
            VFS_NAME) != SQLITE_OK)
        return db;
    (void)sqlite3_exec(db,
        "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=10;"
        "PRAGMA journal_size_limit=100000",
        NULL, NULL, NULL);
    return db;
}

__attribute__((unused)) static int branch_open(
    struct branch *branch, struct family *family, const struct vfs_events *events, struct err *err)
{
    struct vfs_head_options options = {.temp_dir = "/tmp"};
    const struct family_paths *files;

    if (family_head_open(family, branch->head_id, &branch->layers, err) < 0)
        return -1;
    files = family_head_files(branch->layers);
    options.stack = family_head_stack(branch->layers);
    options.wal_path = files->wal_path;
    options.placeholder_path = files->placeholder_path;
    if (events != NULL)
        options.events = *events;
    if (vfs_head_open(&options, &branch->head, err) < 0) {
        family_head_close(branch->layers);
        branch->layers = NULL;
        return -1;
    }
    branch->db = branch_connect(branch->head);
    return 0;
}

__attribute__((unused)) static void branch_close(struct branch *branch)
{
    if (branch->layers == NULL)
        return;
    vfs_checkpoint_section(true);
    (void)sqlite3_close(branch->db);
    vfs_checkpoint_section(false);
    vfs_head_close(branch->head);
    family_head_close(branch->layers);
    branch->db = NULL;
    branch->head = NULL;
    branch->layers = NULL;
}

__attribute__((unused)) static int branch_run(struct branch *branch, const char *sql)
{
    return sqlite3_exec(branch->db, sql, NULL, NULL, NULL);
}

__attribute__((unused)) static int branch_checkpoint(struct branch *branch, int mode)
{
    int rc;

    vfs_checkpoint_section(true);
    rc = sqlite3_wal_checkpoint_v2(branch->db, NULL, mode, NULL, NULL);
    vfs_checkpoint_section(false);
    return rc;
}

/* Checkpoints and takes the write lock, as an actor does before a branch. */
__attribute__((unused)) static bool branch_quiet(struct branch *branch)
{
    return branch_checkpoint(branch, SQLITE_CHECKPOINT_FULL) == SQLITE_OK &&
           branch_run(branch, "BEGIN IMMEDIATE") == SQLITE_OK && vfs_head_is_settled(branch->head);
}

__attribute__((unused)) static void branch_go_on(struct branch *branch)
{
    if (sqlite3_get_autocommit(branch->db) == 0)
        (void)branch_run(branch, "ROLLBACK");
}

/* Sets rows [from, from + count) to values made of `seed`; 0 deletes them. */
__attribute__((unused)) static int branch_set(struct branch *branch, int from, int count, int seed)
{
    char sql[300];

    for (int i = from; i < from + count && i < ROWS; i++) {
        branch->content.rows[i] = seed == 0 ? 0 : seed + i;
        if (seed == 0)
            (void)snprintf(sql, sizeof(sql), "DELETE FROM t WHERE k = %d", i);
        else
            (void)snprintf(sql, sizeof(sql), "REPLACE INTO t VALUES (%d, %d, zeroblob(%d))", i,
                seed + i, (seed + i * 37) % 1500);
        if (branch_run(branch, sql) != SQLITE_OK)
            return -1;
    }
    return 0;
}

/* Whole, and holding just what it should. */
__attribute__((unused)) static bool branch_is(
    sqlite3 *db, const struct content *content, char *why, size_t why_size)
{
    sqlite3_stmt *statement = NULL;
    int at = 0;

    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW ||
        strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0) {
        (void)snprintf(why, why_size, "integrity: %s", sqlite3_errmsg(db));
        (void)sqlite3_finalize(statement);
        return false;
    }
    (void)sqlite3_finalize(statement);
    if (sqlite3_prepare_v2(db, "SELECT k, v FROM t ORDER BY k", -1, &statement, NULL) !=
        SQLITE_OK) {
        (void)snprintf(why, why_size, "select: %s", sqlite3_errmsg(db));
        return false;
    }
    while (sqlite3_step(statement) == SQLITE_ROW) {
        int k = sqlite3_column_int(statement, 0), v = sqlite3_column_int(statement, 1);

        while (at < k && content->rows[at] == 0)
            at++;
        if (at != k || content->rows[k] != v) {
            (void)snprintf(why, why_size, "row %d is %d, not %d", k, v, content->rows[MIN(at, k)]);
            (void)sqlite3_finalize(statement);
            return false;
        }
        at++;
    }
    while (at < ROWS && content->rows[at] == 0)
        at++;
    if (sqlite3_finalize(statement) == SQLITE_OK && at == ROWS)
        return true;
    (void)snprintf(why, why_size, "row %d is missing: %s", at, sqlite3_errmsg(db));
    return false;
}

#endif
