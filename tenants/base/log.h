/* The logger: one line of logfmt per event, one write(2) per line.
 *
 *     log_info("database.opened", "tenant=%s database=%s ms=%u", …);
 *     time=2026-05-05T12:30:00.000Z level=info event=database.opened tenant=…
 *
 * Event names are stable. Never parameters, tokens or bodies of requests. Values that may hold
 * blanks go through log_quote(). Each call site is limited to LOG_SITE_PER_SECOND lines a second;
 * the next line that passes says how many were dropped. Any thread. */
#ifndef TENANTS_BASE_LOG_H
#define TENANTS_BASE_LOG_H

#include "tenants/base/str.h"

#define LOG_LINE_MAX 2048
#define LOG_SITE_PER_SECOND 50

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_site {
    uint64_t window_s;
    unsigned count;
    unsigned dropped;
};

void log_set_level(enum log_level level);
/* Where lines go: a descriptor, 2 by default. */
void log_set_fd(int fd);
bool log_enabled(enum log_level level);
void log_write(struct log_site *site, enum log_level level, const char *event, const char *format,
    ...) PRINTF_LIKE(4, 5);
/* `text` in double quotes with \", \\ and control characters escaped, cut to fit. Returns out. */
const char *log_quote(char *out, size_t size, struct str text);

#define LOG_AT(level, event, ...)                                                                  \
    do {                                                                                           \
        static struct log_site log_site_here;                                                      \
        if (log_enabled(level))                                                                    \
            log_write(&log_site_here, (level), (event), __VA_ARGS__);                              \
    } while (0)
#define log_debug(event, ...) LOG_AT(LOG_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...) LOG_AT(LOG_INFO, event, __VA_ARGS__)
#define log_warn(event, ...) LOG_AT(LOG_WARN, event, __VA_ARGS__)
#define log_error(event, ...) LOG_AT(LOG_ERROR, event, __VA_ARGS__)

#endif
