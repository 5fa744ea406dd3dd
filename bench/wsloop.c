/* wsloop: text messages over WebSocket, answered one by one: openloop's sibling.
 *
 * `--connections` sockets are opened first, each with its own upgrade (records of --upgrades, in
 * order and from the top again) and its own opening messages (--openings, likewise: the lines of a
 * record, all sent at once, as many answers awaited; an empty record is none). Then at most
 * `--in-flight` of them have a message under way at any time, the one that has rested longest goes
 * first: 1,000 tenants on 1,000 sockets, 32 of them busy, is the work of 32 busy clients.
 *
 * Messages are records of --requests; they are masked when the file is read, so that the driver
 * costs little. --rate as in openloop: message k is due at start + k / rate and its latency counts
 * from then; 0 is a closed loop.
 *
 * One thread, one epoll. Prints one line of JSON. Exit as openloop. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/driver.h"
#include "tenants/base/buf.h"
#include "tenants/base/clock.h"
#include "tenants/base/list.h"
#include "tenants/base/mem.h"

#define CONNECTIONS_MAX 2000
#define EVENTS_MAX 512
#define BUFFER_BYTES (256UL * 1024)
#define DRAIN_NS (2 * NS_PER_S)
#define SETUP_NS (60 * NS_PER_S)

enum state {
    UPGRADING, /* the 101 has not come */
    OPENING,   /* answers to its opening messages are due */
    RESTING,   /* on driver->resting */
    WAITING,   /* a message is under way */
    LOST,
};

struct connection {
    int fd;
    enum state state;
    unsigned due; /* answers to opening messages */
    struct record opening;
    uint64_t since_ns; /* when the message under way was due (open loop) or sent (closed) */
    struct list link;
    struct buf rest; /* the beginning of what has not come whole; hardly ever anything */
};

struct options {
    struct sockaddr_in address;
    const char *upgrades;
    const char *openings;
    const char *requests;
    const char *expect;
    int connections;
    int in_flight;
    double rate;
    double seconds;
    double warmup_seconds;
};

struct driver {
    struct options options;
    struct records upgrades;
    struct records openings;
    struct records requests;        /* as frames */
    struct connection *connections; /* small, and one buffer for all: 1,000 must fit in a cache */
    char buffer[BUFFER_BYTES];
    int epoll;
    int ready; /* have rested once */
    int waiting;
    struct list resting;
    uint64_t start_ns;
    uint64_t count_from_ns; /* warm-up ends */
    uint64_t end_ns;
    uint64_t sent;
    uint64_t answered; /* all below: after the warm-up */
    uint64_t unexpected;
    uint64_t broken;
    uint64_t answer_bytes;
    uint64_t last_ns;
    struct histogram latency;
};

/* ---- frames ---- */

/* A whole masked frame. The mask is the same always: nothing stands between driver and server that
 * could be misled by it. */
static void write_frame(struct buf *out, unsigned opcode, const char *bytes, size_t len)
{
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned more = len <= 125 ? 0 : len <= UINT16_MAX ? 2 : 8;

    buf_char(out, (char)(0x80 | opcode));
    buf_char(out, (char)(0x80 | (more == 0 ? len : more == 2 ? 126U : 127U)));
    for (unsigned i = more; i > 0; i--)
        buf_char(out, (char)(len >> (8 * (i - 1))));
    buf_append(out, mask, sizeof(mask));
    for (size_t i = 0; i < len; i++)
        buf_char(out, (char)((unsigned char)bytes[i] ^ mask[i & 3]));
}

static void frame_requests(struct records *records)
{
    for (size_t i = 0; i < records->count; i++) {
        struct buf frame = {0};

        write_frame(&frame, 1, records->all[i].bytes, records->all[i].len);
        if (frame.failed)
            driver_die("out of memory");
        records->all[i] = (struct record){frame.bytes, frame.len}; /* kept to the end */
    }
}

