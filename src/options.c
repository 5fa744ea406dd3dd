#include "src/options.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tenants/base/check.h"

#define AT(member) offsetof(struct options, member)
#define KIB 1024ULL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)
#define SECOND 1000ULL
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define FIXED false
#define LIVE true

/* name, kind, field, default, least, most, choices, reloadable, group, help */
const struct option_row option_rows[] = {
    {"data", OPTION_TEXT, AT(data_dir), "data", 1, 4000, NULL, FIXED, "Place",
        "folder of the catalogue and all databases; made with mode 0700"},
    {"listen", OPTION_LIST, AT(listen), "127.0.0.1:8080", 0, 0, NULL, FIXED, "Place",
        "address: 1.2.3.4:PORT, [::1]:PORT, unix:/path; repeatable; port 0 takes a free one"},
    {"listen-admin", OPTION_LIST, AT(listen_admin), "", 0, 0, NULL, FIXED, "Place",
        "address of sqld's admin API (namespaces), for operator tokens; likewise repeatable"},
    {"admin-open", OPTION_BOOL, AT(admin_open), "off", 0, 0, NULL, FIXED, "Place",
        "no token on --listen-admin: whoever can connect may all; on this machine's own addresses "
        "and Unix sockets only"},
    {"config", OPTION_TEXT, AT(config_file), "", 0, 4000, NULL, FIXED, "Place",
        "INI file with the same names: name = value"},
    {"bootstrap-token-file", OPTION_TEXT, AT(bootstrap_token_file), "", 0, 4000, NULL, FIXED,
        "Place", "write the first operator token here (mode 0600) when the catalogue is new"},
    {"jwt-key", OPTION_TEXT, AT(jwt_key_file), "", 0, 4000, NULL, FIXED, "Place",
        "file with public keys (PEM, or Ed25519 in base64url) whose JSON web tokens are taken; "
        "SIGHUP reads it again"},
    {"region", OPTION_TEXT, AT(surface.region), "local", 1, 64, NULL, FIXED, "Place",
        "name shown as the databases' region"},
    {"base-domain", OPTION_TEXT, AT(surface.base_domain), "", 0, 200, NULL, FIXED, "Place",
        "serve {tenant}.DOMAIN and {database}--{tenant}.DOMAIN too"},

    {"loops", OPTION_COUNT_OF, AT(loops), "0", 0, 64, NULL, FIXED, "Threads",
        "event loops; 0: one per core, at most 8"},
    {"workers", OPTION_COUNT_OF, AT(engine.workers), "0", 0, 256, NULL, FIXED, "Threads",
        "engine threads; 0: one per core, at least 2"},
    {"slow-workers", OPTION_COUNT_OF, AT(engine.slow_workers), "0", 0, 256, NULL, FIXED, "Threads",
        "low-priority threads for statements that outgrow --short-steps or --short-time, half of "
        "them for one tenant at most; 0: twice the cores, at least 8"},
    {"slow-cpus", OPTION_COUNT_OF, AT(engine.slow_cpus), "0", 0, 256, NULL, FIXED, "Threads",
        "cores that those threads may keep busy, in turns; 0: all but one, at least 1"},
    {"sync-threads", OPTION_UNSIGNED, AT(engine.sync_threads), "16", 1, 64, NULL, FIXED, "Threads",
        "threads that wait for the disk"},

    {"commit", OPTION_CHOICE, AT(engine.commit), "pipelined", 0, 0, "pipelined|inline", FIXED,
        "Engine", "pipelined: sync beside the next group; inline: sync inside each commit"},
    {"readers", OPTION_UNSIGNED, AT(engine.readers_per_database), "4", 1, 64, NULL, FIXED, "Engine",
        "read lanes of a database beside its write lane"},
    {"streams", OPTION_UNSIGNED, AT(engine.streams_per_database), "128", 0, 10000, NULL, FIXED,
        "Engine", "streams (sessions that may hold a transaction) of a database"},
    {"mailbox-messages", OPTION_UNSIGNED, AT(engine.mailbox_messages), "4096", 1, 1000000, NULL,
        FIXED, "Engine", "requests waiting for a database; more are answered 429"},
    {"mailbox-bytes", OPTION_SIZE, AT(engine.mailbox_bytes), "64m", 64 * KIB, 16 * GIB, NULL, FIXED,
        "Engine", "their bytes together"},
    {"group-requests", OPTION_UNSIGNED, AT(engine.group_requests), "128", 1, 10000, NULL, FIXED,
        "Engine", "most write requests in one commit"},
    {"cached-statements", OPTION_UNSIGNED, AT(engine.cached_statements), "64", 1, 10000, NULL,
        FIXED, "Engine", "prepared statements kept by each connection"},
    {"page-cache", OPTION_UNSIGNED, AT(engine.cache_kib), "2048", 64, 16777216, NULL, FIXED,
        "Engine", "page cache of each connection, in KiB"},
    {"wal-soft", OPTION_SIZE, AT(engine.wal_soft_bytes), "4m", 64 * KIB, TIB, NULL, FIXED, "Engine",
        "WAL size from which checkpoints run between groups"},
    {"wal-hard", OPTION_SIZE, AT(engine.wal_hard_bytes), "64m", MIB, TIB, NULL, FIXED, "Engine",
        "WAL size at which the oldest reader is interrupted and writes get 503"},
    {"idle-close", OPTION_TIME, AT(engine.idle_close_ms), "60s", 0, 365 * DAY, NULL, FIXED,
        "Engine", "close a database nobody used for so long; 0: never"},
    {"max-open", OPTION_UNSIGNED, AT(engine.max_open), "4096", 8, 1000000, NULL, FIXED, "Engine",
        "databases open at once; the least recently used is closed"},
    {"max-cache", OPTION_SIZE, AT(engine.max_cache_bytes), "1g", MIB, 64 * TIB, NULL, FIXED,
        "Engine", "SQLite memory of all open databases; over it, idle ones are closed"},

    {"statement-time", OPTION_TIME, AT(engine.statement_time_ms), "30s", 1, DAY, NULL, FIXED,
        "Budgets", "longest run of a statement"},
    {"statement-steps", OPTION_NUMBER, AT(engine.statement_steps), "0", 0, UINT64_MAX, NULL, FIXED,
        "Budgets", "VM steps of a statement; 0: no limit but time"},
    {"short-steps", OPTION_NUMBER, AT(engine.short_steps), "500000", 1000, UINT64_MAX, NULL, FIXED,
        "Budgets", "VM steps after which a statement starts again on a slow worker"},
    {"short-time", OPTION_TIME, AT(engine.short_time_ms), "10ms", 1, DAY, NULL, FIXED, "Budgets",
        "time after which it does"},
    {"loop-steps", OPTION_NUMBER, AT(engine.loop_steps), "5000", 0, 1000000, NULL, FIXED, "Budgets",
        "VM steps of a read on an event loop before it goes to a worker; 0: never on a loop"},
    {"lock-wait", OPTION_TIME, AT(engine.lock_wait_ms), "10s", 0, HOUR, NULL, FIXED, "Budgets",
        "a statement waits so long for the write lock"},
    {"imports", OPTION_UNSIGNED, AT(engine.imports), "4", 1, 1000, NULL, FIXED, "Budgets",
        "imports under way at once; more are answered 503"},
    {"memory-per-database", OPTION_SIZE, AT(engine.memory_per_database), "64m", MIB, TIB, NULL,
        FIXED, "Budgets", "SQLite memory of a database"},
    {"temp-per-database", OPTION_SIZE, AT(engine.temp_per_database), "256m", 0, 64 * TIB, NULL,
        FIXED, "Budgets", "temporary files of a database"},
    {"max-database-size", OPTION_SIZE, AT(engine.max_database_bytes), "10g", 64 * KIB, 64 * TIB,
        NULL, FIXED, "Budgets", "size of a database unless its settings say otherwise"},
    {"max-sql", OPTION_SIZE, AT(engine.max_sql_bytes), "100k", 256, 16 * MIB, NULL, FIXED,
        "Budgets", "bytes of one statement"},
    {"max-value", OPTION_SIZE, AT(engine.max_value_bytes), "32m", KIB, GIB, NULL, FIXED, "Budgets",
        "bytes of one text, blob or row"},
    {"max-parameters", OPTION_UNSIGNED, AT(engine.max_parameters), "32766", 1, 250000, NULL, FIXED,
        "Budgets", "parameters of one statement"},
    {"max-rows", OPTION_NUMBER, AT(engine.max_result_rows), "0", 0, UINT64_MAX, NULL, FIXED,
        "Budgets", "rows of a result; 0: no limit"},
    {"max-result", OPTION_SIZE, AT(engine.max_result_bytes), "0", 0, 64 * TIB, NULL, FIXED,
        "Budgets", "bytes of a streamed result; 0: no limit"},
    {"max-write-result", OPTION_SIZE, AT(engine.max_write_result_bytes), "10m", KIB, GIB, NULL,
        FIXED, "Budgets",
        "bytes of a result that does not stream (a write's, Hrana's); over it it is undone (413)"},
    {"stream-chunk", OPTION_SIZE, AT(engine.stream_chunk_bytes), "256k", 4 * KIB, 64 * MIB, NULL,
        FIXED, "Budgets", "a read's answer streams from this size on"},
    {"stream-idle", OPTION_TIME, AT(engine.stream_idle_ms), "10s", 100, DAY, NULL, FIXED, "Budgets",
        "a stream's transaction idle for so long is rolled back"},
    {"stream-max", OPTION_TIME, AT(engine.stream_max_ms), "60s", 100, 7 * DAY, NULL, FIXED,
        "Budgets", "longest transaction of a stream"},
    {"transaction-steal", OPTION_TIME, AT(engine.transaction_steal_ms), "5s", 0, DAY, NULL, FIXED,
        "Budgets",
        "a stream's transaction that has the write lock for so long is rolled back when another "
        "writer waits; 0: never"},

    {"max-body", OPTION_SIZE, AT(surface.max_body_bytes), "8m", KIB, GIB, NULL, FIXED, "HTTP",
        "bytes of a request's body (413)"},
    {"max-import", OPTION_SIZE, AT(surface.max_import_bytes), "10g", 64 * KIB, 64 * TIB, NULL,
        FIXED, "HTTP", "bytes of an upload to import (413)"},
    {"max-body-total", OPTION_SIZE, AT(max_body_total), "512m", MIB, 64 * TIB, NULL, LIVE, "HTTP",
        "bytes of all bodies held at once; over it, requests are answered 503"},
    {"max-request-memory", OPTION_SIZE, AT(surface.max_request_memory_bytes), "64m", MIB, 16 * GIB,
        NULL, FIXED, "HTTP", "memory one request may take while it is decoded"},
    {"max-header", OPTION_SIZE, AT(max_head_bytes), "16k", 512, MIB, NULL, FIXED, "HTTP",
        "bytes of a request's line and headers (431)"},
    {"max-target", OPTION_SIZE, AT(max_target_bytes), "8k", 64, MIB, NULL, FIXED, "HTTP",
        "bytes of a request's target (414)"},
    {"max-headers", OPTION_UNSIGNED, AT(max_headers), "100", 4, 1000, NULL, FIXED, "HTTP",
        "headers of a request (431)"},
    {"max-batch", OPTION_UNSIGNED, AT(surface.max_batch_statements), "100", 1, 100000, NULL, FIXED,
        "HTTP", "statements of a batch"},
    {"max-json-depth", OPTION_UNSIGNED, AT(surface.max_json_depth), "64", 4, 1000, NULL, FIXED,
        "HTTP", "depth of JSON and msgpack bodies"},
    {"max-page", OPTION_UNSIGNED, AT(surface.max_page_size), "1000", 1, 100000, NULL, FIXED, "HTTP",
        "items of a page of a list"},
    {"max-tokens-per-tenant", OPTION_UNSIGNED, AT(surface.max_tokens_per_tenant), "10000", 1,
        10000000, NULL, FIXED, "HTTP", "tokens of a tenant"},
    {"max-connections", OPTION_UNSIGNED, AT(max_connections), "10000", 1, 10000000, NULL, LIVE,
        "HTTP", "client connections; more are answered 503"},
    {"max-connections-per-address", OPTION_UNSIGNED, AT(max_connections_per_address), "2000", 0,
        10000000, NULL, LIVE, "HTTP",
        "of one address (not of trusted proxies, not of Unix sockets; 429); 0: no limit"},
    {"header-timeout", OPTION_TIME, AT(header_timeout_ms), "10s", 100, HOUR, NULL, LIVE, "HTTP",
        "time for a request's head (408)"},
    {"body-timeout", OPTION_TIME, AT(body_timeout_ms), "30s", 100, HOUR, NULL, LIVE, "HTTP",
        "time in which 64 KB of a body, or its rest, must come (408)"},
    {"idle-timeout", OPTION_TIME, AT(idle_timeout_ms), "75s", 100, DAY, NULL, LIVE, "HTTP",
        "a kept-alive connection without a request is closed"},
    {"slow-reader", OPTION_TIME, AT(slow_reader_ms), "10s", 100, HOUR, NULL, LIVE, "HTTP",
        "time in which a client must take 64 KB of its answer (256 KB of one that streams), or its "
        "rest"},
    {"slow-request", OPTION_TIME, AT(slow_request_ms), "1s", 1, HOUR, NULL, LIVE, "HTTP",
        "requests slower than this are logged"},
    {"websocket-message", OPTION_SIZE, AT(websocket_message_bytes), "8m", KIB, GIB, NULL, LIVE,
        "HTTP", "bytes of a message on a WebSocket (closed with 1009)"},
    {"websocket-idle", OPTION_TIME, AT(websocket_idle_ms), "60s", 100, DAY, NULL, LIVE, "HTTP",
        "a WebSocket silent for half of this is pinged, for all of it closed"},
    {"trusted-proxy", OPTION_LIST, AT(trusted_proxies), "", 0, 0, NULL, FIXED, "HTTP",
        "address or CIDR whose X-Forwarded-For and -Proto are believed; unix: for Unix sockets"},
    {"cors-origin", OPTION_LIST, AT(cors_origins), "", 0, 0, NULL, FIXED, "HTTP",
        "origin that browsers may call from (https://app.example), or *"},
    {"metrics-public", OPTION_BOOL, AT(metrics_public), "off", 0, 0, NULL, LIVE, "HTTP",
        "/metrics for everybody, not only this machine and operators"},

    {"delete-grace", OPTION_TIME, AT(surface.delete_grace_ms), "24h", 0, 365 * DAY, NULL, FIXED,
        "Service", "a deleted database can be restored for so long"},
    {"cost-per-request", OPTION_MONEY, AT(surface.cost_per_request), "0.0000005", 0, 0, NULL, FIXED,
        "Service", "price (USD) of a request, shown in answers"},
    {"cost-per-row-read", OPTION_MONEY, AT(surface.cost_per_row_read), "0.000000005", 0, 0, NULL,
        FIXED, "Service", "price (USD) of a row read"},
    {"cost-per-row-written", OPTION_MONEY, AT(surface.cost_per_row_written), "0.000002", 0, 0, NULL,
        FIXED, "Service", "price (USD) of a row written"},
    {"drain-timeout", OPTION_TIME, AT(drain_timeout_ms), "30s", 0, HOUR, NULL, LIVE, "Service",
        "on SIGTERM, what runs may take so long"},
    {"log-level", OPTION_CHOICE, AT(log_level), "info", 0, 0, "debug|info|warn|error", LIVE,
        "Service", "least level that is logged"},
    {"log-file", OPTION_TEXT, AT(log_file), "", 0, 4000, NULL, FIXED, "Service",
        "file to log to instead of stderr; SIGHUP opens it anew"},
    {"ready-fd", OPTION_UNSIGNED, AT(ready_fd), "0", 0, 65535, NULL, FIXED, "Service",
        "write \"ready ADDR:PORT\" to this descriptor and close it; 0: do not"},
};
const unsigned option_row_count = ARRAY_LEN(option_rows);
static_assert(ARRAY_LEN(option_rows) <= OPTIONS_MAX, "OPTIONS_MAX is too small");

