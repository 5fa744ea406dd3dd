/* The insides of a connection, for the files that share them: connection.c (its states, reading,
 * the end), connection_request.c (bytes to requests), connection_wait.c (limits in time). All on
 * its loop. */
#ifndef SRC_CONNECTION_PARTS_H
#define SRC_CONNECTION_PARTS_H

#include "src/connection.h"

/* ---- connection_request.c ---- */

/* An error found before there was a request: the default shape, and the end. */
void connection_refuse(struct connection *connection, int status, const char *reason)
    ON(loop_thread);
/* Takes what it can of `bytes`; returns how much. Stops where an answer must come first. */
size_t connection_take(struct connection *connection, const char *bytes, size_t len)
    ON(loop_thread);
/* Serves what `in` holds. */
void connection_take_input(struct connection *connection) ON(loop_thread);

/* ---- connection_wait.c ---- */

/* On which waiting list it is; `anew`: from now on, also when it is there already. */
void connection_set_wait(struct connection *connection, enum wait wait, bool anew);
/* What is it waiting for, now that nothing more can be done for it? */
void connection_update_wait(struct connection *connection) ON(loop_thread);

#endif