/* The length of the server's frame that begins at `bytes`, head included; 0: not whole. */
static size_t frame_len(const char *bytes, size_t available, size_t *ret_head)
{
    unsigned more = 0;
    uint64_t len;

    if (available < 2)
        return 0;
    len = (unsigned char)bytes[1] & 0x7fU;
    if (len >= 126)
        more = len == 126 ? 2 : 8;
    if (available < 2 + more)
        return 0;
    if (more > 0)
        len = 0;
    for (unsigned i = 0; i < more; i++)
        len = len << 8 | (unsigned char)bytes[2 + i];
    *ret_head = 2 + more;
    if (len > BUFFER_BYTES - *ret_head)
        driver_die("an answer is larger than %lu bytes", BUFFER_BYTES);
    return available < *ret_head + len ? 0 : *ret_head + (size_t)len;
}

/* ---- connections ---- */

static void send_all(struct connection *connection, const char *bytes, size_t len)
{
    size_t at = 0;

    while (at < len) { /* the server may be slow to take a large one: a little wait is fine */
        ssize_t written = send(connection->fd, bytes + at, len - at, MSG_NOSIGNAL);

        if (written > 0)
            at += (size_t)written;
        else if (errno != EAGAIN && errno != EINTR)
            return; /* the reader will see it */
    }
}