static void *field_of(struct options *options, const struct option_row *row)
{
    return (char *)options + row->offset;
}

static unsigned index_of(const struct option_row *row)
{
    return (unsigned)(row - option_rows);
}

const struct option_row *option_find(struct str name)
{
    for (unsigned i = 0; i < option_row_count; i++) {
        if (str_is(name, option_rows[i].name))
            return &option_rows[i];
    }
    return NULL;
}

struct suffix {
    const char *text;
    uint64_t factor;
};

/* Digits and one of the suffixes; the first suffix is for a bare number. */
static int parse_scaled(
    struct str text, const struct suffix *suffixes, size_t count, uint64_t *ret_value)
{
    size_t digits = 0;
    struct str unit;
    uint64_t number;

    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    unit = str_make(text.ptr + digits, text.len - digits);
    if (str_to_u64(str_make(text.ptr, digits), &number) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (str_is_nocase(unit, suffixes[i].text))
            return __builtin_mul_overflow(number, suffixes[i].factor, ret_value) ? -1 : 0;
    }
    return -1;
}

int option_parse_size(struct str text, uint64_t *ret_bytes)
{
    static const struct suffix suffixes[] = {{"", 1}, {"k", KIB}, {"kb", KIB}, {"m", MIB},
        {"mb", MIB}, {"g", GIB}, {"gb", GIB}, {"t", TIB}, {"tb", TIB}, {"b", 1}};

    return parse_scaled(text, suffixes, ARRAY_LEN(suffixes), ret_bytes);
}

