#include "tests/crash/ledger.h"

#include <stdio.h>
#include <string.h>

#include "tenants/base/mem.h"
#include "tests/crash/disk.h"

#define SCHEMA                                                                                     \
    "BEGIN; CREATE TABLE meta(id INTEGER PRIMARY KEY, n INTEGER);"                                 \
    "CREATE TABLE kv(k INTEGER PRIMARY KEY, n INTEGER, v BLOB);"                                   \
    "CREATE INDEX kv_n ON kv(n, v); INSERT INTO meta VALUES (1, 1)"

void ledger_init(struct ledger *ledger)
{
    memset(ledger, 0, sizeof(*ledger));
}

void ledger_fini(struct ledger *ledger)
{
    for (size_t i = 0; i < LEDGER_KEYS; i++)
        mem_free(ledger->keys[i].writes);
    ledger_init(ledger);
}

static void mark(struct ledger *ledger)
{
    for (size_t i = 0; i < LEDGER_KEYS; i++)
        ledger->undo[i] = ledger->keys[i].count;
}

void ledger_undo(struct ledger *ledger)
{
    for (size_t i = 0; i < LEDGER_KEYS; i++)
        ledger->keys[i].count = ledger->undo[i];
}

static void note(struct ledger *ledger, unsigned key, bool deleted)
{
    struct ledger_key *writes = &ledger->keys[key];

    if (writes->count == writes->capacity) {
        writes->capacity = writes->capacity * 2 + 16;
        writes->writes = mem_realloc(writes->writes, writes->capacity * sizeof(*writes->writes));
    }
    writes->writes[writes->count++] =
        (struct ledger_write){.number = ledger->started, .deleted = deleted};
}

int ledger_create(struct ledger *ledger, sqlite3 *db)
{
    ledger->started = 1;
    mark(ledger);
    return sqlite3_exec(db, SCHEMA, NULL, NULL, NULL);
}

/* Length and content of a row follow from key and number. */
static int value_len(unsigned key, uint32_t number)
{
    unsigned kind = (key * 31 + number * 17) % 16;

    return (int)(kind == 0 ? 6000 + number % 3000 : 20 + kind * 20);
}

static void fill_value(unsigned char *value, int len, unsigned key, uint32_t number)
{
    uint64_t state = ((uint64_t)key << 32 | number) * 0x9e3779b97f4a7c15ULL | 1;

    for (int i = 0; i < len; i++)
        value[i] = (unsigned char)disk_random(&state);
}

static int put_row(sqlite3 *db, unsigned key, uint32_t number)
{
    static const char sql[] = "INSERT INTO kv VALUES (?1, ?2, ?3) "
                              "ON CONFLICT(k) DO UPDATE SET n = ?2, v = ?3";
    int len = value_len(key, number);
    unsigned char value[9200];
    sqlite3_stmt *statement = NULL;

    fill_value(value, len, key, number);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK) {
        sqlite3_bind_int64(statement, 1, key);
        sqlite3_bind_int64(statement, 2, number);
        sqlite3_bind_blob(statement, 3, value, len, SQLITE_TRANSIENT);
        (void)sqlite3_step(statement);
    }
    return statement == NULL ? sqlite3_errcode(db) : sqlite3_finalize(statement);
}

static int run_number(sqlite3 *db, const char *format, unsigned long long number)
    __attribute__((format(printf, 2, 0)));

static int run_number(sqlite3 *db, const char *format, unsigned long long number)
{
    char sql[200];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(sql, sizeof(sql), format, number);
#pragma GCC diagnostic pop
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* One request of a group. */
static int request(struct ledger *ledger, sqlite3 *db, int rows, bool undone, uint64_t *random)
{
    int rc = sqlite3_exec(db, "SAVEPOINT request", NULL, NULL, NULL);

    for (int i = 0; i < rows && rc == SQLITE_OK; i++) {
        unsigned key = (unsigned)(disk_random(random) % LEDGER_KEYS);
        bool delete = disk_random(random) % 4 == 0;

        rc = delete ? run_number(db, "DELETE FROM kv WHERE k = %llu", key)
                    : put_row(db, key, ledger->started);
        if (!undone)
            note(ledger, key, delete);
    }
    if (rc == SQLITE_OK && undone)
        rc = sqlite3_exec(db, "ROLLBACK TO request", NULL, NULL, NULL);
    return rc == SQLITE_OK ? sqlite3_exec(db, "RELEASE request", NULL, NULL, NULL) : rc;
}

int ledger_begin(
    struct ledger *ledger, sqlite3 *db, int groups, int rows, bool large, uint64_t *random)
{
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    if (rc != SQLITE_OK)
        return rc;
    mark(ledger);
    ledger->started++;
    rc = run_number(db, "UPDATE meta SET n = %llu", ledger->started);
    for (int i = 0; i < groups && rc == SQLITE_OK; i++)
        rc = request(ledger, db, large ? rows * 10 : rows, disk_random(random) % 5 == 0, random);
    return rc;
}

int ledger_commit(struct ledger *ledger, sqlite3 *db)
{
    ledger->tried = ledger->started;
    return sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
}

void ledger_acknowledge(struct ledger *ledger, uint32_t number)
{
    if (number > ledger->acknowledged)
        ledger->acknowledged = number;
}

/* ------------------------------------------------------------------ checking */

void ledger_text(sqlite3 *db, const char *sql, char *out, size_t size)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        (void)snprintf(out, size, "%s", (const char *)sqlite3_column_text(statement, 0));
    else
        (void)snprintf(out, size, "error %d: %s", sqlite3_extended_errcode(db), sqlite3_errmsg(db));
    (void)sqlite3_finalize(statement);
}

