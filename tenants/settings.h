/* The typed settings of databases and tenants: one table that feeds storage, the API, its help and
 * its documentation.
 *
 * A setting is a row of settings.c and a field of its scope's struct. What is stored is text, and
 * only for settings that were changed; a new row needs no migration. Every value travels as a
 * uint64_t: a number, 0/1, or the index of a word; texts and keys as text.
 *
 * Pure; any thread. */
#ifndef TENANTS_SETTINGS_H
#define TENANTS_SETTINGS_H

#include "tenants/database.h"

#define SETTING_TEXT_MAX 32
#define SETTING_REASON_MAX 200 /* bytes of a SETTING_TEXT */
#define SETTING_KEYS_MAX 32768 /* of a SETTING_KEYS */

enum setting_scope { SETTING_DATABASE = 1, SETTING_TENANT = 2 };
enum setting_type {
    SETTING_BOOL,
    SETTING_NUMBER,
    SETTING_WORD,
    SETTING_TEXT, /* one line for people; its value is setting_intern()'s address, 0: none */
    SETTING_KEYS, /* public keys, as proto/jwt_keys.h reads them: stored, in no struct */
};

/* Settings of a tenant. */
struct tenant_settings {
    bool create_on_first_use;
    uint64_t max_databases;       /* 0: no limit */
    uint64_t requests_per_second; /* 0: no limit */
};

struct setting {
    const char *name;      /* snake_case: what is stored */
    const char *wire_name; /* camelCase: what answers say */
    enum setting_scope scope;
    enum setting_type type;
    uint64_t default_value;
    uint64_t min; /* numbers: smallest and largest; 0 is always allowed where it is the default */
    uint64_t max;
    const char *const *words; /* NULL-terminated, for SETTING_WORD */
    const char *unit;         /* "bytes", "" */
    /* Capability to change it; an operator may always. */
    uint32_t capability;
    /* A number that only an operator may set over the server's own default. */
    bool operator_raises;
    const char *help;
    size_t offset; /* of the field in the scope's struct, and its size */
    size_t size;
};

/* One change asked for. `reset`: back to the default. */
struct setting_change {
    const struct setting *setting;
    uint64_t value;
    struct str text; /* instead of value, of texts and keys; empty: none */
    bool reset;
};

/* The table; rows of all scopes. */
const struct setting *settings_table(size_t *ret_count);
/* By either name, exactly. NULL when there is none in that scope. */
const struct setting *setting_find(enum setting_scope scope, struct str name);

/* Every field at its default. `values` is the scope's struct. */
void settings_defaults(enum setting_scope scope, void *values);
uint64_t setting_get(const struct setting *setting, const void *values);
void setting_put(const struct setting *setting, void *values, uint64_t value);

static inline bool setting_is_text(const struct setting *setting)
{
    return setting->type == SETTING_TEXT || setting->type == SETTING_KEYS;
}
/* A text's one copy, for the life of the process: there are few, and operators write them. NULL for
 * an empty one. Any thread. */
const char *setting_intern(struct str text);
/* Of texts and keys (which the caller has parsed): length, UTF-8, no control characters in a
 * SETTING_TEXT. ERR_BAD_REQUEST. */
int setting_check_text(const struct setting *setting, struct str text, struct err *ret_err)
    MUST_CHECK;
/* 0, or ERR_BAD_REQUEST naming the setting, what was wrong and what is allowed. */
int setting_check(const struct setting *setting, uint64_t value, struct err *ret_err) MUST_CHECK;
/* From text: a word, digits, or true/false/on/off/1/0. Checked. ERR_BAD_REQUEST. */
int setting_parse(const struct setting *setting, struct str text, uint64_t *ret_value,
    struct err *ret_err) MUST_CHECK;
/* As setting_parse() reads it. `out` has SETTING_TEXT_MAX bytes. Returns out. */
const char *setting_format(const struct setting *setting, uint64_t value, char *out);
/* ERR_ROLE_FORBIDS unless these capabilities may make the change. `server_default` is what 0 means
 * for settings with operator_raises (0: nothing to compare with). */
int setting_may_change(const struct setting *setting, uint32_t capabilities, uint64_t value,
    uint64_t server_default, struct err *ret_err) MUST_CHECK;

#endif