int option_parse_time(struct str text, uint64_t *ret_ms)
{
    static const struct suffix suffixes[] = {
        {"", SECOND}, {"ms", 1}, {"s", SECOND}, {"m", 60 * SECOND}, {"h", HOUR}, {"d", DAY}};

    return parse_scaled(text, suffixes, ARRAY_LEN(suffixes), ret_ms);
}

static int parse_bool(struct str text, bool *ret_value)
{
    static const char *const on[] = {"on", "true", "yes", "1"};
    static const char *const off[] = {"off", "false", "no", "0"};

    for (size_t i = 0; i < ARRAY_LEN(on); i++) {
        if (str_is_nocase(text, on[i]) || str_is_nocase(text, off[i])) {
            *ret_value = str_is_nocase(text, on[i]);
            return 0;
        }
    }
    return -1;
}

static int parse_choice(struct str text, const char *choices, unsigned *ret_index)
{
    struct str rest = str_from(choices);

    for (unsigned index = 0; rest.ptr != NULL; index++) {
        if (str_equal(str_split(&rest, '|'), text)) {
            *ret_index = index;
            return 0;
        }
    }
    return -1;
}

static void format_amount(enum option_kind kind, uint64_t value, char *out, size_t size)
{
    static const struct suffix sizes[] = {{"t", TIB}, {"g", GIB}, {"m", MIB}, {"k", KIB}};
    static const struct suffix times[] = {
        {"d", DAY}, {"h", HOUR}, {"m", 60 * SECOND}, {"s", SECOND}, {"ms", 1}};
    const struct suffix *suffixes = kind == OPTION_SIZE ? sizes : times;
    size_t count = kind == OPTION_SIZE   ? ARRAY_LEN(sizes)
                   : kind == OPTION_TIME ? ARRAY_LEN(times)
                                         : 0;

    for (size_t i = 0; i < count; i++) {
        if (value != 0 && value % suffixes[i].factor == 0) {
            (void)snprintf(out, size, "%llu%s", (unsigned long long)(value / suffixes[i].factor),
                suffixes[i].text);
            return;
        }
    }
    (void)snprintf(out, size, "%llu", (unsigned long long)value);
}

