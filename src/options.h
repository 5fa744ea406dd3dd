/* Every setting of rookeryd: one table that feeds flags, ROOKERY_*, the configuration file, --help,
 * --check-config and reload.
 *
 * A row says name, kind, where the value goes, default, range, whether SIGHUP applies it, and one
 * line of help. The default is text and goes through the same parser as a stranger's, so --help
 * cannot lie. Adding an option is one field and one row.
 *
 * Sizes take k, m, g (1024s); times take ms, s, m, h (a bare number is seconds). Lists may repeat
 * the option or separate with commas. Thread: main. */
#ifndef SRC_OPTIONS_H
#define SRC_OPTIONS_H

#include "proto/exchange.h"
#include "tenants/base/arena.h"
#include "tenants/base/log.h"

#define OPTION_LIST_MAX 64
#define OPTIONS_MAX 96

struct option_list {
    const char *items[OPTION_LIST_MAX]; /* arena */
    unsigned count;
};

struct options {
    struct engine_options engine;
    struct surface_settings surface;

    const char *config_file; /* arena, like every text below */
    const char *data_dir;
    struct option_list listen;
    struct option_list listen_admin;
    bool admin_open;
    unsigned loops;

    uint64_t max_head_bytes;
    uint64_t max_body_total;
    uint64_t max_target_bytes;
    unsigned max_headers;
    unsigned max_connections;
    unsigned max_connections_per_address; /* 0: none */
    uint64_t header_timeout_ms;
    uint64_t body_timeout_ms;
    uint64_t idle_timeout_ms;
    uint64_t slow_reader_ms;
    uint64_t slow_request_ms;
    uint64_t websocket_message_bytes;
    uint64_t websocket_idle_ms;
    uint64_t drain_timeout_ms;
    struct option_list trusted_proxies;
    struct option_list cors_origins;
    const char *bootstrap_token_file;
    const char *jwt_key_file;
    const char *log_file;
    enum log_level log_level;
    bool metrics_public;
    unsigned ready_fd; /* 0: none */

    const char *text[OPTIONS_MAX];   /* arena: each row's value as it was written */
    const char *source[OPTIONS_MAX]; /* "default", "--name", "ROOKERY_NAME", "file:line" */
    struct arena arena;
};

enum option_kind {
    OPTION_UNSIGNED,
    OPTION_SIZE,    /* uint64_t bytes */
    OPTION_NUMBER,  /* uint64_t */
    OPTION_TIME,    /* uint64_t milliseconds */
    OPTION_MONEY,   /* double */
    OPTION_BOOL,    /* on/off, true/false, yes/no, 1/0; the bare flag means on */
    OPTION_TEXT,    /* const char * */
    OPTION_LIST,    /* struct option_list */
    OPTION_CHOICE,  /* an enum (int-sized); `choices` names its values from 0 */
    OPTION_COUNT_OF /* unsigned, 0 means "by the number of cores", see options_settle() */
};

struct option_row {
    const char *name; /* without dashes */
    enum option_kind kind;
    size_t offset;
    const char *initial;
    uint64_t least; /* for numbers, sizes, times */
    uint64_t most;
    const char *choices; /* "a|b|c" */
    bool reloadable;
    const char *group; /* heading in --help */
    const char *help;
};

extern const struct option_row option_rows[];
extern const unsigned option_row_count;

/* Every row at its default. */
void options_init(struct options *options);
void options_fini(struct options *options);
/* NULL when there is no such option. */
const struct option_row *option_find(struct str name);
/* Reads `text` into the row's field. `source` is where it was said, for messages. A list gets the
 * items added; options_clear_list() empties it first.
 * Errors: ERR_BAD_REQUEST with one line that names source, value and what would be right. */
int option_set(struct options *options, const struct option_row *row, const char *text,
    const char *source, struct err *ret_err) MUST_CHECK;
void option_clear_list(struct options *options, const struct option_row *row);
/* Fills in what depends on the machine, and refuses settings that contradict each other. */
int options_settle(struct options *options, struct err *ret_err) MUST_CHECK;
/* Takes the reloadable values of `fresh`; calls `changed` for each row that differs, with false
 * when it needs a restart. Texts are copied. */
void options_reload(struct options *options, const struct options *fresh,
    void (*changed)(const struct option_row *row, const char *text, bool applied));
/* "--name VALUE  help (default …)" for all rows. */
void options_help(struct buf *out);

/* Parsers, shared with tests. -1: not of that form, or too large. */
int option_parse_size(struct str text, uint64_t *ret_bytes) MUST_CHECK;
int option_parse_time(struct str text, uint64_t *ret_ms) MUST_CHECK;

#endif