static void connection_open(struct driver *driver, int index)
{
    struct connection *connection = &driver->connections[index];
    struct epoll_event event = {.events = EPOLLIN, .data.fd = index};
    const struct record *upgrade = &driver->upgrades.all[(size_t)index % driver->upgrades.count];

    connection->fd = driver_connect(&driver->options.address);
    if (driver->openings.count > 0)
        connection->opening = driver->openings.all[(size_t)index % driver->openings.count];
    list_init(&connection->link);
    if (epoll_ctl(driver->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        driver_die("epoll: %s", strerror(errno));
    send_all(connection, upgrade->bytes, upgrade->len);
}

static void connection_rest(struct driver *driver, struct connection *connection)
{
    if (connection->state != WAITING)
        driver->ready++;
    connection->state = RESTING;
    list_append(&driver->resting, &connection->link);
}

static void connection_lose(struct driver *driver, struct connection *connection)
{
    if (connection->state < RESTING)
        driver_die("a connection was lost before it was ready");
    if (connection->state == WAITING)
        driver->waiting--;
    driver->broken++;
    connection->state = LOST;
    list_remove(&connection->link);
    close(connection->fd);
}

static void on_upgraded(
    struct driver *driver, struct connection *connection, const char *head, size_t head_len)
{
    struct buf frames = {0};
    const char *at = connection->opening.bytes;
    const char *end = at + connection->opening.len;

    if (strncmp(head, "HTTP/1.1 101", 12) != 0)
        driver_die("the upgrade was refused: %.*s", (int)MIN(head_len, 400UL), head);
    while (at < end) {
        const char *eol = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((eol != NULL ? eol : end) - at);

        write_frame(&frames, 1, at, len);
        connection->due++;
        at += len + 1;
    }
    connection->state = OPENING;
    send_all(connection, frames.bytes, frames.len);
    buf_fini(&frames);
    if (connection->due == 0)
        connection_rest(driver, connection);
}

/* ---- answers ---- */

static bool is_expected(const struct driver *driver, const char *bytes, size_t len)
{
    const char *expect = driver->options.expect;

    return expect == NULL || memmem(bytes, len, expect, strlen(expect)) != NULL;
}

static void on_answer(
    struct driver *driver, struct connection *connection, const char *bytes, size_t len)
{
    uint64_t now;

    if (connection->state == OPENING) {
        if (memmem(bytes, len, "error", 5) != NULL)
            driver_die("an opening message failed: %.*s", (int)MIN(len, 400UL), bytes);
        if (--connection->due == 0)
            connection_rest(driver, connection);
        return;
    }
    if (connection->state != WAITING) {
        connection_lose(driver, connection);
        return;
    }
    driver->waiting--;
    if (connection->since_ns >= driver->count_from_ns) {
        now = clock_now_ns();
        driver->answered++;
        driver->last_ns = now;
        driver->answer_bytes += len;
        histogram_add(&driver->latency, now - connection->since_ns);
        if (!is_expected(driver, bytes, len))
            driver->unexpected++;
    }
    connection_rest(driver, connection);
}

static void on_frame(struct driver *driver, struct connection *connection, const char *bytes,
    size_t head, size_t len)
{
    struct buf pong = {0};

    switch ((unsigned char)bytes[0] & 15U) {
    case 1:
    case 2:
        on_answer(driver, connection, bytes + head, len - head);
        break;
    case 9:
        write_frame(&pong, 10, bytes + head, len - head);
        send_all(connection, pong.bytes, pong.len);
        buf_fini(&pong);
        break;
    case 10:
        break;
    default:
        connection_lose(driver, connection);
        break;
    }
}

/* Takes what is whole; returns how much. */
static size_t take(
    struct driver *driver, struct connection *connection, const char *bytes, size_t len)
{
    size_t at = 0;

    while (connection->state != LOST && at < len) {
        size_t head = 0;
        size_t taken;

        if (connection->state == UPGRADING) {
            const char *blank = memmem(bytes + at, len - at, "\r\n\r\n", 4);

            if (blank == NULL)
                break;
            taken = (size_t)(blank + 4 - bytes) - at;
            on_upgraded(driver, connection, bytes + at, taken);
        } else {
            taken = frame_len(bytes + at, len - at, &head);
            if (taken == 0)
                break;
            on_frame(driver, connection, bytes + at, head, taken);
        }
        at += taken;
    }
    return at;
}

static void on_readable(struct driver *driver, struct connection *connection)
{
    struct buf *rest = &connection->rest;
    size_t taken;
    ssize_t got;

    if (connection->state == LOST)
        return;
    got = recv(connection->fd, driver->buffer, sizeof(driver->buffer), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        connection_lose(driver, connection);
        return;
    }
    if (rest->len == 0) {
        taken = take(driver, connection, driver->buffer, (size_t)got);
        buf_append(rest, driver->buffer + taken, (size_t)got - taken);
    } else {
        buf_append(rest, driver->buffer, (size_t)got);
        buf_consume(rest, take(driver, connection, rest->bytes, rest->len));
    }
    if (rest->failed)
        driver_die("out of memory");
}

/* ---- the run ---- */

static void wait_events(struct driver *driver, uint64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t now = clock_now_ns();
    uint64_t left = until_ns > now ? until_ns - now : 0;
    struct timespec timeout = {
        .tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S)};
    int got = epoll_pwait2(driver->epoll, events, EVENTS_MAX, &timeout, NULL);

    if (got < 0 && errno != EINTR)
        driver_die("epoll_pwait2: %s", strerror(errno));
    for (int i = 0; i < got; i++)
        on_readable(driver, &driver->connections[events[i].data.fd]);
}

static uint64_t due_ns(const struct driver *driver)
{
    return driver->start_ns + (uint64_t)((double)driver->sent * 1e9 / driver->options.rate);
}

static bool has_room(const struct driver *driver)
{
    return driver->waiting < driver->options.in_flight && !list_empty(&driver->resting);
}

static void send_next(struct driver *driver, uint64_t since_ns)
{
    struct connection *connection = LIST_FIRST(&driver->resting, struct connection, link);
    const struct record *request = &driver->requests.all[driver->sent % driver->requests.count];

    list_remove(&connection->link);
    connection->state = WAITING;
    connection->since_ns = since_ns;
    driver->waiting++;
    driver->sent++;
    send_all(connection, request->bytes, request->len);
}

/* Sends all that is due and has a connection. False when nothing is to be sent any more. */
static bool send_due(struct driver *driver, uint64_t now)
{
    for (;;) {
        uint64_t since = driver->options.rate > 0 ? due_ns(driver) : now;

        if (since >= driver->end_ns || now >= driver->end_ns + DRAIN_NS)
            return false;
        if (since > now || !has_room(driver))
            return true;
        send_next(driver, since);
    }
}

static void run(struct driver *driver)
{
    for (;;) {
        uint64_t now = clock_now_ns();
        bool more = send_due(driver, now);
        uint64_t wake = driver->end_ns + DRAIN_NS;

        if (!more && (driver->waiting == 0 || now >= wake))
            return;
        if (more && has_room(driver))
            wake = due_ns(driver);
        wait_events(driver, wake);
    }
}

static void open_all(struct driver *driver)
{
    uint64_t until = clock_now_ns() + SETUP_NS;

    for (int i = 0; i < driver->options.connections; i++) {
        connection_open(driver, i);
        if (i % 64 == 63) /* a listener's queue is not endless */
            while (driver->ready < i - 63 && clock_now_ns() < until)
                wait_events(driver, until);
    }
    while (driver->ready < driver->options.connections) {
        wait_events(driver, until);
        if (clock_now_ns() >= until)
            driver_die("only %d of %d connections became ready", driver->ready,
                driver->options.connections);
    }
}

static uint64_t unsent(const struct driver *driver)
{
    double all = (driver->options.warmup_seconds + driver->options.seconds) * driver->options.rate;

    return driver->options.rate <= 0 || (uint64_t)all <= driver->sent
               ? 0
               : (uint64_t)all - driver->sent;
}

static void report(const struct driver *driver)
{
    uint64_t until = driver->last_ns > driver->count_from_ns ? driver->last_ns : clock_now_ns();
    double seconds = (double)(until - driver->count_from_ns) / 1e9;

    printf("{\"answered\":%" PRIu64 ",\"unexpected\":%" PRIu64 ",\"broken\":%" PRIu64
           ",\"unanswered\":%d,\"unsent\":%" PRIu64 ",\"sent\":%" PRIu64,
        driver->answered, driver->unexpected, driver->broken, driver->waiting, unsent(driver),
        driver->sent);
    printf(",\"seconds\":%.4f,\"per_second\":%.1f,\"answer_bytes\":%.1f", seconds,
        (double)driver->answered / seconds,
        driver->answered ? (double)driver->answer_bytes / (double)driver->answered : 0.0);
    driver_print_latency(&driver->latency);
    puts("}");
}

static _Noreturn void usage(int status)
{
    fputs("wsloop --target IPV4:PORT --upgrades FILE --requests FILE [options]\n"
          "  --openings FILE  per connection: lines to send, and answers to await, at first\n"
          "  --rate N         messages per second; 0 (default): closed loop\n"
          "  --connections N  default 32, at most 2000\n"
          "  --in-flight N    of them with a message under way; default: all\n"
          "  --seconds S      counted time, default 3\n"
          "  --warmup S       time before, not counted, default 0\n"
          "  --expect TEXT    answers without TEXT are counted as unexpected\n",
        status == 0 ? stdout : stderr);
    exit(status);
}

static void options_parse(int argc, char **argv, struct options *ret_options)
{
    static const struct option names[] = {{"target", required_argument, NULL, 't'},
        {"upgrades", required_argument, NULL, 'u'}, {"openings", required_argument, NULL, 'o'},
        {"requests", required_argument, NULL, 'f'}, {"rate", required_argument, NULL, 'r'},
        {"connections", required_argument, NULL, 'c'}, {"in-flight", required_argument, NULL, 'i'},
        {"seconds", required_argument, NULL, 's'}, {"warmup", required_argument, NULL, 'w'},
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
        case 'u':
            options.upgrades = optarg;
            break;
        case 'o':
            options.openings = optarg;
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
        case 'i':
            options.in_flight = (int)strtol(optarg, NULL, 10);
            break;
        case 's':
            options.seconds = strtod(optarg, NULL);
            break;
        case 'w':
            options.warmup_seconds = strtod(optarg, NULL);
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
    if (options.in_flight == 0)
        options.in_flight = options.connections;
    if (optind != argc || !options.upgrades || !options.requests || options.address.sin_port == 0 ||
        options.connections < 1 || options.connections > CONNECTIONS_MAX || options.in_flight < 1 ||
        options.seconds <= 0)
        usage(2);
    *ret_options = options;
}

/* 1,000 sockets are more than a shell's usual 1,024 files leave room for. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    static struct driver driver;
    const struct options *options = &driver.options;

    driver_name = "wsloop";
    options_parse(argc, argv, &driver.options);
    driver_load(options->upgrades, &driver.upgrades);
    driver_load(options->requests, &driver.requests);
    frame_requests(&driver.requests);
    if (options->openings != NULL)
        driver_load(options->openings, &driver.openings);
    raise_file_limit();
    driver.epoll = epoll_create1(EPOLL_CLOEXEC);
    driver.connections = mem_zalloc((size_t)options->connections * sizeof(struct connection));
    list_init(&driver.resting);
    /* The default slack of 50 us would be seen in every latency. */
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    open_all(&driver);
    driver.start_ns = clock_now_ns();
    driver.count_from_ns = driver.start_ns + (uint64_t)(options->warmup_seconds * 1e9);
    driver.end_ns = driver.count_from_ns + (uint64_t)(options->seconds * 1e9);
    run(&driver);
    report(&driver);
    return 0;
}
