#include "src/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "src/connection.h"
#include "tenants/base/check.h"
#include "tenants/base/log.h"
#include "tenants/base/mem.h"

struct listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct list link; /* loop->listeners */
    struct loop *loop;
    bool is_admin;
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un unix_path;
    struct sockaddr_storage storage;
};

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *listener = stream->data;

    loop_thread_enter();
    if (status < 0)
        log_warn("listener.accept_failed", "error=\"%s\"", uv_strerror(status));
    else
        connection_accept(listener->loop, stream, listener->is_admin);
    loop_thread_leave();
}

static int refuse(struct err *err, const char *address, int errno_value)
{
    if (errno_value == EADDRINUSE)
        return err_set(err, ERR_CONFLICT, "cannot listen on %s: the address is in use", address);
    if (errno_value == EACCES || errno_value == EPERM)
        return err_set(err, ERR_FORBIDDEN,
            "cannot listen on %s: no permission (ports below 1024 "
            "need CAP_NET_BIND_SERVICE)",
            address);
    if (errno_value == EADDRNOTAVAIL)
        return err_set(
            err, ERR_IO, "cannot listen on %s: no interface of this machine has it", address);
    return err_set_errno(err, ERR_IO, errno_value, "cannot listen on %s", address);
}

/* ---- addresses ---- */