/* The last write of a key that transaction `number` can see; NULL when it was never written. */
static const struct ledger_write *expected(
    const struct ledger *ledger, unsigned key, uint32_t number)
{
    const struct ledger_key *writes = &ledger->keys[key];
    const struct ledger_write *last = NULL;
    size_t low = 0, high = writes->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (writes->writes[middle].number <= number) {
            last = &writes->writes[middle];
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return last;
}

/* -1: there are no tables. -2: an error. */
static int64_t read_number(sqlite3 *db, char *why, size_t why_size)
{
    char text[200];
    uint64_t number = 0;

    ledger_text(db, "SELECT count(*) FROM sqlite_schema", text, sizeof(text));
    if (strcmp(text, "0") == 0)
        return -1;
    ledger_text(db, "SELECT n FROM meta WHERE id = 1", text, sizeof(text));
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9') {
            (void)snprintf(why, why_size, "meta: %s", text);
            return -2;
        }
        number = number * 10 + (uint64_t)(*at - '0');
    }
    return (int64_t)number;
}

static bool row_is_right(sqlite3_stmt *statement, const struct ledger_write *write, unsigned key)
{
    unsigned char value[9200];
    int len = value_len(key, write->number);

    fill_value(value, len, key, write->number);
    return sqlite3_column_int64(statement, 1) == write->number &&
           sqlite3_column_bytes(statement, 2) == len &&
           memcmp(sqlite3_column_blob(statement, 2), value, (size_t)len) == 0;
}

static bool check_rows(
    const struct ledger *ledger, sqlite3 *db, uint32_t number, char *why, size_t why_size)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, "SELECT k, n, v FROM kv ORDER BY k", -1, &statement, NULL);
    unsigned next = 0;

    why[0] = '\0';
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    for (; next <= LEDGER_KEYS && why[0] == '\0'; next++) {
        const struct ledger_write *write =
            next < LEDGER_KEYS ? expected(ledger, next, number) : NULL;
        bool want = write != NULL && !write->deleted;
        bool have =
            rc == SQLITE_ROW && (next == LEDGER_KEYS || sqlite3_column_int64(statement, 0) == next);

        if (want != have)
            (void)snprintf(why, why_size, "after %u key %u is %s", number, next,
                want ? "missing" : "there and should not be");
        else if (want && !row_is_right(statement, write, next))
            (void)snprintf(why, why_size, "after %u key %u is of %lld, should be of %u", number,
                next, (long long)sqlite3_column_int64(statement, 1), write->number);
        if (have)
            rc = sqlite3_step(statement);
    }
    if (why[0] == '\0' && rc != SQLITE_DONE)
        (void)snprintf(why, why_size, "reading rows: %s", sqlite3_errmsg(db));
    (void)sqlite3_finalize(statement);
    return why[0] == '\0';
}

bool ledger_check(const struct ledger *ledger, sqlite3 *db, uint32_t low, uint32_t high,
    uint32_t *ret_number, char *why, size_t why_size)
{
    char text[300];
    int64_t number;

    ledger_text(db, "PRAGMA integrity_check", text, sizeof(text));
    if (strcmp(text, "ok") != 0) {
        for (char *at = text; *at != '\0'; at++) /* one line of TAP */
            *at = *at == '\n' ? ';' : *at;
        (void)snprintf(why, why_size, "integrity_check: %.200s", text);
        return false;
    }
    number = read_number(db, why, why_size);
    if (number == -2)
        return false;
    *ret_number = number < 0 ? 0 : (uint32_t)number;
    if (*ret_number < low || *ret_number > high) {
        (void)snprintf(why, why_size, "transaction %u is the last, %u was acknowledged, %u begun",
            *ret_number, low, high);
        return false;
    }
    return number < 0 || check_rows(ledger, db, *ret_number, why, why_size);
}
