#include "bench/driver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tenants/base/mem.h"

const char *driver_name = "driver";

void driver_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "%s: ", driver_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void driver_load(const char *path, struct records *ret_records)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    const char *at, *end;

    if (fd < 0 || fstat(fd, &info) != 0)
        driver_die("%s: %s", path, strerror(errno));
    if (info.st_size == 0)
        driver_die("%s: empty", path);
    at = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (at == MAP_FAILED)
        driver_die("%s: %s", path, strerror(errno));
    close(fd);
    end = at + info.st_size;
    ret_records->all = mem_zalloc(RECORDS_MAX * sizeof(struct record));
    ret_records->count = 0;
    while (at < end && ret_records->count < RECORDS_MAX) {
        char *eol;
        size_t len = strtoul(at, &eol, 10);

        if (*eol != '\n' || len > (size_t)(end - eol - 1))
            driver_die("%s: no record of a length, a newline and bytes at offset %zd", path,
                (ssize_t)info.st_size - (end - at));
        ret_records->all[ret_records->count++] = (struct record){eol + 1, len};
        at = eol + 1 + len;
    }
}

bool driver_parse_address(const char *text, struct sockaddr_in *ret_address)
{
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;

    if (len == 0 || len >= sizeof(host))
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    ret_address->sin_family = AF_INET;
    ret_address->sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    return ret_address->sin_port != 0 && inet_pton(AF_INET, host, &ret_address->sin_addr) == 1;
}

int driver_connect(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0)
        driver_die("connect: %s", strerror(errno));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        driver_die("fcntl: %s", strerror(errno));
    return fd;
}

void driver_print_latency(const struct histogram *latency)
{
    printf(",\"mean_us\":%.1f,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,"
           "\"max_us\":%.1f",
        latency->count ? (double)latency->sum / (double)latency->count / 1e3 : 0.0,
        (double)histogram_percentile(latency, 0.5) / 1e3,
        (double)histogram_percentile(latency, 0.9) / 1e3,
        (double)histogram_percentile(latency, 0.99) / 1e3,
        (double)histogram_percentile(latency, 0.999) / 1e3, (double)latency->max / 1e3);
}