static int refuse(const struct option_row *row, const char *text, const char *source,
    const char *wanted, struct err *ret_err)
{
    char least[32];
    char most[32];

    if (wanted != NULL)
        return err_set(
            ret_err, ERR_BAD_REQUEST, "%s: '%s' for %s: %s", source, text, row->name, wanted);
    format_amount(row->kind, row->least, least, sizeof(least));
    format_amount(row->kind, row->most, most, sizeof(most));
    if (row->most == UINT64_MAX)
        return err_set(ret_err, ERR_BAD_REQUEST, "%s: '%s' for %s: must be at least %s", source,
            text, row->name, least);
    return err_set(ret_err, ERR_BAD_REQUEST, "%s: '%s' for %s: must be from %s to %s", source, text,
        row->name, least, most);
}

static int set_amount(struct options *options, const struct option_row *row, struct str value,
    const char *text, const char *source, struct err *ret_err)
{
    uint64_t amount;
    int rc;

    if (row->kind == OPTION_SIZE)
        rc = option_parse_size(value, &amount);
    else if (row->kind == OPTION_TIME)
        rc = option_parse_time(value, &amount);
    else
        rc = str_to_u64(value, &amount);
    if (rc < 0)
        return refuse(row, text, source,
            row->kind == OPTION_SIZE   ? "not a size, such as 512k, 8m, 1g"
            : row->kind == OPTION_TIME ? "not a time, such as 500ms, 30s, 5m, 1h"
                                       : "not a number",
            ret_err);
    if (amount < row->least || amount > row->most)
        return refuse(row, text, source, NULL, ret_err);
    if (row->kind == OPTION_UNSIGNED || row->kind == OPTION_COUNT_OF)
        *(unsigned *)field_of(options, row) = (unsigned)amount;
    else
        *(uint64_t *)field_of(options, row) = amount;
    return 0;
}

