/* The settings table: every row is sound, values are checked, rights hold. */
#include "tenants/settings.h"

#include "tenants/principal.h"
#include "tests/lib/tap.h"

union values {
    struct database_settings database;
    struct tenant_settings tenant;
};

static void test_text_row(const struct setting *setting)
{
    char most[SETTING_KEYS_MAX + 1];
    bool is_reason = setting->type == SETTING_TEXT;
    size_t room = is_reason ? SETTING_REASON_MAX : SETTING_KEYS_MAX;
    union values values;
    struct err err = ERR_INIT;
    char text[SETTING_TEXT_MAX];
    uint64_t value;

    memset(most, 'x', sizeof(most));
    memset(&values, 0xa5, sizeof(values));
    settings_defaults(setting->scope, &values);
    ok(setting_check_text(setting, str_make(most, room), &err) == 0 &&
            setting_check_text(setting, str_make(most, room + 1), &err) < 0 &&
            err.code == ERR_BAD_REQUEST && strstr(err.msg, setting->wire_name) != NULL,
        "%s: length holds and its refusal names it", setting->name);
    ok(setting_check_text(setting, STR_LITERAL("\xff"), &err) < 0, "%s: is UTF-8", setting->name);
    ok((setting_check_text(setting, STR_LITERAL("a\nb"), &err) < 0) == is_reason,
        "%s: lines only where they belong", setting->name);
    if (setting->size == 0)
        return;
    ok(setting_get(setting, &values) == 0, "%s: default is set", setting->name);
    ok(setting_parse(setting, STR_LITERAL("plan limits"), &value, &err) == 0 &&
            strcmp(setting_format(setting, value, text), "plan limits") == 0 &&
            value == (uint64_t)(uintptr_t)setting_intern(STR_LITERAL("plan limits")),
        "%s: goes there and back, with one copy", setting->name);
}

static void test_rows(void)
{
    size_t count;
    const struct setting *table = settings_table(&count);

    for (size_t i = 0; i < count; i++) {
        const struct setting *setting = &table[i];
        union values values;
        struct err err = ERR_INIT;
        char text[SETTING_TEXT_MAX];
        uint64_t value;

        if (setting_is_text(setting)) {
            test_text_row(setting);
            continue;
        }
        memset(&values, 0xa5, sizeof(values));
        settings_defaults(setting->scope, &values);
        ok(setting_get(setting, &values) == setting->default_value, "%s: default is set",
            setting->name);
        ok(strlen(setting->help) > 20 && setting->capability != 0, "%s: has help and a right",
            setting->name);
        ok(setting_check(setting, setting->default_value, &err) == 0 &&
                setting_check(setting, setting->max, &err) == 0 &&
                setting_check(setting, setting->max + 1, &err) < 0 && err.code == ERR_BAD_REQUEST &&
                strstr(err.msg, setting->wire_name) != NULL,
            "%s: range holds and its refusal names it", setting->name);
        (void)setting_format(setting, setting->max, text);
        ok(setting_parse(setting, str_from(text), &value, &err) == 0 && value == setting->max,
            "%s: '%s' goes there and back", setting->name, text);
        setting_put(setting, &values, setting->max);
        ok(setting_get(setting, &values) == setting->max, "%s: is put and got", setting->name);
        ok(setting_parse(setting, STR_LITERAL("nonsense"), &value, &err) < 0,
            "%s: nonsense is refused", setting->name);
        ok(setting_find(setting->scope, str_from(setting->name)) == setting &&
                setting_find(setting->scope, str_from(setting->wire_name)) == setting,
            "%s: is found by both names", setting->name);
        for (size_t other = 0; other < i; other++) {
            if (table[other].scope == setting->scope &&
                (strcmp(table[other].name, setting->name) == 0 ||
                    (table[other].size > 0 && table[other].offset == setting->offset)))
                ok(false, "%s: shares its name or field with another", setting->name);
        }
    }
}

static void test_values(void)
{
    const struct setting *durability = setting_find(SETTING_DATABASE, STR_LITERAL("durability"));
    const struct setting *keys = setting_find(SETTING_DATABASE, STR_LITERAL("foreignKeys"));
    const struct setting *bytes = setting_find(SETTING_DATABASE, STR_LITERAL("maxBytes"));
    struct err err = ERR_INIT;
    uint64_t value = 99;

    ok(setting_parse(durability, STR_LITERAL("Relaxed"), &value, &err) == 0 &&
            value == DURABILITY_RELAXED,
        "words are read without case");
    ok(setting_parse(durability, STR_LITERAL("fast"), &value, &err) < 0 &&
            strstr(err.msg, "full, relaxed") != NULL,
        "a wrong word is told the right ones");
    ok(setting_parse(keys, STR_LITERAL("off"), &value, &err) == 0 && value == 0, "off is false");
    ok(setting_parse(bytes, STR_LITERAL("0"), &value, &err) == 0 && value == 0, "0 is allowed");
    ok(setting_parse(bytes, STR_LITERAL("1000"), &value, &err) < 0, "too little is refused");
    ok(setting_find(SETTING_TENANT, STR_LITERAL("durability")) == NULL,
        "a database's setting is not a tenant's");
}

static void test_rights(void)
{
    const struct setting *bytes = setting_find(SETTING_DATABASE, STR_LITERAL("maxBytes"));
    const struct setting *most = setting_find(SETTING_TENANT, STR_LITERAL("maxDatabases"));
    struct err err = ERR_INIT;

    ok(setting_may_change(bytes, ROLE_OWNER_CAPS, 5000000, 10000000, &err) == 0,
        "an owner sets a quota under the server's");
    ok(setting_may_change(bytes, ROLE_OWNER_CAPS, 20000000, 10000000, &err) < 0 &&
            err.code == ERR_ROLE_FORBIDS,
        "not over it");
    ok(setting_may_change(bytes, ROLE_OPERATOR_CAPS, 20000000, 10000000, &err) == 0,
        "an operator does");
    ok(setting_may_change(bytes, ROLE_READWRITE_CAPS, 5000000, 0, &err) < 0,
        "a writer sets nothing");
    ok(setting_may_change(most, ROLE_OWNER_CAPS, 5, 0, &err) < 0,
        "an owner does not set its own quota of databases");
}

int main(void)
{
    test_rows();
    test_values();
    test_rights();
    return done_testing();
}
