#include "src/rook/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "tenants/base/clock.h"

#define DRAW_NS (100 * NS_PER_MS)
#define BAR_CELLS 30

void progress_init(struct progress *progress, const char *verb, bool quiet)
{
    *progress = (struct progress){
        .verb = verb, .shown = !quiet && isatty(STDERR_FILENO) != 0, .started_ns = clock_now_ns()};
}

static void put_bytes(double bytes, const char *after)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    unsigned unit = 0;

    while (bytes >= 1000 && unit + 1 < ARRAY_LEN(units)) {
        bytes /= 1000;
        unit++;
    }
    (void)fprintf(stderr, unit == 0 ? "%.0f %s%s" : "%.1f %s%s", bytes, units[unit], after);
}

static void put_bar(double share)
{
    unsigned full = (unsigned)(share * BAR_CELLS);

    (void)fputc('[', stderr);
    for (unsigned i = 0; i < BAR_CELLS; i++)
        (void)fputc(i < full ? '#' : '.', stderr);
    (void)fprintf(stderr, "] %3u%%  ", (unsigned)(share * 100));
}

static void draw(struct progress *progress, uint64_t now)
{
    double seconds = (double)clock_since(now, progress->started_ns) / 1e9;

    (void)fprintf(stderr, "\r\033[K%s  ", progress->verb);
    if (progress->total > 0)
        put_bar((double)MIN(progress->at, progress->total) / (double)progress->total);
    put_bytes((double)progress->at, "");
    if (progress->total > 0) {
        (void)fputs(" of ", stderr);
        put_bytes((double)progress->total, "");
    }
    if (progress->total > 0 && progress->at >= progress->total) {
        (void)fputs(progress->waits ? "  waiting for the server" : "", stderr);
    } else if (seconds > 0.5) {
        (void)fputs("  ", stderr);
        put_bytes((double)progress->at / seconds, "/s");
    }
    (void)fflush(stderr);
    progress->drawn = true;
    progress->drawn_ns = now;
}

void progress_set(struct progress *progress, uint64_t at, uint64_t total)
{
    bool is_news = at >= total && progress->at < total; /* its last byte */
    uint64_t now;

    if (!progress->shown || at == 0)
        return;
    progress->at = at;
    progress->total = total;
    now = clock_now_ns();
    if (is_news || clock_since(now, progress->drawn_ns) >= DRAW_NS)
        draw(progress, now);
}

void progress_end(struct progress *progress)
{
    if (progress->drawn)
        (void)fputs("\r\033[K", stderr);
    progress->drawn = false;
}