static int set_money(struct options *options, const struct option_row *row, const char *text,
    const char *source, struct err *ret_err)
{
    char *end;
    double amount;

    errno = 0;
    amount = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(amount >= 0 && amount < 1e9))
        return refuse(row, text, source, "not an amount, such as 0.000001", ret_err);
    *(double *)field_of(options, row) = amount;
    return 0;
}

static int add_items(struct options *options, const struct option_row *row, struct str value,
    const char *text, const char *source, struct err *ret_err)
{
    struct option_list *list = field_of(options, row);

    while (value.ptr != NULL) {
        struct str item = str_trim(str_split(&value, ','));

        if (item.len == 0)
            return refuse(row, text, source, "an item is empty", ret_err);
        if (list->count == OPTION_LIST_MAX)
            return refuse(row, text, source, "too many items", ret_err);
        list->items[list->count] = arena_cstr(&options->arena, item);
        CHECK(list->items[list->count] != NULL);
        list->count++;
    }
    return 0;
}

static int set_text(struct options *options, const struct option_row *row, const char *text,
    const char *source, struct err *ret_err)
{
    size_t len = strlen(text);

    if (len < row->least)
        return refuse(row, text, source, "must not be empty", ret_err);
    if (len > row->most)
        return refuse(row, text, source, "too long", ret_err);
    *(const char **)field_of(options, row) = arena_cstr(&options->arena, str_from(text));
    return 0;
}

