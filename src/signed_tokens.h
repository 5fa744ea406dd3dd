/* The thread that verifies JSON web tokens, and the server's own keys (--jwt-key). Main thread. */
#ifndef SRC_SIGNED_TOKENS_H
#define SRC_SIGNED_TOKENS_H

#include "src/server.h"

/* Reads the key file, starts the thread, tells the catalogue. ERR_BAD_REQUEST the file holds no
 * keys; ERR_IO. */
int signed_tokens_start(struct server *server, struct err *ret_err) MUST_CHECK;
/* Reads the key file again. What is wrong with it is logged, and the keys stay as they were. */
void signed_tokens_reload(struct server *server);
/* After the loops, before the catalogue: nothing waits any more. */
void signed_tokens_stop(struct server *server);

#endif
