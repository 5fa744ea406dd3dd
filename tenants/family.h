/* A family's folder and its MANIFEST: the truth for refs, heads and layers
 * (docs/formats/manifest.md).
 *
 *   data/db/<2 hex>/<family id>/MANIFEST      text, replaced whole, last line a CRC32C
 *                               base-<id>     a plain SQLite file, the bottom of every stack
 *                               h<head>       placeholder with a format line; locked while open
 *                               h<head>-wal   the head's WAL
 *
 * Today a family has one head over one base; more heads and packed layers are lines of the same
 * file. All calls do I/O: worker threads only. */
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

/* Makes the folder with MANIFEST, base and placeholder, every step synced, parents too. Idempotent:
 * a folder that is there and whole is fine; a half-made one (no MANIFEST) is made anew. */
int family_create(const char *data_dir, const char *family_id, const char *head_id,
    struct err *ret_err) MUST_CHECK;
/* Reads and checks the MANIFEST, finds the head's files. Files in the folder that the MANIFEST does
 * not name are removed after being logged. Errors: ERR_NOT_FOUND no folder, ERR_CORRUPT a damaged
 * or missing MANIFEST or a missing file: never guessed at. */
int family_locate(const char *data_dir, const char *family_id, const char *head_id,
    struct family_paths *ret_paths, struct err *ret_err) MUST_CHECK;
/* Removes the folder and everything in it, MANIFEST first (renamed), folder synced. */
int family_remove(const char *data_dir, const char *family_id, struct err *ret_err) MUST_CHECK;

#endif