static int set_value(struct options *options, const struct option_row *row, const char *text,
    const char *source, struct err *ret_err)
{
    struct str value = str_trim(str_from(text));
    unsigned index;

    switch (row->kind) {
    case OPTION_UNSIGNED:
    case OPTION_COUNT_OF:
    case OPTION_NUMBER:
    case OPTION_SIZE:
    case OPTION_TIME:
        return set_amount(options, row, value, text, source, ret_err);
    case OPTION_MONEY:
        return set_money(options, row, text, source, ret_err);
    case OPTION_BOOL:
        if (parse_bool(value, field_of(options, row)) < 0)
            return refuse(row, text, source, "must be on or off", ret_err);
        return 0;
    case OPTION_CHOICE:
        if (parse_choice(value, row->choices, &index) < 0)
            return err_set(ret_err, ERR_BAD_REQUEST, "%s: '%s' for %s: must be one of %s", source,
                text, row->name, row->choices);
        *(unsigned *)field_of(options, row) = index;
        return 0;
    case OPTION_TEXT:
        return set_text(options, row, text, source, ret_err);
    case OPTION_LIST:
        return value.len == 0 ? 0 : add_items(options, row, value, text, source, ret_err);
    }
    return -1;
}

int option_set(struct options *options, const struct option_row *row, const char *text,
    const char *source, struct err *ret_err)
{
    unsigned index = index_of(row);

    if (set_value(options, row, text, source, ret_err) < 0)
        return -1;
    if (row->kind == OPTION_LIST && options->text[index] != NULL && options->text[index][0] != '\0')
        options->text[index] = arena_printf(&options->arena, "%s,%s", options->text[index], text);
    else
        options->text[index] = arena_cstr(&options->arena, str_from(text));
    options->source[index] = arena_cstr(&options->arena, str_from(source));
    CHECK(!arena_overflowed(&options->arena));
    return 0;
}

void option_clear_list(struct options *options, const struct option_row *row)
{
    if (row->kind != OPTION_LIST)
        return;
    ((struct option_list *)field_of(options, row))->count = 0;
    options->text[index_of(row)] = NULL;
}

void options_init(struct options *options)
{
    struct err err = ERR_INIT;

    memset(options, 0, sizeof(*options));
    arena_init(&options->arena, 0);
    engine_options_defaults(&options->engine); /* for what has no row */
    for (unsigned i = 0; i < option_row_count; i++)
        CHECK(option_set(options, &option_rows[i], option_rows[i].initial, "default", &err) == 0);
}

void options_fini(struct options *options)
{
    arena_fini(&options->arena);
}

static int contradiction(const struct options *options, const char *a, const char *b,
    const char *rule, struct err *ret_err)
{
    const struct option_row *first = option_find(str_from(a));
    const struct option_row *second = option_find(str_from(b));

    return err_set(ret_err, ERR_BAD_REQUEST, "%s %s (%s) and %s %s (%s) contradict: %s", a,
        options->text[index_of(first)], options->source[index_of(first)], b,
        options->text[index_of(second)], options->source[index_of(second)], rule);
}

