#include "proto/hrana/sql.h"

#include "proto/hrana/session.h"
#include "tenants/base/mem.h"
#include "tenants/guard.h"
#include "tenants/sql_text.h"

struct hrana_stored_sql {
    int32_t id;
    char *text; /* owned */
    size_t len;
};

void hrana_sql_store_fini(struct hrana_sql_store *store)
{
    for (unsigned i = 0; i < store->count; i++)
        mem_free(store->texts[i].text);
    mem_free(store->texts);
    *store = (struct hrana_sql_store){.count = 0};
}

static struct hrana_stored_sql *find(const struct hrana_sql_store *store, int32_t id)
{
    for (unsigned i = 0; i < store->count; i++) {
        if (store->texts[i].id == id)
            return &store->texts[i];
    }
    return NULL;
}

int hrana_sql_find(const struct hrana_sql_store *store, int32_t id, struct str *ret_text)
{
    const struct hrana_stored_sql *stored = find(store, id);

    if (stored == NULL)
        return -1;
    *ret_text = str_make(stored->text, stored->len);
    return 0;
}

int hrana_sql_put(struct hrana_sql_store *store, int32_t id, struct str text, struct err *ret_err)
{
    if (store->count == HRANA_SQL_TEXTS_MAX) {
        (void)err_set(ret_err, ERR_BAD_REQUEST, "more than %d SQL texts are stored; close some",
            HRANA_SQL_TEXTS_MAX);
        ret_err->native = HRANA_FAULT_STORE_MANY;
        return -1;
    }
    if (store->bytes + text.len > HRANA_SQL_BYTES_MAX) {
        (void)err_set(ret_err, ERR_BAD_REQUEST, "the stored SQL texts are larger than %d bytes",
            HRANA_SQL_BYTES_MAX);
        ret_err->native = HRANA_FAULT_STORE_LARGE;
        return -1;
    }
    if (store->count == store->capacity) {
        store->capacity = store->capacity == 0 ? 8 : store->capacity * 2;
        store->texts = mem_realloc(store->texts, store->capacity * sizeof(*store->texts));
    }
    store->texts[store->count++] = (struct hrana_stored_sql){
        .id = id, .text = mem_strndup(text.ptr, text.len), .len = text.len};
    store->bytes += text.len;
    return 0;
}

void hrana_sql_remove(struct hrana_sql_store *store, int32_t id)
{
    struct hrana_stored_sql *stored = find(store, id);

    if (stored == NULL)
        return;
    store->bytes -= stored->len;
    mem_free(stored->text);
    *stored = store->texts[--store->count];
}

bool hrana_needs_connection(struct str sql)
{
    struct sql_verb verb = sql_verb(sql);
    struct str rest = sql;
    bool sets = false;
    bool stays = false;

    if (sql_is_transaction(&verb))
        return true;
    if (str_is_nocase(verb.word, "CREATE"))
        return sql_has_word(sql, "TEMP") || sql_has_word(sql, "TEMPORARY") ||
               sql_names(sql, STR_LITERAL("temp"));
    if (!str_is_nocase(verb.word, "PRAGMA"))
        return false;
    for (struct sql_token token = sql_next(&rest); token.kind != SQL_TOKEN_END;
         token = sql_next(&rest)) {
        char name[64];
        const struct pragma_rule *rule;

        sets |= token.kind == SQL_TOKEN_OTHER && token.raw.len == 1 &&
                (token.raw.ptr[0] == '=' || token.raw.ptr[0] == '(');
        if (sets || token.raw.len >= sizeof(name))
            continue;
        memcpy(name, token.raw.ptr, token.raw.len);
        name[token.raw.len] = '\0';
        rule = guard_pragma(name);
        stays |= rule != NULL && (rule->flags & (PRAGMA_REQUEST | PRAGMA_STREAM)) != 0;
    }
    return sets && stays;
}
