/* One line on the terminal that says how far a transfer is. Threads: main. */
#ifndef SRC_ROOK_PROGRESS_H
#define SRC_ROOK_PROGRESS_H

#include "tenants/base/macros.h"

struct progress {
    const char *verb; /* "importing" */
    bool shown;       /* somebody looks */
    bool drawn;
    bool waits; /* the server has to look at it when it is whole */
    uint64_t started_ns;
    uint64_t drawn_ns;
    uint64_t at;    /* bytes */
    uint64_t total; /* 0: not known */
};

void progress_init(struct progress *progress, const char *verb, bool quiet);
/* Draws at most ten times a second. */
void progress_set(struct progress *progress, uint64_t at, uint64_t total);
/* Takes the line away. */
void progress_end(struct progress *progress);

#endif
