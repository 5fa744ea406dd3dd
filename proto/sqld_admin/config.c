/* A namespace's configuration in sqld's words, and its figures. */
#include <inttypes.h>
#include <stdlib.h>

#include "proto/jwt_keys.h"
#include "proto/sqld_admin/sqld_admin.h"

/* ---- sizes ---- */

static int unit_of(struct str text, double *ret_unit)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"", 1}, {"b", 1}, {"k", 1e3}, {"kb", 1e3}, {"m", 1e6}, {"mb", 1e6}, {"g", 1e9},
        {"gb", 1e9}, {"t", 1e12}, {"tb", 1e12}, {"ki", 1024.0}, {"kib", 1024.0}, {"mi", 1048576.0},
        {"mib", 1048576.0}, {"gi", 1073741824.0}, {"gib", 1073741824.0}, {"ti", 1099511627776.0},
        {"tib", 1099511627776.0}};

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (str_is_nocase(text, units[i].name)) {
            *ret_unit = units[i].bytes;
            return 0;
        }
    }
    return -1;
}

int sqld_parse_size(struct str text, uint64_t *ret_bytes)
{
    char digits[32];
    size_t len = 0;
    unsigned dots = 0;
    double unit;
    double bytes;

    text = str_trim(text);
    while (len < text.len && len + 1 < sizeof(digits) &&
           ((text.ptr[len] >= '0' && text.ptr[len] <= '9') || (text.ptr[len] == '.' && len > 0))) {
        dots += text.ptr[len] == '.';
        digits[len] = text.ptr[len];
        len++;
    }
    digits[len] = '\0';
    if (len == 0 || dots > 1 ||
        unit_of(str_trim(str_make(text.ptr + len, text.len - len)), &unit) < 0)
        return -1;
    if (dots == 0 && unit == 1)
        return str_to_u64(str_make(digits, len), ret_bytes);
    bytes = strtod(digits, NULL) * unit;
    if (!(bytes < 9e18))
        return -1;
    *ret_bytes = (uint64_t)bytes;
    return 0;
}

/* ---- reading ---- */

static struct setting_change *add(struct sqld_call *call, const char *name)
{
    struct setting_change *change = &call->changes[call->change_count++];

    *change = (struct setting_change){.setting = setting_find(SETTING_DATABASE, str_from(name))};
    return change;
}

static int read_flag(struct sqld_call *call, const struct node *body, const char *name,
    bool required, struct err *ret_err)
{
    bool value = false;

    if (node_get(body, name) == NULL)
        return required ? err_set(ret_err, ERR_BAD_REQUEST, "missing field `%s`", name) : 0;
    if (node_bool(body, name, &value, ret_err) < 0)
        return -1;
    add(call, name)->value = value;
    return 0;
}

/* `replaces`: absent is none. */
static int read_text(struct sqld_call *call, const struct node *body, const char *name,
    bool replaces, struct err *ret_err)
{
    struct setting_change *change;
    struct str text = str_make(NULL, 0);

    if (node_string(body, name, &text, ret_err) < 0)
        return -1;
    if (text.ptr == NULL && !replaces)
        return 0;
    change = add(call, name);
    change->text = text;
    return setting_check_text(change->setting, text, ret_err);
}

static int check_keys(struct str text, struct err *ret_err)
{
    struct jwt_keys *keys;
    struct err err = ERR_INIT;

    if (text.len == 0)
        return 0;
    if (jwt_keys_parse(text, &keys, &err) < 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "`jwt_key`: %.*s", ERR_MSG_MAX - 32, err.msg);
    jwt_keys_free(keys);
    return 0;
}

static int read_size(struct sqld_call *call, const struct node *body, struct err *ret_err)
{
    const struct node *node = node_get(body, "max_db_size");
    struct setting_change *change;
    uint64_t bytes = 0;

    if (node == NULL)
        return 0;
    if (node->type == TOKEN_INTEGER && node->integer >= 0)
        bytes = (uint64_t)node->integer;
    else if (node->type != TOKEN_STRING || sqld_parse_size(node->text, &bytes) < 0)
        return err_set(ret_err, ERR_BAD_REQUEST,
            "`max_db_size` is a size, such as \"10mb\", \"1 GiB\" or a number of bytes");
    change = add(call, "max_bytes");
    change->value = bytes;
    return setting_check(change->setting, bytes, ret_err);
}

