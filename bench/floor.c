/* floor: what SQLite does in this process, with no server around it: the floor that bench/compare
 * prints under its table. One thread, prepared statements, WAL.
 *
 *   select    point SELECT by primary key, the three columns read
 *   insert    one-row INSERT, each its own transaction, synchronous=FULL: one fdatasync per commit
 *   memory    the same INSERT with synchronous=OFF: what remains when nobody waits for the disk
 *   sync      4 KiB overwritten in a file and fdatasync, no SQLite: the disk alone
 *
 * Usage: floor DIR SECONDS     DIR must exist; the files made there are removed again.
 * Prints one line of JSON, rates per second and p99 in microseconds. Exit: 0, or 1 with a line. */
#include "bench/histogram.h"
#include "tenants/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS 100
#define PATH_BYTES 4096
#define SYNC_BYTES 4096
#define SYNC_BLOCKS 1024

struct rate {
    double per_second;
    double p99_us;
};

typedef void (*step_fn)(void *context, uint64_t turn);

static _Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

static _Noreturn void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("floor: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

/* Runs `step` for a fifth of the time to warm up, then for `seconds`, counted. */
static struct rate measure(step_fn step, void *context, double seconds)
{
    static struct histogram latency;
    uint64_t start = clock_now_ns(), warm = start + (uint64_t)(seconds * 2e8);
    uint64_t end = warm + (uint64_t)(seconds * 1e9), now = start, turn = 0;

    memset(&latency, 0, sizeof(latency));
    while (now < end) {
        uint64_t before = now;

        step(context, turn++);
        now = clock_now_ns();
        if (before >= warm)
            histogram_add(&latency, now - before);
    }
    return (struct rate){(double)latency.count / ((double)(now - warm) / 1e9),
        (double)histogram_percentile(&latency, 0.99) / 1e3};
}

static void must(sqlite3 *db, int got, int wanted)
{
    if (got != wanted)
        die("SQLite: %s", sqlite3_errmsg(db));
}

static void step_select(void *context, uint64_t turn)
{
    sqlite3_stmt *statement = context;
    sqlite3 *db = sqlite3_db_handle(statement);

    sqlite3_bind_int64(statement, 1, 1000 + (sqlite3_int64)(turn * 37 % ROWS));
    must(db, sqlite3_step(statement), SQLITE_ROW);
    if (sqlite3_column_int64(statement, 0) == 0 || !sqlite3_column_text(statement, 1) ||
        !sqlite3_column_text(statement, 2))
        die("an empty row");
    must(db, sqlite3_step(statement), SQLITE_DONE);
    sqlite3_reset(statement);
}

static void step_insert(void *context, uint64_t turn)
{
    static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstu"
                               "vwxyz0123456789abcdefghijklmnopqr";
    sqlite3_stmt *statement = context;

    (void)turn;
    sqlite3_bind_text(statement, 1, "name-1000", -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, text, 100, SQLITE_STATIC);
    must(sqlite3_db_handle(statement), sqlite3_step(statement), SQLITE_DONE);
    sqlite3_reset(statement);
}

static void step_sync(void *context, uint64_t turn)
{
    static const char block[SYNC_BYTES] = "rookery";
    int fd = *(int *)context;
    off_t at = (off_t)(turn % SYNC_BLOCKS) * SYNC_BYTES;

    if (pwrite(fd, block, sizeof(block), at) != (ssize_t)sizeof(block) || fdatasync(fd) != 0)
        die("fdatasync: %s", strerror(errno));
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;

    must(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL),
        SQLITE_OK);
    return statement;
}

static void run(sqlite3 *db, const char *sql)
{
    must(db, sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void measure_sqlite(const char *path, double seconds, struct rate *ret_select,
    struct rate *ret_insert, struct rate *ret_memory)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
            NULL) != SQLITE_OK)
        die("%s: %s", path, sqlite3_errmsg(db));
    run(db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
            "CREATE TABLE kv(id INTEGER PRIMARY KEY, name TEXT, v TEXT);"
            "CREATE TABLE log(id INTEGER PRIMARY KEY, name TEXT, v TEXT);"
            "INSERT INTO kv WITH RECURSIVE c(i) AS (SELECT 1000 UNION ALL SELECT i+1 FROM c WHERE "
            "i < 1099) SELECT i, 'name-'||i, hex(zeroblob(50)) FROM c;");
    statement = prepare(db, "SELECT id, name, v FROM kv WHERE id = ?");
    *ret_select = measure(step_select, statement, seconds);
    sqlite3_finalize(statement);
    statement = prepare(db, "INSERT INTO log(name, v) VALUES (?, ?)");
    *ret_insert = measure(step_insert, statement, seconds);
    sqlite3_finalize(statement);
    run(db, "PRAGMA synchronous=OFF");
    statement = prepare(db, "INSERT INTO log(name, v) VALUES (?, ?)");
    *ret_memory = measure(step_insert, statement, seconds);
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

static struct rate measure_sync(const char *path, double seconds)
{
    static const char block[SYNC_BYTES];
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct rate rate;

    if (fd < 0)
        die("%s: %s", path, strerror(errno));
    for (int i = 0; i < SYNC_BLOCKS; i++) {
        if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
            die("%s: %s", path, strerror(errno));
    }
    fsync(fd);
    rate = measure(step_sync, &fd, seconds);
    close(fd);
    return rate;
}

int main(int argc, char **argv)
{
    char path[PATH_BYTES];
    struct rate select, insert, memory, sync;
    double seconds = argc == 3 ? strtod(argv[2], NULL) : 0;

    if (seconds <= 0 || strlen(argv[1]) > sizeof(path) - 16) {
        fputs("usage: floor DIR SECONDS\n", stderr);
        return 1;
    }
    snprintf(path, sizeof(path), "%s/floor.db", argv[1]);
    unlink(path);
    measure_sqlite(path, seconds, &select, &insert, &memory);
    unlink(path);
    snprintf(path, sizeof(path), "%s/floor.sync", argv[1]);
    sync = measure_sync(path, seconds);
    unlink(path);
    printf("{\"sqlite\":\"%s\",\"select\":{\"per_second\":%.0f,\"p99_us\":%.1f},"
           "\"insert\":{\"per_second\":%.0f,\"p99_us\":%.1f},"
           "\"memory\":{\"per_second\":%.0f,\"p99_us\":%.1f},"
           "\"sync\":{\"per_second\":%.0f,\"p99_us\":%.1f}}\n",
        sqlite3_libversion(), select.per_second, select.p99_us, insert.per_second, insert.p99_us,
        memory.per_second, memory.p99_us, sync.per_second, sync.p99_us);
    return 0;
}
