/* What the load drivers share: a file of records, an address, the line of JSON at the end.
 *
 * A file of records: a decimal length, a newline, that many bytes; rig/work.py writes it, wrk.lua
 * reads it too. It is mapped and stays so until the program ends. Errors end the program with a
 * line on stderr: a driver has nobody to report to. One thread. */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/histogram.h"

#define RECORDS_MAX (1U << 20) /* what comes after is left out */

struct record {
    const char *bytes;
    size_t len;
};

struct records {
    struct record *all;
    size_t count;
};

/* The program's name in front of what driver_die() says. */
extern const char *driver_name;

_Noreturn void driver_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void driver_load(const char *path, struct records *ret_records);
/* "IPV4:PORT"; false when it is none. */
bool driver_parse_address(const char *text, struct sockaddr_in *ret_address);
/* A connected, non-blocking socket without Nagle's delay. */
int driver_connect(const struct sockaddr_in *address);
/* ",\"mean_us\":…,\"p50_us\":…" and so on to max_us, on stdout. */
void driver_print_latency(const struct histogram *latency);

#endif