static int read_timeout(struct sqld_call *call, const struct node *body, struct err *ret_err)
{
    struct setting_change *change;
    uint64_t seconds = 0;

    if (node_get(body, "txn_timeout_s") == NULL)
        return 0;
    if (node_u64(body, "txn_timeout_s", &seconds, ret_err) < 0)
        return -1;
    change = add(call, "txn_timeout_s");
    change->value = seconds;
    return setting_check(change->setting, seconds, ret_err);
}

/* What would be a promise that nobody keeps. False and zero ask for nothing. */
static int refuse_others(const struct node *body, struct err *ret_err)
{
    static const char *const names[] = {"heartbeat_url", "bottomless_db_id", "max_row_size",
        "shared_schema", "shared_schema_name", "allow_attach", "durability_mode"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct node *node = node_get(body, names[i]);

        if (node != NULL && node->type != TOKEN_FALSE)
            return err_set(
                ret_err, ERR_BAD_REQUEST, "`%s` is not supported here: leave it out", names[i]);
    }
    return 0;
}

int sqld_read_config(
    struct sqld_call *call, const struct node *body, bool is_new, struct err *ret_err)
{
    struct str key = str_make(NULL, 0);

    if (read_flag(call, body, "block_reads", !is_new, ret_err) < 0 ||
        read_flag(call, body, "block_writes", !is_new, ret_err) < 0 ||
        read_text(call, body, "block_reason", !is_new, ret_err) < 0 ||
        read_text(call, body, "jwt_key", !is_new, ret_err) < 0 ||
        node_string(body, "jwt_key", &key, ret_err) < 0 || check_keys(key, ret_err) < 0 ||
        read_size(call, body, ret_err) < 0 || read_timeout(call, body, ret_err) < 0)
        return -1;
    return refuse_others(body, ret_err);
}

/* ---- writing ---- */

static void write_text(struct buf *out, struct str text)
{
    if (text.len == 0)
        buf_literal(out, "null");
    else
        json_write_string(out, text);
}

void sqld_write_config(struct buf *out, const struct database_info *info)
{
    const struct database_settings *settings = info->settings;

    buf_printf(out, "{\"block_reads\":%s,\"block_writes\":%s,\"block_reason\":",
        settings->block_reads ? "true" : "false", settings->block_writes ? "true" : "false");
    write_text(out, str_from(settings->block_reason));
    if (settings->max_bytes == 0)
        buf_literal(out, ",\"max_db_size\":null");
    else
        buf_printf(out, ",\"max_db_size\":\"%" PRIu64 " B\"", settings->max_bytes);
    buf_literal(out, ",\"heartbeat_url\":null,\"jwt_key\":");
    write_text(out, info->jwt_key);
    buf_literal(out, ",\"allow_attach\":false,\"txn_timeout_s\":");
    if (settings->txn_timeout_s == 0)
        buf_literal(out, "null}");
    else
        buf_printf(out, "%" PRIu64 "}", settings->txn_timeout_s);
}

void sqld_write_stats(struct buf *out, const struct database_info *info)
{
    static const struct usage_totals none;
    const struct usage_totals *usage = info->usage == NULL ? &none : info->usage;

    buf_printf(out,
        "{\"id\":null,\"rows_read_count\":%" PRIu64 ",\"rows_written_count\":%" PRIu64
        ",\"storage_bytes_used\":%" PRIu64 ",\"query_count\":%" PRIu64,
        usage->rows_read, usage->rows_written, usage->bytes + usage->wal_bytes, usage->requests);
    buf_literal(out,
        ",\"write_requests_delegated\":0,\"current_frame_no\":0,\"replication_index\":0,"
        "\"embedded_replica_frames_replicated\":0,\"elapsed_ms\":0.0,\"top_queries\":[],"
        "\"slowest_queries\":[],\"queries\":null}");
}
