/* Time. The clock is injected: tests set it, so that nothing waits for real time to pass. */
#ifndef TENANTS_BASE_CLOCK_H
#define TENANTS_BASE_CLOCK_H

#include "tenants/base/macros.h"

#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL

#define CLOCK_ISO8601_BYTES 25 /* "2026-05-05T12:30:00.000Z" and its NUL */

/* Monotonic nanoseconds. Any thread. */
uint64_t clock_now_ns(void);
static inline uint64_t clock_now_ms(void)
{
    return clock_now_ns() / NS_PER_MS;
}
/* How long ago `then` was, in its unit; 0 when it is later than `now`, as it may be when another
 * thread took it after `now` was taken. */
static inline uint64_t clock_since(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}
/* CPU time of the calling thread. A system call: not for each request. */
uint64_t clock_thread_cpu_ns(void);
/* Milliseconds since 1970, UTC. Any thread. */
int64_t clock_wall_ms(void);

/* Tests only: both clocks stand at these values, plus what clock_advance_ms adds. */
void clock_freeze(uint64_t monotonic_ns, int64_t wall_ms);
void clock_advance_ms(uint64_t ms);
void clock_unfreeze(void);

/* "2026-05-05T12:30:00.000Z". Years 0000-9999; others are clamped. */
void clock_format_iso8601(int64_t wall_ms, char out[CLOCK_ISO8601_BYTES]);
/* Accepts what clock_format_iso8601 writes, with or without fraction, with Z or ±hh:mm. -1 if not.
 */
int clock_parse_iso8601(const char *text, size_t len, int64_t *ret_wall_ms) MUST_CHECK;

#endif
