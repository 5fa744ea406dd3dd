/* A disk that remembers: every call that the VFS and the family folders make below `root` goes
 * through to the real file system and is recorded. From the record the disk can be rebuilt as a
 * power cut might have left it after any number of calls.
 *
 * What a cut keeps: everything that was synced. What it may keep, each piece by itself: of each
 * unsynced write any of its 512-byte sectors; an unsynced truncation, or not; of the names in a
 * folder that were made, changed or removed since its last fsync, any. A file's new length may be
 * there without its bytes (zeros). */
#ifndef TESTS_CRASH_DISK_H
#define TESTS_CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Syncs that are made but not recorded: what the simulator must find out. */
enum disk_lie {
    DISK_HONEST,
    DISK_LIE_WAL_HEADER,     /* the sync of a WAL's header */
    DISK_LIE_WAL_CHECKPOINT, /* the sync of the WAL before a checkpoint */
    DISK_LIE_MAIN,           /* the sync of the database after a checkpoint */
    DISK_LIE_MANIFEST,       /* the sync of a MANIFEST */
    DISK_LIE_FOLDER,         /* the fsync of a family's folder */
    DISK_LIE_PARENT,         /* the fsync of the folder above it */
    DISK_LIE_LAYER_PAGES,    /* the sync of a layer's pages */
    DISK_LIE_LAYER_MAP,      /* the sync of its map */
};

/* How much of what was not synced survives. */
enum disk_loss {
    DISK_LOSE_ALL,
    DISK_LOSE_NOTHING, /* kill -9 */
    DISK_LOSE_SECTORS, /* each sector by a coin */
    DISK_LOSE_WRITES,  /* each write whole, by a coin */
    DISK_KEEP_LATEST,  /* only the last few writes survive */
    DISK_LOSSES
};

/* Starts recording below `root` (a path without a slash at its end), which is empty. */
void disk_start(const char *root, enum disk_lie lie);
/* The caller tells that a checkpoint runs, for DISK_LIE_WAL_CHECKPOINT. */
void disk_in_checkpoint(bool inside);
/* Calls recorded so far. */
size_t disk_calls(void);
/* Ends recording; what was recorded stays until disk_free(). */
void disk_stop(void);
void disk_free(void);

/* Steps to the next call: after disk_rewind() nothing has happened; each step adds one call. */
void disk_rewind(void);
void disk_step(void);
/* True when the call just stepped over wrote the header of a WAL. */
bool disk_restarted_wal(void);
/* True when the last step changed what is surely there (a sync), so that a rebuild that loses all
 * the rest would differ from the one before. */
bool disk_settled(void);
/* Writes the disk as a cut here might have left it to the folder `to`, which is empty. */
void disk_rebuild(const char *to, enum disk_loss loss, uint64_t *random);

/* xorshift */
static inline uint64_t disk_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
