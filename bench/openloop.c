/* openloop: HTTP/1.1 requests at a constant rate, whatever the answers do.
 *
 * Request k is due at start + k / rate. Its latency counts from that moment, not from when a
 * connection was free to carry it: a server that stalls for 100 ms is charged with everything that
 * fell due in these 100 ms ("coordinated omission" is left out of nothing). What never got a
 * connection before the end is reported as unsent. With --rate 0 the loop is closed: each
 * connection sends its next request when it has its answer, and latency counts from there.
 *
 * The requests are raw bytes from a file, taken in order and from the top again: records of a
 * decimal length, a newline, that many bytes. The same file feeds wrk (wrk.lua).
 *
 * One thread, one epoll. Prints one line of JSON. Exit: 0, also when answers were errors (they are
 * counted), 1 when the run could not be done, 2 for wrong arguments. */
#include "bench/answer.h"
#include "bench/driver.h"
#include "tenants/base/clock.h"
#include "tenants/base/mem.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 512
#define ANSWER_BYTES_MAX (256 * 1024)
#define DRAIN_NS (2 * NS_PER_S)

struct connection {
    int fd;
    int next_idle; /* index, -1 at the end; only while idle */
    bool waiting;
    uint64_t since_ns; /* when the request under way was due (open loop) or sent (closed) */
    struct answer answer;
    size_t len;
    char buffer[ANSWER_BYTES_MAX];
};

struct options {
    struct sockaddr_in address;
    const char *requests;
    const char *expect;
    int connections;
    double rate;
    double seconds;
    double warmup_seconds;
    uint64_t count;
};

struct driver {
    struct options options;
    struct records requests;
    struct connection *connections;
    int epoll;
    int idle; /* head of the list of idle connections, -1 when all wait */
    int waiting;
    uint64_t start_ns;
    uint64_t count_from_ns; /* warm-up ends */
    uint64_t end_ns;
    uint64_t sent;
    uint64_t answered; /* all below: after the warm-up */
    uint64_t not_2xx;
    uint64_t unexpected; /* 2xx without the text that --expect names */
    uint64_t broken;     /* connection lost or answer not HTTP */
    uint64_t body_bytes;
    uint64_t last_ns;
    struct histogram latency;
};

