/* What a connection waits for, and what happens when that does not come in time. */
#include "src/connection_parts.h"
#include "src/websocket_session.h"
#include "tenants/base/log.h"

/* ---- for what ---- */

/* Of what libuv holds, how much the kernel has taken: its callback comes only with the last byte.
 */
static uint64_t under_way(const struct connection *connection)
{
    return connection->queued_bytes == 0
               ? 0
               : connection->queued_bytes - uv_stream_get_write_queue_size(&connection->uv.stream);
}

void connection_set_wait(struct connection *connection, enum wait wait, bool anew)
{
    if (wait == connection->wait && !anew)
        return;
    list_remove(&connection->waiting);
    connection->wait = wait;
    connection->progress = 0;
    connection->progress_mark = under_way(connection);
    connection->since_ms = uv_now(&connection->loop->uv);
    if (wait != WAIT_NOTHING)
        list_append(&connection->loop->waiting[wait], &connection->waiting);
}

/* The handler of a streamed body has not asked for more: the client is not to blame. */
static bool waits_for_us(const struct connection *connection)
{
    return connection->turn->x.body_streams && turn_body_room(connection->turn) == 0;
}

/* What is it waiting for, now that nothing more can be done for it? */
void connection_update_wait(struct connection *connection)
{
    enum wait wait;
    bool anew;

    switch (connection->state) {
    case CONNECTION_CLOSING:
        connection_set_wait(connection, WAIT_NOTHING, false);
        return;
    case CONNECTION_LINGER:
        connection_set_wait(
            connection, connection->queued_bytes > 0 ? WAIT_WRITE : WAIT_LINGER, false);
        return;
    case CONNECTION_WEBSOCKET:
        wait = websocket_session_wait(connection->session, &anew);
        if (connection->queued_bytes == 0) {
            connection_set_wait(connection, wait, anew);
            return;
        }
        break;
    case CONNECTION_IDLE:
    case CONNECTION_HEAD:
    case CONNECTION_BODY:
    case CONNECTION_BUSY:
        break;
    }
    if (connection->queued_bytes > 0)
        connection_set_wait(connection, WAIT_WRITE, false);
    else if (connection->state == CONNECTION_IDLE)
        connection_set_wait(connection, WAIT_IDLE, true);
    else if (connection->state == CONNECTION_HEAD)
        connection_set_wait(connection, WAIT_HEAD, false);
    else if (connection->state == CONNECTION_BODY)
        connection_set_wait(connection, waits_for_us(connection) ? WAIT_NOTHING : WAIT_BODY, false);
    else
        connection_set_wait(connection, connection->at_eof ? WAIT_GONE : WAIT_NOTHING, false);
}

/* ---- limits in time ---- */

/* In each period so much must move, and a paused lane must have gone on; then the next begins. */
static bool moved_enough(struct connection *connection)
{
    struct turn *turn = connection->turn;
    uint64_t moved = connection->progress + under_way(connection) - connection->progress_mark;

    if (moved < CONNECTION_PROGRESS_BYTES)
        return false;
    if (turn != NULL && atomic_load(&turn->paused)) {
        if (turn->resumes == connection->resumes_seen)
            return false;
        connection->resumes_seen = turn->resumes;
    }
    connection_set_wait(connection, connection->wait, true);
    return true;
}

void connection_timed_out(struct connection *connection)
{
    switch (connection->wait) {
    case WAIT_HEAD:
        connection_refuse(connection, 408, "the request's head did not come in time");
        connection_settle(connection);
        return;
    case WAIT_BODY:
        if (moved_enough(connection))
            return;
        if (connection->session != NULL) {
            websocket_session_too_slow(connection->session);
            connection_settle(connection);
            return;
        }
        connection_refuse(connection, 408, "the request's body did not come in time");
        connection_settle(connection);
        return;
    case WAIT_WRITE:
        if (moved_enough(connection))
            return;
        log_info("http.slow_reader", "remote=%s queued=%llu", connection->remote,
            (unsigned long long)connection->queued_bytes);
        connection_drop(connection);
        return;
    case WAIT_WEBSOCKET:
        connection_set_wait(connection, WAIT_WEBSOCKET, true);
        if (!websocket_session_ping(connection->session))
            break;
        connection_settle(connection);
        return;
    case WAIT_IDLE:
    case WAIT_GONE:
    case WAIT_LINGER:
    case WAIT_NOTHING:
        break;
    }
    connection_drop(connection);
}
