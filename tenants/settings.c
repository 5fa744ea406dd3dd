#include "tenants/settings.h"

#include <inttypes.h>
#include <stdio.h>

#include "tenants/base/check.h"
#include "tenants/base/hash.h"
#include "tenants/base/mem.h"
#include "tenants/base/thread.h"
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
    {"block_reads", "blockReads", SETTING_DATABASE, SETTING_BOOL, 0, 0, 1, NULL, "", CAP_OPERATOR,
        false, "refuses every statement and look at the schema, with blockReason (403)",
        FIELD(database_settings, block_reads)},
    {"block_writes", "blockWrites", SETTING_DATABASE, SETTING_BOOL, 0, 0, 1, NULL, "", CAP_OPERATOR,
        false, "refuses statements that write, with blockReason (403)",
        FIELD(database_settings, block_writes)},
    {"block_reason", "blockReason", SETTING_DATABASE, SETTING_TEXT, 0, 0, 0, NULL, "", CAP_OPERATOR,
        false, "what clients are told while blockReads or blockWrites is on",
        FIELD(database_settings, block_reason)},
    {"txn_timeout_s", "txnTimeoutS", SETTING_DATABASE, SETTING_NUMBER, 0, 1, 604800, NULL,
        "seconds", CAP_OPERATOR, false,
        "a transaction over several requests that has written for so long gives way to writers "
        "that wait; 0: the server's --transaction-steal",
        FIELD(database_settings, txn_timeout_s)},
    {"jwt_key", "jwtKey", SETTING_DATABASE, SETTING_KEYS, 0, 0, 0, NULL, "", CAP_OPERATOR, false,
        "public keys whose JSON web tokens open this database, beside the tenant's and the "
        "server's",
        0, 0},
    {"jwt_key", "jwtKey", SETTING_TENANT, SETTING_KEYS, 0, 0, 0, NULL, "", CAP_OPERATOR, false,
        "public keys whose JSON web tokens open the tenant's databases, beside the server's", 0, 0},
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
        if (table[i].scope == scope && table[i].size > 0)
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
    case SETTING_TEXT:
    case SETTING_KEYS:
        return 0; /* setting_check_text() */
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

/* ---- texts ---- */

#define INTERN_SLOTS 256

struct interned {
    struct interned *next;
    size_t len;
    char text[];
};

static pthread_mutex_t intern_lock = PTHREAD_MUTEX_INITIALIZER;
static struct interned *interned[INTERN_SLOTS]; /* under the lock */

const char *setting_intern(struct str text)
{
    struct interned **slot = &interned[hash_str(text) % INTERN_SLOTS];
    struct interned *found;

    if (text.len == 0)
        return NULL;
    (void)pthread_mutex_lock(&intern_lock);
    for (found = *slot; found != NULL; found = found->next) {
        if (str_equal(str_make(found->text, found->len), text))
            break;
    }
    if (found == NULL) {
        found = mem_alloc(sizeof(*found) + text.len + 1);
        found->len = text.len;
        memcpy(found->text, text.ptr, text.len);
        found->text[text.len] = '\0';
        found->next = *slot;
        *slot = found;
    }
    (void)pthread_mutex_unlock(&intern_lock);
    return found->text;
}

int setting_check_text(const struct setting *setting, struct str text, struct err *ret_err)
{
    size_t most = setting->type == SETTING_KEYS ? SETTING_KEYS_MAX : SETTING_REASON_MAX;

    if (text.len > most || !str_is_utf8(text))
        return err_set(ret_err, ERR_BAD_REQUEST, "'%s' is a text in UTF-8 of at most %zu bytes",
            setting->wire_name, most);
    for (size_t i = 0; i < text.len && setting->type == SETTING_TEXT; i++) {
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return err_set(
                ret_err, ERR_BAD_REQUEST, "'%s' has a control character", setting->wire_name);
    }
    return 0;
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

    if (setting_is_text(setting)) {
        if (setting_check_text(setting, text, ret_err) < 0)
            return -1;
        *ret_value = setting->size == 0 ? 0 : (uint64_t)(uintptr_t)setting_intern(text);
        return 0;
    }
    switch (setting->type) {
    case SETTING_TEXT:
    case SETTING_KEYS:
        break;
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
    if (setting->type == SETTING_TEXT)
        /* setting_intern()'s, which setting_parse() put there.
         * NOLINTNEXTLINE(performance-no-int-to-ptr) */
        return value == 0 ? "" : (const char *)(uintptr_t)value;
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
