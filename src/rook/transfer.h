/* Whole databases to and from files: the calls behind `rook db import` and `rook db export`.
 *
 * A progress line (bytes, share, rate) is drawn on stderr while that is a terminal and nobody asked
 * for quiet.  Threads: main.  Functions return 0, or the exit status after having reported. */
#ifndef SRC_ROOK_TRANSFER_H
#define SRC_ROOK_TRANSFER_H

#include "src/rook/client.h"

/* PUTs what `fd` holds (`name` for messages; from its present place on). */
int transfer_upload(struct client *client, const char *path, const char *content_type, int fd,
    const char *name, struct answer *ret_answer) MUST_CHECK;

/* GETs into `file`, which is there whole or not at all: a new one beside it, synced, renamed.
 * "-": standard output. *ret_bytes: its size. */
int transfer_download(
    struct client *client, const char *path, const char *file, uint64_t *ret_bytes) MUST_CHECK;

#endif
