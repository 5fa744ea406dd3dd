/* A WebSocket session: a connection after its 101, and what outlives it. proto/websocket.h says
 * what handlers see of it; the states of the connection are in src/connection.h.
 *
 *     in:  connection -> decoder -> handler->message          (loop)
 *     out: websocket_send() -> pieces -> inbox -> connection  (any thread -> loop)
 *
 * References: one of the connection, until the session has ended; one per hold; one while it is in
 * the loop's inbox. The last one frees it, on its loop, and a loop does not end before its sessions
 * have. Under `lock`: what other threads touch.
 *
 * The end, in order: pieces, close frame, closed(), FIN; then what the client still sends is read
 * and thrown away for a moment (CONNECTION_LINGER), its close frame among it. A lost connection:
 * the pieces are dropped, closed(WEBSOCKET_LOST). */
#ifndef SRC_WEBSOCKET_SESSION_H
#define SRC_WEBSOCKET_SESSION_H

#include "proto/websocket.h"
#include "src/turn.h"

struct websocket_session;

/* The exchange was answered with 101: makes a session of its upgrade and tells the handler. */
struct websocket_session *websocket_session_open(struct connection *connection, struct turn *turn)
    ON(loop_thread);
/* Decodes and delivers. Returns how much it took: less than `len` when it may not take more now. */
size_t websocket_session_receive(struct websocket_session *session, const char *bytes, size_t len)
    ON(loop_thread);
/* May a message be delivered? Not when it closes, drains, is paused, full, or at its holds. */
bool websocket_session_may_take(struct websocket_session *session) ON(loop_thread);
/* Sends what is queued. May end the session: connection->session is NULL then. */
void websocket_session_flush(struct websocket_session *session) ON(loop_thread);
/* What it waits for now, and whether that begins anew. */
enum wait websocket_session_wait(struct websocket_session *session, bool *ret_anew) ON(loop_thread);
/* It was silent for half of --websocket-idle: pings it. False: it was pinged before; drop it. */
bool websocket_session_ping(struct websocket_session *session) ON(loop_thread);
/* A message did not come in time. */
void websocket_session_too_slow(struct websocket_session *session) ON(loop_thread);
/* No more messages; closes with 1001 when the last hold is released. */
void websocket_session_drain(struct websocket_session *session) ON(loop_thread);
/* The connection is gone. */
void websocket_session_lost(struct websocket_session *session) ON(loop_thread);

#endif
