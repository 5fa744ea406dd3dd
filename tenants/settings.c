#include "tenants/settings.h"

#include <inttypes.h>
#include <stdio.h>

#include "tenants/base/check.h"
#include "tenants/principal.h"

static const char *const durability_words[] = {"full", "relaxed", NULL};

#define FIELD(type, member) offsetof(struct type, member), sizeof(((struct type *)NULL)->member)

#define MIB (1024ULL * 1024)
#define TIB (1024ULL * 1024 * MIB)

/* A new setting is a row here, a field in its scope's struct, and a line in the README. */
static const struct setting table[] = {
    {"durability", "durability", SETTING_DATABASE, SETTING_WORD, DURABILITY_FULL, 0, 1,
        durability_words, "", CAP_ADMIN, false,
        "full: a write is answered when it is on disk; relaxed: up to a second of acknowledged "
        "writes may be lost when the machine crashes, never consistency",
        FIELD(database_settings, durability)},
    {"foreign_keys", "foreignKeys", SETTING_DATABASE, SETTING_BOOL, 1, 0, 1, NULL, "", CAP_ADMIN,
        false, "foreign keys are enforced unless a request turns them off",
        FIELD(database_settings, foreign_keys)},
    {"max_bytes", "maxBytes", SETTING_DATABASE, SETTING_NUMBER, 0, MIB, 256 * TIB, NULL, "bytes",
        CAP_ADMIN, true, "largest size on disk; 0: the server's default",
        FIELD(database_settings, max_bytes)},
    {"memory_bytes", "memoryBytes", SETTING_DATABASE, SETTING_NUMBER, 0, 4 * MIB, TIB, NULL,
        "bytes", CAP_ADMIN, true, "most heap that SQLite may use for it; 0: the server's default",
        FIELD(database_settings, memory_bytes)},
    {"create_on_first_use", "createOnFirstUse", SETTING_TENANT, SETTING_BOOL, 0, 0, 1, NULL, "",
        CAP_ADMIN, false,
        "a database that does not exist is made when a token that may create databases first uses "
        "it",
        FIELD(tenant_settings, create_on_first_use)},
    {"max_databases", "maxDatabases", SETTING_TENANT, SETTING_NUMBER, 100000, 1, 100000000, NULL,
        "", CAP_OPERATOR, false, "most databases, without deleted ones; 0: no limit",
        FIELD(tenant_settings, max_databases)},
    {"requests_per_second", "requestsPerSecond", SETTING_TENANT, SETTING_NUMBER, 0, 1, 1000000,
        NULL, "requests/s", CAP_OPERATOR, false,
        "requests of all the tenant's tokens together; 0: no limit",
        FIELD(tenant_settings, requests_per_second)},
};

const struct setting *settings_table(size_t *ret_count)
{
    *ret_count = ARRAY_LEN(table);
    return table;
}

const struct setting *setting_find(enum setting_scope scope, struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].scope == scope &&
            (str_is(name, table[i].name) || str_is(name, table[i].wire_name)))
            return &table[i];
    }
    return NULL;
}

uint64_t setting_get(const struct setting *setting, const void *values)
{
    const char *field = (const char *)values + setting->offset;
    uint64_t wide;
    uint32_t narrow;
    bool flag;

    switch (setting->size) {
    case sizeof(wide):
        memcpy(&wide, field, sizeof(wide));
        return wide;
    case sizeof(narrow):
        memcpy(&narrow, field, sizeof(narrow));
        return narrow;
    default:
        CHECK(setting->size == sizeof(flag));
        memcpy(&flag, field, sizeof(flag));
        return flag;
    }
}

void setting_put(const struct setting *setting, void *values, uint64_t value)
{
    char *field = (char *)values + setting->offset;
    uint32_t narrow = (uint32_t)value;
    bool flag = value != 0;

    switch (setting->size) {
    case sizeof(value):
        memcpy(field, &value, sizeof(value));
        break;
    case sizeof(narrow):
        memcpy(field, &narrow, sizeof(narrow));
        break;
    default:
        CHECK(setting->size == sizeof(flag));
        memcpy(field, &flag, sizeof(flag));
        break;
    }
}

