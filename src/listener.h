/* Listening sockets: one per loop and TCP address (SO_REUSEPORT spreads connections), one shared
 * by all loops per Unix path.
 *
 * Opened by the main thread before loops start, so that every error is a start error; accepted from
 * on the loop. */
#ifndef SRC_LISTENER_H
#define SRC_LISTENER_H

#include "src/loop.h"

#define LISTENER_BACKLOG 1024
#define LISTENER_ADDRESS_BYTES 128

/* Are all addresses of the settings well formed, and those of an open admin API this machine's own?
 * Touches nothing. */
int listener_check(const struct options *options, struct err *ret_err) MUST_CHECK;
/* Opens `address` (1.2.3.4:PORT, [::1]:PORT, unix:/path) on every loop; what is accepted there is
 * for the admin API or for everything else. ret_bound says what was
 * bound, with the port that port 0 became. Main thread.
 * Errors: ERR_BAD_REQUEST not an address; ERR_CONFLICT in use; ERR_FORBIDDEN no permission;
 * ERR_IO anything else. */
int listener_open(struct server *server, const char *address, bool is_admin,
    char ret_bound[LISTENER_ADDRESS_BYTES], struct err *ret_err) MUST_CHECK;
/* Stops accepting on this loop. */
void listener_close_all(struct loop *loop) ON(loop_thread);
/* Removes the socket files among the first `count` addresses, which are ours. Main thread, at the
 * end. */
void listener_unlink_all(const struct option_list *list, unsigned count);

#endif
