/* How a connection begins: accepted, its peer learned, let in or turned away. */
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "src/connection.h"
#include "tenants/base/check.h"
#include "tenants/base/mem.h"
#include "tenants/base/metrics.h"

static int open_handle(struct connection *connection, uv_stream_t *listener)
{
    int rc = listener->type == UV_TCP
                 ? uv_tcp_init(&connection->loop->uv, &connection->uv.tcp)
                 : uv_pipe_init(&connection->loop->uv, &connection->uv.pipe, 0);

    CHECK(rc == 0);
    connection->uv.handle.data = connection;
    return uv_accept(listener, &connection->uv.stream);
}

/* The kernel takes megabytes for a client that does not read, and says so in steps of a third of
 * them: then a steady reader looks as if it stood still. */
static void keep_unsent_small(struct connection *connection)
{
    const int bytes = CONNECTION_UNSENT_BYTES;
    uv_os_fd_t fd;

    if (uv_fileno(&connection->uv.handle, &fd) == 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes));
}

static void learn_peer(struct connection *connection)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNIX};
    int len = sizeof(peer);

    if (connection->uv.handle.type == UV_TCP) {
        (void)uv_tcp_nodelay(&connection->uv.tcp, 1);
        keep_unsent_small(connection);
        if (uv_tcp_getpeername(&connection->uv.tcp, (struct sockaddr *)&peer, &len) == 0)
            (void)uv_ip_name(
                (struct sockaddr *)&peer, connection->remote, sizeof(connection->remote));
    } else {
        memcpy(connection->remote, "unix:", sizeof("unix:"));
    }
    connection->trusted =
        policy_trusts(&connection->loop->server->policy, (struct sockaddr *)&peer);
    connection->counted =
        !connection->trusted && address_key_of((struct sockaddr *)&peer, &connection->key);
}

static void on_refused_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    struct loop *loop = connection->loop;

    loop_thread_enter();
    loop->connection_count--;
    mem_free(connection);
    loop_settle(loop);
    loop_thread_leave();
}

/* Says why, if it may, and closes. `answer` is small and static. */
static void turn_away(struct connection *connection, struct str answer)
{
    char copy[128];
    uv_buf_t buf = uv_buf_init(copy, (unsigned)answer.len);

    CHECK(answer.len <= sizeof(copy));
    if (answer.len > 0) {
        memcpy(copy, answer.ptr, answer.len);
        (void)uv_try_write(&connection->uv.stream, &buf, 1);
        metric_add(METRIC_CONNECTIONS_REFUSED, 1);
    }
    connection->state = CONNECTION_CLOSING;
    uv_close(&connection->uv.handle, on_refused_closed);
}

void connection_accept(struct loop *loop, uv_stream_t *listener, bool is_admin)
{
    static const struct str full =
        STR_LITERAL("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                    "Retry-After: 1\r\nConnection: close\r\n\r\n");
    static const struct str many =
        STR_LITERAL("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n"
                    "Retry-After: 1\r\nConnection: close\r\n\r\n");
    struct connection *connection = mem_zalloc(sizeof(*connection));
    enum admission_answer answer;

    connection->loop = loop;
    connection->is_admin = is_admin;
    connection->wait = WAIT_NOTHING;
    connection->resumes_seen = UINT_MAX;
    list_init(&connection->link);
    list_init(&connection->waiting);
    loop->connection_count++;
    if (open_handle(connection, listener) != 0) {
        turn_away(connection, str_make(NULL, 0));
        return;
    }
    learn_peer(connection);
    answer =
        admission_enter(&loop->server->admission, connection->counted ? &connection->key : NULL);
    if (answer != ADMIT) {
        turn_away(connection, answer == REFUSE_TOTAL ? full : many);
        return;
    }
    metric_add(METRIC_CONNECTIONS_ACCEPTED, 1);
    metric_gauge_add(METRIC_CONNECTIONS, 0, 1);
    list_append(&loop->connections, &connection->link);
    connection_settle(connection);
}