int options_settle(struct options *options, struct err *ret_err)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = cores < 1 ? 1 : (unsigned)MIN(cores, 256);
    struct engine_options *engine = &options->engine;

    if (options->loops == 0)
        options->loops = MIN(count, 8);
    if (engine->workers == 0)
        engine->workers = MAX(count, 2);
    if (engine->slow_workers == 0)
        engine->slow_workers = MAX(count * 2, 8);
    if (engine->slow_cpus == 0)
        engine->slow_cpus = MAX(count - 1, 1);
    engine->data_dir = options->data_dir;
    if (options->listen.count == 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "%s: listen needs at least one address",
            options->source[index_of(option_find(STR_LITERAL("listen")))]);
    if (engine->wal_hard_bytes < engine->wal_soft_bytes)
        return contradiction(
            options, "wal-hard", "wal-soft", "the hard bound is the larger one", ret_err);
    if (engine->stream_max_ms < engine->stream_idle_ms)
        return contradiction(options, "stream-max", "stream-idle",
            "a transaction may not be idle longer than it may last", ret_err);
    if (options->max_target_bytes > options->max_head_bytes)
        return contradiction(options, "max-target", "max-header",
            "the target is a part of the request's head", ret_err);
    if (options->surface.max_request_memory_bytes < 2 * options->surface.max_body_bytes)
        return contradiction(options, "max-request-memory", "max-body",
            "decoding needs at least twice the body", ret_err);
    if (options->max_body_total < options->surface.max_body_bytes)
        return contradiction(
            options, "max-body-total", "max-body", "one body must fit in", ret_err);
    if (engine->memory_per_database > engine->max_cache_bytes)
        return contradiction(options, "memory-per-database", "max-cache",
            "one database may not take more than all together", ret_err);
    return 0;
}

static size_t field_size(const struct option_row *row)
{
    switch (row->kind) {
    case OPTION_UNSIGNED:
    case OPTION_COUNT_OF:
    case OPTION_CHOICE:
        return sizeof(unsigned);
    case OPTION_NUMBER:
    case OPTION_SIZE:
    case OPTION_TIME:
        return sizeof(uint64_t);
    case OPTION_BOOL:
        return sizeof(bool);
    case OPTION_MONEY:
    case OPTION_TEXT:
    case OPTION_LIST:
        break;
    }
    return 0; /* not reloadable */
}

void options_reload(struct options *options, const struct options *fresh,
    void (*changed)(const struct option_row *row, const char *text, bool applied))
{
    for (unsigned i = 0; i < option_row_count; i++) {
        const struct option_row *row = &option_rows[i];
        const char *before = options->text[i] == NULL ? "" : options->text[i];
        const char *after = fresh->text[i] == NULL ? "" : fresh->text[i];
        bool applied = row->reloadable && field_size(row) > 0;

        if (strcmp(before, after) == 0)
            continue;
        if (applied) {
            memcpy(
                (char *)options + row->offset, (const char *)fresh + row->offset, field_size(row));
            options->text[i] = arena_cstr(&options->arena, str_from(after));
            CHECK(options->text[i] != NULL);
        }
        changed(row, after, applied);
    }
}

static const char *placeholder(const struct option_row *row)
{
    switch (row->kind) {
    case OPTION_UNSIGNED:
    case OPTION_COUNT_OF:
    case OPTION_NUMBER:
        return "N";
    case OPTION_SIZE:
        return "SIZE";
    case OPTION_TIME:
        return "TIME";
    case OPTION_MONEY:
        return "USD";
    case OPTION_BOOL:
        return "on|off";
    case OPTION_LIST:
        return "ITEM,…";
    case OPTION_CHOICE:
        return row->choices;
    case OPTION_TEXT:
        return "TEXT";
    }
    return "";
}

void options_help(struct buf *out)
{
    const char *group = "";

    for (unsigned i = 0; i < option_row_count; i++) {
        const struct option_row *row = &option_rows[i];

        if (strcmp(row->group, group) != 0) {
            group = row->group;
            buf_printf(out, "\n%s:\n", group);
        }
        buf_printf(out, "  --%s %s\n      %s (default %s%s)\n", row->name, placeholder(row),
            row->help, row->initial[0] == '\0' ? "none" : row->initial,
            row->reloadable ? "; SIGHUP applies it" : "");
    }
}