static void connection_open(struct driver *driver, int index)
{
    struct connection *connection = &driver->connections[index];
    struct epoll_event event = {.events = EPOLLIN, .data.fd = index};

    connection->fd = driver_connect(&driver->options.address);
    if (epoll_ctl(driver->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        driver_die("epoll: %s", strerror(errno));
}

static void connection_set_idle(struct driver *driver, int index)
{
    driver->connections[index].waiting = false;
    driver->connections[index].next_idle = driver->idle;
    driver->idle = index;
}

static void connection_send(struct driver *driver, uint64_t since_ns)
{
    int index = driver->idle;
    struct connection *connection = &driver->connections[index];
    const struct record *request = &driver->requests.all[driver->sent % driver->requests.count];
    ssize_t written = send(connection->fd, request->bytes, request->len, MSG_NOSIGNAL);

    /* A connection that died while idle: a new one takes the request. */
    if (written < 0 && (errno == EPIPE || errno == ECONNRESET)) {
        close(connection->fd);
        connection_open(driver, index);
        written = send(connection->fd, request->bytes, request->len, MSG_NOSIGNAL);
    }
    if (written != (ssize_t)request->len)
        driver_die(
            "send: %s", written < 0 ? strerror(errno) : "request larger than the socket's buffer");
    driver->idle = connection->next_idle;
    driver->waiting++;
    driver->sent++;
    connection->waiting = true;
    connection->since_ns = since_ns;
    connection->len = 0;
    connection->answer = (struct answer){0};
}

static bool counting(const struct driver *driver, const struct connection *connection)
{
    return connection->since_ns >= driver->count_from_ns;
}

static void on_answer(struct driver *driver, int index, uint64_t now)
{
    struct connection *connection = &driver->connections[index];
    const struct answer *answer = &connection->answer;
    const char *expect = driver->options.expect;

    if (counting(driver, connection)) {
        driver->answered++;
        driver->last_ns = now;
        driver->body_bytes += answer->body_len;
        histogram_add(&driver->latency, now - connection->since_ns);
        if (answer->status < 200 || answer->status > 299)
            driver->not_2xx++;
        else if (expect && !memmem(connection->buffer + answer->head_len, answer->body_len, expect,
                               strlen(expect)))
            driver->unexpected++;
    }
    driver->waiting--;
    connection_set_idle(driver, index);
    if (answer->closes) {
        close(connection->fd);
        connection_open(driver, index);
    }
}

static void on_lost(struct driver *driver, int index)
{
    struct connection *connection = &driver->connections[index];

    close(connection->fd);
    connection_open(driver, index);
    if (!connection->waiting)
        return;
    if (counting(driver, connection))
        driver->broken++;
    driver->waiting--;
    connection_set_idle(driver, index);
}

static void on_readable(struct driver *driver, int index)
{
    struct connection *connection = &driver->connections[index];
    size_t room = sizeof(connection->buffer) - connection->len;
    ssize_t got = recv(connection->fd, connection->buffer + connection->len, room, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0 || !connection->waiting) {
        on_lost(driver, index);
        return;
    }
    connection->len += (size_t)got;
    switch (answer_scan(&connection->answer, connection->buffer, connection->len)) {
    case ANSWER_DONE:
        on_answer(driver, index, clock_now_ns());
        break;
    case ANSWER_MORE:
        if (connection->len == sizeof(connection->buffer))
            on_lost(driver, index);
        break;
    case ANSWER_BAD:
        on_lost(driver, index);
        break;
    }
}

static uint64_t due_ns(const struct driver *driver)
{
    return driver->start_ns + (uint64_t)((double)driver->sent * 1e9 / driver->options.rate);
}

/* Sends all that is due and has a connection. Returns false when nothing is to be sent any more. */
static bool send_due(struct driver *driver, uint64_t now)
{
    const struct options *options = &driver->options;

    for (;;) {
        uint64_t since = options->rate > 0 ? due_ns(driver) : now;

        if (since >= driver->end_ns || now >= driver->end_ns + DRAIN_NS ||
            (options->count > 0 && driver->sent == options->count))
            return false;
        if (since > now || driver->idle < 0)
            return true;
        connection_send(driver, since);
    }
}

static void run(struct driver *driver)
{
    struct epoll_event events[CONNECTIONS_MAX];

    for (;;) {
        uint64_t now = clock_now_ns();
        bool more = send_due(driver, now);
        uint64_t wake = driver->end_ns + DRAIN_NS;
        struct timespec timeout;
        int got;

        if (!more && (driver->waiting == 0 || now >= wake))
            return;
        if (more && driver->idle >= 0)
            wake = due_ns(driver);
        now = clock_now_ns();
        wake = wake > now ? wake - now : 0;
        timeout.tv_sec = (time_t)(wake / NS_PER_S);
        timeout.tv_nsec = (long)(wake % NS_PER_S);
        got = epoll_pwait2(driver->epoll, events, CONNECTIONS_MAX, &timeout, NULL);
        if (got < 0 && errno != EINTR)
            driver_die("epoll_pwait2: %s", strerror(errno));
        for (int i = 0; i < got; i++)
            on_readable(driver, events[i].data.fd);
    }
}

static uint64_t unsent(const struct driver *driver)
{
    double all = (driver->options.warmup_seconds + driver->options.seconds) * driver->options.rate;

    if (driver->options.rate <= 0 || (uint64_t)all <= driver->sent)
        return 0;
    return driver->options.count > 0 ? 0 : (uint64_t)all - driver->sent;
}

static void report(const struct driver *driver)
{
    uint64_t until = driver->last_ns > driver->count_from_ns ? driver->last_ns : clock_now_ns();
    double seconds = (double)(until - driver->count_from_ns) / 1e9;

    printf("{\"answered\":%" PRIu64 ",\"not_2xx\":%" PRIu64 ",\"unexpected\":%" PRIu64
           ",\"broken\":%" PRIu64 ",\"unanswered\":%d,\"unsent\":%" PRIu64,
        driver->answered, driver->not_2xx, driver->unexpected, driver->broken, driver->waiting,
        unsent(driver));
    printf(",\"seconds\":%.4f,\"per_second\":%.1f,\"answer_bytes\":%.1f", seconds,
        (double)driver->answered / seconds,
        driver->answered ? (double)driver->body_bytes / (double)driver->answered : 0.0);
    driver_print_latency(&driver->latency);
    puts("}");
}

static _Noreturn void usage(int status)
{
    fputs("openloop --target IPV4:PORT --requests FILE [options]\n"
          "  --rate N         requests per second; 0 (default): closed loop\n"
          "  --connections N  default 32, at most 512\n"
          "  --seconds S      counted time, default 3\n"
          "  --warmup S       time before, not counted, default 0\n"
          "  --count N        stop after N requests (warm-up included)\n"
          "  --expect TEXT    2xx answers without TEXT in their body are counted as unexpected\n",
        status == 0 ? stdout : stderr);
    exit(status);
}

static void options_parse(int argc, char **argv, struct options *ret_options)
{
    static const struct option names[] = {{"target", required_argument, NULL, 't'},
        {"requests", required_argument, NULL, 'f'}, {"rate", required_argument, NULL, 'r'},
        {"connections", required_argument, NULL, 'c'}, {"seconds", required_argument, NULL, 's'},
        {"warmup", required_argument, NULL, 'w'}, {"count", required_argument, NULL, 'n'},
        {"expect", required_argument, NULL, 'e'}, {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    struct options options = {.connections = 32, .seconds = 3};
    int name;

    while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (name) {
        case 't':
            if (!driver_parse_address(optarg, &options.address))
                usage(2);
            break;
        case 'f':
            options.requests = optarg;
            break;
        case 'r':
            options.rate = strtod(optarg, NULL);
            break;
        case 'c':
            options.connections = (int)strtol(optarg, NULL, 10);
            break;
        case 's':
            options.seconds = strtod(optarg, NULL);
            break;
        case 'w':
            options.warmup_seconds = strtod(optarg, NULL);
            break;
        case 'n':
            options.count = strtoull(optarg, NULL, 10);
            break;
        case 'e':
            options.expect = optarg;
            break;
        case 'h':
            usage(0);
        default:
            usage(2);
        }
    }
    if (optind != argc || !options.requests || options.address.sin_port == 0 ||
        options.connections < 1 || options.connections > CONNECTIONS_MAX || options.seconds <= 0)
        usage(2);
    *ret_options = options;
}

int main(int argc, char **argv)
{
    static struct driver driver;
    const struct options *options = &driver.options;

    driver_name = "openloop";
    options_parse(argc, argv, &driver.options);
    driver_load(options->requests, &driver.requests);
    driver.epoll = epoll_create1(EPOLL_CLOEXEC);
    driver.connections = mem_zalloc((size_t)options->connections * sizeof(struct connection));
    driver.idle = -1;
    for (int i = options->connections - 1; i >= 0; i--) {
        connection_open(&driver, i);
        connection_set_idle(&driver, i);
    }
    /* The default slack of 50 us would be seen in every latency. */
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    driver.start_ns = clock_now_ns();
    driver.count_from_ns = driver.start_ns + (uint64_t)(options->warmup_seconds * 1e9);
    driver.end_ns = driver.count_from_ns + (uint64_t)(options->seconds * 1e9);
    run(&driver);
    report(&driver);
    return 0;
}