void settings_defaults(enum setting_scope scope, void *values)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].scope == scope)
            setting_put(&table[i], values, table[i].default_value);
    }
}

static int refuse_word(const struct setting *setting, struct err *ret_err)
{
    char words[128] = "";
    size_t used = 0;

    for (size_t i = 0; setting->words[i] != NULL && used < sizeof(words); i++)
        used += (size_t)snprintf(
            words + used, sizeof(words) - used, "%s%s", i == 0 ? "" : ", ", setting->words[i]);
    return err_set(ret_err, ERR_BAD_REQUEST, "'%s' is one of: %s", setting->wire_name, words);
}

int setting_check(const struct setting *setting, uint64_t value, struct err *ret_err)
{
    if (value == setting->default_value)
        return 0;
    switch (setting->type) {
    case SETTING_BOOL:
        if (value <= 1)
            return 0;
        return err_set(ret_err, ERR_BAD_REQUEST, "'%s' is true or false", setting->wire_name);
    case SETTING_WORD:
        if (value <= setting->max)
            return 0;
        return refuse_word(setting, ret_err);
    case SETTING_NUMBER:
        break;
    }
    if (value == 0 || (value >= setting->min && value <= setting->max))
        return 0;
    return err_set(ret_err, ERR_BAD_REQUEST,
        "'%s' is 0 or a whole number from %" PRIu64 " to %" PRIu64 "%s%s", setting->wire_name,
        setting->min, setting->max, setting->unit[0] == '\0' ? "" : " ", setting->unit);
}

static int parse_bool(struct str text, uint64_t *ret_value)
{
    static const char *const yes[] = {"true", "on", "1"};
    static const char *const no[] = {"false", "off", "0"};

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (str_is_nocase(text, yes[i]) || str_is_nocase(text, no[i])) {
            *ret_value = str_is_nocase(text, yes[i]);
            return 0;
        }
    }
    return -1;
}

int setting_parse(
    const struct setting *setting, struct str text, uint64_t *ret_value, struct err *ret_err)
{
    uint64_t value = UINT64_MAX;

    switch (setting->type) {
    case SETTING_BOOL:
        if (parse_bool(text, &value) < 0)
            value = UINT64_MAX;
        break;
    case SETTING_NUMBER:
        if (str_to_u64(text, &value) < 0)
            value = UINT64_MAX;
        break;
    case SETTING_WORD:
        for (size_t i = 0; setting->words[i] != NULL; i++) {
            if (str_is_nocase(text, setting->words[i]))
                value = i;
        }
        break;
    }
    if (setting_check(setting, value, ret_err) < 0)
        return -1;
    *ret_value = value;
    return 0;
}

const char *setting_format(const struct setting *setting, uint64_t value, char *out)
{
    if (setting->type == SETTING_BOOL)
        (void)snprintf(out, SETTING_TEXT_MAX, "%s", value != 0 ? "true" : "false");
    else if (setting->type == SETTING_WORD)
        (void)snprintf(out, SETTING_TEXT_MAX, "%s", setting->words[MIN(value, setting->max)]);
    else
        (void)snprintf(out, SETTING_TEXT_MAX, "%" PRIu64, value);
    return out;
}

int setting_may_change(const struct setting *setting, uint32_t capabilities, uint64_t value,
    uint64_t server_default, struct err *ret_err)
{
    if ((capabilities & CAP_OPERATOR) != 0)
        return 0;
    if ((capabilities & setting->capability) != setting->capability)
        return err_set(ret_err, ERR_ROLE_FORBIDS, "only %s may change '%s'",
            setting->capability == CAP_OPERATOR ? "an operator" : "an owner", setting->wire_name);
    if (setting->operator_raises && server_default != 0 && value > server_default)
        return err_set(ret_err, ERR_ROLE_FORBIDS,
            "only an operator may set '%s' over the server's %" PRIu64 "%s%s", setting->wire_name,
            server_default, setting->unit[0] == '\0' ? "" : " ", setting->unit);
    return 0;
}
