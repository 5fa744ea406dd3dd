/* Ctrl-C as something to wait for.
 *
 * The first SIGINT sets a mark and wakes whoever polls interrupt_fd(); a second one before the mark
 * was cleared ends the process with status 130, so that no loop can hold the user.
 *
 * Threads: main. */
#ifndef SRC_ROOK_INTERRUPT_H
#define SRC_ROOK_INTERRUPT_H

#include "tenants/base/macros.h"

#define EXIT_INTERRUPTED 130

/* Installs the handler; SIGPIPE is ignored (a closed pipe is an error of the write). */
void interrupt_init(void);
/* Readable while the mark is set. */
int interrupt_fd(void);
bool interrupt_pending(void);
void interrupt_clear(void);

#endif