static int parse_tcp(const char *text, union address *ret_address)
{
    struct str all = str_from(text);
    const char *colon = strrchr(text, ':');
    char host[64];
    struct str name;
    uint64_t port;

    if (colon == NULL || str_to_u64(str_from(colon + 1), &port) < 0 || port > 65535)
        return -1;
    name = str_make(text, (size_t)(colon - text));
    if (name.len > 2 && all.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = str_make(name.ptr + 1, name.len - 2);
    else if (memchr(name.ptr, ':', name.len) != NULL)
        return -1;
    if (name.len == 0 || name.len >= sizeof(host))
        return -1;
    memcpy(host, name.ptr, name.len);
    host[name.len] = '\0';
    if (str_is(name, "localhost"))
        return uv_ip4_addr("127.0.0.1", (int)port, &ret_address->v4);
    if (str_is(name, "*"))
        return uv_ip4_addr("0.0.0.0", (int)port, &ret_address->v4);
    if (uv_ip4_addr(host, (int)port, &ret_address->v4) == 0)
        return 0;
    return uv_ip6_addr(host, (int)port, &ret_address->v6);
}

static socklen_t length_of(const union address *address)
{
    return address->any.sa_family == AF_INET    ? (socklen_t)sizeof(address->v4)
           : address->any.sa_family == AF_INET6 ? (socklen_t)sizeof(address->v6)
                                                : (socklen_t)sizeof(address->unix_path);
}

static void describe(const union address *address, char out[LISTENER_ADDRESS_BYTES])
{
    char name[INET6_ADDRSTRLEN] = "";
    unsigned port =
        ntohs(address->any.sa_family == AF_INET ? address->v4.sin_port : address->v6.sin6_port);

    (void)uv_ip_name(&address->any, name, sizeof(name));
    (void)snprintf(out, LISTENER_ADDRESS_BYTES,
        address->any.sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u", name, port);
}

/* ---- sockets ---- */

static int bound_socket(const union address *address, bool reuse_port)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    int saved;

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        (!reuse_port || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
        (address->any.sa_family != AF_INET6 ||
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
        bind(fd, &address->any, length_of(address)) == 0)
        return fd;
    saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

static void on_listener_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

/* The loop's own handle on `fd`, which it then owns. -1: errno. */
static int attach(struct loop *loop, int fd, bool is_tcp, bool is_admin)
{
    struct listener *listener = mem_zalloc(sizeof(*listener));
    int rc;

    if (is_tcp)
        CHECK(uv_tcp_init(&loop->uv, &listener->uv.tcp) == 0);
    else
        CHECK(uv_pipe_init(&loop->uv, &listener->uv.pipe, 0) == 0);
    listener->uv.handle.data = listener;
    listener->loop = loop;
    listener->is_admin = is_admin;
    list_append(&loop->listeners, &listener->link);
    rc = is_tcp ? uv_tcp_open(&listener->uv.tcp, fd) : uv_pipe_open(&listener->uv.pipe, fd);
    if (rc == 0)
        rc = uv_listen(&listener->uv.stream, LISTENER_BACKLOG, on_connection);
    if (rc == 0)
        return 0;
    errno = -rc;
    return -1;
}

/* With SO_REUSEPORT a second server on the same port would bind happily and take half of the
 * connections: so a plain bind asks first. */
static int probe(const union address *address)
{
    int fd = bound_socket(address, false);
    int rc;

    if (fd < 0)
        return -1;
    rc = listen(fd, 1);
    (void)close(fd);
    return rc;
}

static int open_tcp(struct server *server, union address *address, bool is_admin)
{
    socklen_t len = sizeof(*address);

    if (probe(address) < 0)
        return -1;
    for (unsigned i = 0; i < server->loop_count; i++) {
        int fd = bound_socket(address, true);

        if (fd < 0 || getsockname(fd, &address->any, &len) < 0 ||
            attach(server->loops[i], fd, true, is_admin) < 0)
            return -1; /* port 0 is known after the first */
    }
    return 0;
}

/* A socket file nobody listens on is left from a crash, and is removed. */
static int clear_stale(const union address *address)
{
    struct stat info;
    int fd;
    int rc;

    if (lstat(address->unix_path.sun_path, &info) < 0)
        return errno == ENOENT ? 0 : -1;
    if (!S_ISSOCK(info.st_mode)) {
        errno = EEXIST;
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    rc = connect(fd, &address->any, length_of(address));
    if (rc < 0 && errno == ECONNREFUSED) {
        (void)close(fd);
        return unlink(address->unix_path.sun_path);
    }
    (void)close(fd);
    errno = EADDRINUSE;
    return -1;
}

static int open_unix(struct server *server, const union address *address, bool is_admin)
{
    int fd;

    if (clear_stale(address) < 0)
        return -1;
    fd = bound_socket(address, false);
    if (fd < 0 || chmod(address->unix_path.sun_path, 0660) < 0)
        return -1;
    for (unsigned i = 0; i < server->loop_count; i++) {
        int own = i == 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 0);

        if (own < 0 || attach(server->loops[i], own, false, is_admin) < 0)
            return -1;
    }
    return 0;
}

static int parse(const char *text, union address *ret_address, struct err *ret_err)
{
    size_t len;

    memset(ret_address, 0, sizeof(*ret_address));
    if (strncmp(text, "unix:", 5) != 0)
        return parse_tcp(text, ret_address) == 0
                   ? 0
                   : err_set(ret_err, ERR_BAD_REQUEST,
                         "listen '%s' must be 1.2.3.4:PORT, [::1]:PORT or unix:/path", text);
    len = strlen(text + 5);
    if (len == 0 || len >= sizeof(ret_address->unix_path.sun_path))
        return err_set(
            ret_err, ERR_BAD_REQUEST, "listen '%s': a socket's path has 1 to 107 bytes", text);
    ret_address->unix_path.sun_family = AF_UNIX;
    memcpy(ret_address->unix_path.sun_path, text + 5, len);
    return 0;
}

/* Nobody but this machine can connect to it. */
static bool is_local(const union address *address)
{
    if (address->any.sa_family == AF_INET)
        return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
    return address->any.sa_family == AF_UNIX || IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

int listener_check(const struct options *options, struct err *ret_err)
{
    union address where;

    for (unsigned i = 0; i < options->listen.count; i++) {
        if (parse(options->listen.items[i], &where, ret_err) < 0)
            return -1;
    }
    for (unsigned i = 0; i < options->listen_admin.count; i++) {
        if (parse(options->listen_admin.items[i], &where, ret_err) < 0)
            return -1;
        if (options->admin_open && !is_local(&where))
            return err_set(ret_err, ERR_BAD_REQUEST,
                "listen-admin '%s' can be reached from elsewhere, where --admin-open would let "
                "anybody in: use 127.0.0.1, [::1] or unix:/path, or turn --admin-open off",
                options->listen_admin.items[i]);
    }
    return 0;
}

int listener_open(struct server *server, const char *address, bool is_admin,
    char ret_bound[LISTENER_ADDRESS_BYTES], struct err *ret_err)
{
    union address where;

    if (parse(address, &where, ret_err) < 0)
        return -1;
    if (where.any.sa_family == AF_UNIX) {
        if (open_unix(server, &where, is_admin) < 0)
            return refuse(ret_err, address, errno);
        (void)snprintf(ret_bound, LISTENER_ADDRESS_BYTES, "%s", address);
        return 0;
    }
    if (open_tcp(server, &where, is_admin) < 0)
        return refuse(ret_err, address, errno);
    describe(&where, ret_bound);
    return 0;
}

void listener_close_all(struct loop *loop)
{
    while (!list_empty(&loop->listeners)) {
        struct listener *listener = LIST_FIRST(&loop->listeners, struct listener, link);

        list_remove(&listener->link);
        uv_close(&listener->uv.handle, on_listener_closed);
    }
}

void listener_unlink_all(const struct option_list *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (strncmp(list->items[i], "unix:", 5) == 0)
            (void)unlink(list->items[i] + 5);
    }
}
