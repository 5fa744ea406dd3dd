#include "tenants/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "tenants/base/clock.h"
#include "tenants/base/thread.h"

static atomic_int current_level = LOG_INFO;
static atomic_int current_fd = 2;
static struct mutex site_lock = {PTHREAD_MUTEX_INITIALIZER};

void log_set_level(enum log_level level)
{
    atomic_store(&current_level, (int)level);
}

void log_set_fd(int fd)
{
    atomic_store(&current_fd, fd);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&current_level, memory_order_relaxed);
}

/* False when this site has said enough this second; *ret_dropped is what to mention. */
static bool site_admits(struct log_site *site, unsigned *ret_dropped)
{
    uint64_t second = clock_now_ns() / NS_PER_S;
    bool admitted;

    mutex_lock(&site_lock);
    if (site->window_s != second) {
        site->window_s = second;
        site->count = 0;
    }
    admitted = site->count < LOG_SITE_PER_SECOND;
    *ret_dropped = admitted ? site->dropped : 0;
    if (admitted) {
        site->count++;
        site->dropped = 0;
    } else {
        site->dropped++;
    }
    mutex_unlock(&site_lock);
    return admitted;
}

void log_write(
    struct log_site *site, enum log_level level, const char *event, const char *format, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char line[LOG_LINE_MAX];
    char at[CLOCK_ISO8601_BYTES];
    unsigned dropped;
    va_list args;
    size_t len;
    int more;

    if (!site_admits(site, &dropped))
        return;
    clock_format_iso8601(clock_wall_ms(), at);
    len =
        (size_t)snprintf(line, sizeof(line), "time=%s level=%s event=%s ", at, names[level], event);
    va_start(args, format);
    more = vsnprintf(line + len, sizeof(line) - len, format, args);
    va_end(args);
    len = MIN(len + (size_t)MAX(more, 0), sizeof(line) - 32);
    if (dropped > 0)
        len += (size_t)snprintf(line + len, sizeof(line) - len, " dropped=%u", dropped);
    while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\n'))
        len--;
    line[len++] = '\n';
    if (write(atomic_load(&current_fd), line, len) < 0)
        return; /* nowhere left to say it */
}

const char *log_quote(char *out, size_t size, struct str text)
{
    size_t at = 0;

    out[at++] = '"';
    for (size_t i = 0; i < text.len && at + 6 < size; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c == '"' || c == '\\') {
            out[at++] = '\\';
            out[at++] = (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            at += (size_t)snprintf(out + at, size - at, "\\x%02x", c);
        } else {
            out[at++] = (char)c;
        }
    }
    out[at++] = '"';
    out[at] = '\0';
    return out;
}
