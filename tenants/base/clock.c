#include "tenants/base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static atomic_bool frozen;
static _Atomic uint64_t frozen_ns;
static _Atomic int64_t frozen_wall_ms;

uint64_t clock_now_ns(void)
{
    struct timespec now;

    if (unlikely(atomic_load_explicit(&frozen, memory_order_relaxed)))
        return atomic_load(&frozen_ns);
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t clock_thread_cpu_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int64_t clock_wall_ms(void)
{
    struct timespec now;

    if (unlikely(atomic_load_explicit(&frozen, memory_order_relaxed)))
        return atomic_load(&frozen_wall_ms);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void clock_freeze(uint64_t monotonic_ns, int64_t wall_ms)
{
    atomic_store(&frozen_ns, monotonic_ns);
    atomic_store(&frozen_wall_ms, wall_ms);
    atomic_store(&frozen, true);
}

void clock_advance_ms(uint64_t ms)
{
    atomic_fetch_add(&frozen_ns, ms * NS_PER_MS);
    atomic_fetch_add(&frozen_wall_ms, (int64_t)ms);
}

void clock_unfreeze(void)
{
    atomic_store(&frozen, false);
}

void clock_format_iso8601(int64_t wall_ms, char out[CLOCK_ISO8601_BYTES])
{
    const int64_t last = 253402300799999; /* 9999-12-31T23:59:59.999Z */
    int64_t clamped = wall_ms < -62167219200000 ? -62167219200000 : MIN(wall_ms, last);
    int64_t ms = ((clamped % 1000) + 1000) % 1000;
    time_t seconds = (time_t)((clamped - ms) / 1000);
    struct tm tm;

    (void)gmtime_r(&seconds, &tm);
    (void)snprintf(out, CLOCK_ISO8601_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
        (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
        (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
        (unsigned)tm.tm_sec % 100, (unsigned)ms % 1000);
}

/* Reads exactly `count` digits at *at. */
static int digits(const char *text, size_t len, size_t *at, int count, int *ret_value)
{
    int value = 0;

    for (int i = 0; i < count; i++, (*at)++) {
        if (*at >= len || text[*at] < '0' || text[*at] > '9')
            return -1;
        value = value * 10 + (text[*at] - '0');
    }
    *ret_value = value;
    return 0;
}

static int expect(const char *text, size_t len, size_t *at, char c)
{
    if (*at >= len || text[*at] != c)
        return -1;
    (*at)++;
    return 0;
}

/* Milliseconds of ".123456" (any number of digits), 0 when there is none. */
static int fraction(const char *text, size_t len, size_t *at, int *ret_ms)
{
    int scale = 100;

    *ret_ms = 0;
    if (*at >= len || text[*at] != '.')
        return 0;
    (*at)++;
    if (*at >= len || text[*at] < '0' || text[*at] > '9')
        return -1;
    for (; *at < len && text[*at] >= '0' && text[*at] <= '9'; (*at)++, scale /= 10)
        *ret_ms += scale * (text[*at] - '0');
    return 0;
}

static int zone(const char *text, size_t len, size_t *at, int *ret_minutes)
{
    int hours;
    int minutes;
    int sign;

    *ret_minutes = 0;
    if (*at < len && (text[*at] == 'Z' || text[*at] == 'z')) {
        (*at)++;
        return 0;
    }
    if (*at >= len || (text[*at] != '+' && text[*at] != '-'))
        return -1;
    sign = text[(*at)++] == '-' ? -1 : 1;
    if (digits(text, len, at, 2, &hours) < 0 || expect(text, len, at, ':') < 0 ||
        digits(text, len, at, 2, &minutes) < 0 || hours > 23 || minutes > 59)
        return -1;
    *ret_minutes = sign * (hours * 60 + minutes);
    return 0;
}

int clock_parse_iso8601(const char *text, size_t len, int64_t *ret_wall_ms)
{
    struct tm tm = {0};
    size_t at = 0;
    int ms;
    int offset;

    if (digits(text, len, &at, 4, &tm.tm_year) < 0 || expect(text, len, &at, '-') < 0 ||
        digits(text, len, &at, 2, &tm.tm_mon) < 0 || expect(text, len, &at, '-') < 0 ||
        digits(text, len, &at, 2, &tm.tm_mday) < 0 ||
        (expect(text, len, &at, 'T') < 0 && expect(text, len, &at, ' ') < 0) ||
        digits(text, len, &at, 2, &tm.tm_hour) < 0 || expect(text, len, &at, ':') < 0 ||
        digits(text, len, &at, 2, &tm.tm_min) < 0 || expect(text, len, &at, ':') < 0 ||
        digits(text, len, &at, 2, &tm.tm_sec) < 0 || fraction(text, len, &at, &ms) < 0 ||
        zone(text, len, &at, &offset) < 0 || at != len)
        return -1;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60)
        return -1;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ret_wall_ms = ((int64_t)timegm(&tm) - (int64_t)offset * 60) * 1000 + ms;
    return 0;
}
