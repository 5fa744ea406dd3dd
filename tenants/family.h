/* A family's folder and its MANIFEST: the truth for refs, heads and layers
 * (docs/formats/manifest.md).
 *
 *   data/db/<2 hex>/<family id>/MANIFEST      text, replaced whole, last line a CRC32C
 *                               base-<id>     a plain SQLite file, the bottom of every stack
 *                               h<head>       placeholder with a format line; locked while open
 *                               h<head>-wal   the head's WAL, empty when settled
 *
 * These calls know families that were never branched: one head over one base. One with branches is
 * opened with tenants/layers/heads.h, which takes both. All calls do I/O: worker threads only. */
#ifndef TENANTS_FAMILY_H
#define TENANTS_FAMILY_H

#include "tenants/base/err.h"
#include "tenants/database.h"

#define FAMILY_PATH_MAX 512

struct family_paths {
    char folder[FAMILY_PATH_MAX];
    char main_path[FAMILY_PATH_MAX];
    char wal_path[FAMILY_PATH_MAX];
    char placeholder_path[FAMILY_PATH_MAX];
};

/* 32 hex digits of fresh randomness. */
void family_new_id(char out[ID_HEX_BYTES]);

/* Makes the folder with MANIFEST, an empty base, placeholder and an empty WAL, every step synced,
 * parents too: five syncs, and one more for the first family under each of the 256 folders. It gets
 * its name last, by one rename: a family is there whole or not at all. Idempotent: one that is
 * there is fine; the leavings of an attempt that was cut off are made anew. One caller per family
 * at a time. Errors: ERR_IO; ERR_CORRUPT the folder is another's. */
int family_create(const char *data_dir, const char *family_id, const char *head_id,
    struct err *ret_err) MUST_CHECK;
/* Reads and checks the MANIFEST, finds the head's files. Files in the folder that the MANIFEST does
 * not name are removed after being logged; only before the family's heads are open. Errors:
 * ERR_NOT_FOUND no folder; ERR_NOT_IMPLEMENTED the head has layers; ERR_CORRUPT a damaged or
 * missing MANIFEST, a missing file (an empty WAL included: without it nobody knows whether it was
 * empty), or a WAL or journal that another program left beside a base: never guessed at. */
int family_locate(const char *data_dir, const char *family_id, const char *head_id,
    struct family_paths *ret_paths, struct err *ret_err) MUST_CHECK;
/* Removes the folder and everything in it, MANIFEST first (renamed), folder synced, and its parent
 * at the end. Idempotent; fine when there is no folder. */
int family_remove(const char *data_dir, const char *family_id, struct err *ret_err) MUST_CHECK;

/* ---- an import's family, before the catalogue knows of it (family_stage.c) ---- */

struct family_stage {
    char family_id[ID_HEX_BYTES];
    char head_id[ID_HEX_BYTES];
    char base_id[ID_HEX_BYTES];
    struct family_paths paths; /* of its files while they are in data/import/<family id> */
};

/* Makes the folder, placeholder and empty WAL; the caller writes the base at paths.main_path. */
int family_stage(const char *data_dir, struct family_stage *ret_stage, struct err *ret_err)
    MUST_CHECK;
/* Writes the MANIFEST and syncs all of it, names too. With a row of the catalogue that has these
 * ids, state reserved, it is a database: family_create() moves it to its place. */
int family_stage_finish(const char *data_dir, const struct family_stage *stage, uint32_t page_size,
    struct err *ret_err) MUST_CHECK;
/* Removes it; fine when there is none. */
int family_unstage(const char *data_dir, const char *family_id, struct err *ret_err) MUST_CHECK;
/* At start, before any import: removes the folders that is_wanted() does not know. */
int family_stage_clean(const char *data_dir,
    bool (*is_wanted)(void *context, const char *family_id), void *context, struct err *ret_err)
    MUST_CHECK;

/* Tests that replace a data directory under a running process: forgets which folders were synced.
 */
void family_forget_folders(void);

#endif
