/* The typed settings of databases and tenants, in bodies and answers. */
#include <stdio.h>

#include "proto/jwt_keys.h"
#include "proto/persql/persql.h"

static int check_keys(struct str text, struct err *ret_err)
{
    struct jwt_keys *keys;

    if (jwt_keys_parse(text, &keys, ret_err) < 0)
        return -1;
    jwt_keys_free(keys);
    return 0;
}

/* One member that names a setting. Null is "back to the default". */
static int read_change(const struct setting *setting, const struct node *node,
    struct setting_change *change, struct err *ret_err)
{
    change->setting = setting;
    change->reset = node->type == TOKEN_NULL;
    if (change->reset)
        return 0;
    if (setting_is_text(setting)) {
        if (node->type != TOKEN_STRING)
            return err_set(ret_err, ERR_BAD_REQUEST, "'%s' must be a text, not %s",
                setting->wire_name, token_name(node->type));
        change->text = node->text;
        if (setting->type == SETTING_KEYS && node->text.len > 0)
            return check_keys(node->text, ret_err);
        return setting_check_text(setting, node->text, ret_err);
    }
    if (node->type == TOKEN_STRING)
        return setting_parse(setting, node->text, &change->value, ret_err);
    if (setting->type == SETTING_BOOL && (node->type == TOKEN_TRUE || node->type == TOKEN_FALSE)) {
        change->value = node->type == TOKEN_TRUE;
        return 0;
    }
    if (node->type == TOKEN_INTEGER && node->integer >= 0 && setting->type != SETTING_WORD) {
        change->value = (uint64_t)node->integer;
        return setting_check(setting, change->value, ret_err);
    }
    return err_set(ret_err, ERR_BAD_REQUEST, "'%s' must be %s, not %s", setting->wire_name,
        setting->type == SETTING_BOOL     ? "true or false"
        : setting->type == SETTING_NUMBER ? "a whole number, 0 or more"
                                          : "one of its words",
        token_name(node->type));
}

static int refuse_unknown(enum setting_scope scope, struct str key, struct err *ret_err)
{
    char names[240] = "";
    size_t len = 0;
    size_t count;
    const struct setting *table = settings_table(&count);

    for (size_t i = 0; i < count && len < sizeof(names); i++) {
        if (table[i].scope == scope)
            len += (size_t)snprintf(
                names + len, sizeof(names) - len, "%s%s", len == 0 ? "" : ", ", table[i].wire_name);
    }
    return err_set(ret_err, ERR_BAD_REQUEST, "there is no setting '%.*s'; the settings are %s",
        (int)MIN(key.len, 64), key.ptr, names);
}

static bool is_one_of(struct str key, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (str_is(key, *names))
            return true;
    }
    return false;
}

/* `others`: what else may be there; NULL: anything. */
static int read_members(const struct node *object, enum setting_scope scope,
    const char *const *others, struct setting_change *changes, size_t *count, struct err *ret_err)
{
    for (const struct node *node = object->first; node != NULL; node = node->next) {
        const struct setting *setting = setting_find(scope, node->key);

        if (setting == NULL && others != NULL && !is_one_of(node->key, others))
            return refuse_unknown(scope, node->key, ret_err);
        if (setting == NULL)
            continue;
        if (read_change(setting, node, &changes[*count], ret_err) < 0)
            return -1;
        ++*count;
    }
    return 0;
}

int persql_read_settings(struct exchange *x, const struct node *body, enum setting_scope scope,
    const char *const *others, const struct setting_change **ret_changes, size_t *ret_count)
{
    static const char *const none[] = {NULL};
    const struct node *nested = node_get(body, "settings");
    size_t most = body->count + (nested == NULL ? 0 : nested->count);
    struct setting_change *changes;
    struct err err = ERR_INIT;
    size_t count = 0;

    if (nested != NULL && nested->type != TOKEN_OBJECT) {
        persql_fail(x, ERR_BAD_REQUEST, "'settings' must be an object");
        return -1;
    }
    changes = persql_array(x, most + 1, sizeof(*changes));
    if (changes == NULL)
        return -1;
    if (read_members(body, scope, others, changes, &count, &err) < 0 ||
        (nested != NULL && read_members(nested, scope, none, changes, &count, &err) < 0)) {
        exchange_fail(x, &err);
        return -1;
    }
    *ret_changes = changes;
    *ret_count = count;
    return 0;
}

void persql_write_settings(struct encoder *e, enum setting_scope scope, const void *values)
{
    char text[SETTING_TEXT_MAX];
    size_t count;
    const struct setting *table = settings_table(&count);

    encoder_object(e);
    for (size_t i = 0; i < count; i++) {
        const struct setting *setting = &table[i];
        uint64_t value;

        if (setting->scope != scope || setting->size == 0)
            continue;
        value = setting_get(setting, values);
        encoder_key(e, setting->wire_name);
        if (setting->type == SETTING_BOOL)
            encoder_bool(e, value != 0);
        else if (setting->type == SETTING_NUMBER)
            encoder_u64(e, value);
        else if (setting->type == SETTING_TEXT && value == 0)
            encoder_null(e);
        else
            encoder_cstring(e, setting_format(setting, value, text));
    }
    encoder_end(e);
}
