#include "src/rook/value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "src/rook/file.h"
#include "tenants/base/base64.h"
#include "tenants/base/mem.h"

#define FILE_PARAM_MAX_BYTES (64U << 20)
#define BLOB_SHOWN_BYTES 64 /* of a blob in a table; the rest is counted */

/* -?(0|[1-9][0-9]*), optionally a fraction and an exponent: JSON's numbers, so that 007, 1. and +5
 * are text. */
static bool is_number(const char *text, bool *ret_real)
{
    const char *at = text + (*text == '-');
    size_t digits = strspn(at, "0123456789");

    *ret_real = false;
    if (digits == 0 || (digits > 1 && *at == '0'))
        return false;
    at += digits;
    if (*at == '.') {
        digits = strspn(at + 1, "0123456789");
        if (digits == 0)
            return false;
        *ret_real = true;
        at += digits + 1;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '-' || *at == '+';
        digits = strspn(at, "0123456789");
        if (digits == 0)
            return false;
        *ret_real = true;
        at += digits;
    }
    return *at == '\0';
}

static json_t *integer_param(const char *text, struct err *ret_err)
{
    bool real;
    long long value;

    errno = 0;
    value = strtoll(text, NULL, 10);
    if (!is_number(text, &real) || real || errno == ERANGE) {
        (void)err_set(ret_err, ERR_BAD_REQUEST, "'%s' is not a 64-bit integer", text);
        return NULL;
    }
    return json_integer(value);
}

static json_t *real_param(const char *text, struct err *ret_err)
{
    bool real;
    double value = strtod(text, NULL);

    if (!is_number(text, &real) || isinf(value)) {
        (void)err_set(ret_err, ERR_BAD_REQUEST, "'%s' is not a real number", text);
        return NULL;
    }
    return json_real(value);
}

static json_t *text_value(struct str text, struct err *ret_err)
{
    json_t *value = str_is_utf8(text) ? json_stringn(text.len > 0 ? text.ptr : "", text.len) : NULL;

    if (value == NULL)
        (void)err_set(ret_err, ERR_BAD_REQUEST, "a text parameter is not UTF-8; pass it as a blob");
    return value;
}

static json_t *text_param(const char *text, struct err *ret_err)
{
    return text_value(str_from(text), ret_err);
}

static json_t *blob_value(struct str bytes)
{
    struct buf text = {0};
    json_t *value;

    base64_encode(&text, bytes.ptr, bytes.len, true);
    value = json_pack("{s:s#}", "$blob", text.len > 0 ? text.bytes : "", (int)text.len);
    buf_fini(&text);
    return value;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static json_t *blob_param(const char *text, struct err *ret_err)
{
    struct buf bytes = {0};
    json_t *value = NULL;
    size_t at = 0;

    while (text[at] != '\0' && hex_digit(text[at]) >= 0 && hex_digit(text[at + 1]) >= 0) {
        buf_char(&bytes, (char)(hex_digit(text[at]) * 16 + hex_digit(text[at + 1])));
        at += 2;
    }
    if (text[at] == '\0')
        value = blob_value(buf_view(&bytes));
    else
        (void)err_set(
            ret_err, ERR_BAD_REQUEST, "blob: takes pairs of hexadecimal digits, as in blob:0aff");
    buf_fini(&bytes);
    return value;
}

static json_t *file_param(const char *path, struct err *ret_err)
{
    struct buf bytes = {.limit_bytes = FILE_PARAM_MAX_BYTES};
    json_t *value = NULL;

    if (file_read(path, &bytes, ret_err) == 0)
        value = blob_value(buf_view(&bytes));
    buf_fini(&bytes);
    return value;
}

static json_t *textfile_param(const char *path, struct err *ret_err)
{
    struct buf bytes = {.limit_bytes = FILE_PARAM_MAX_BYTES};
    json_t *value = NULL;

    if (file_read(path, &bytes, ret_err) == 0)
        value = text_value(buf_view(&bytes), ret_err);
    buf_fini(&bytes);
    return value;
}

static json_t *json_param(const char *text, struct err *ret_err)
{
    struct err err = ERR_INIT;
    json_t *value = json_read(str_from(text), &err);

    if (value == NULL)
        (void)err_set(ret_err, ERR_BAD_REQUEST, "json: %s", err.msg);
    return value;
}

static json_t *parse_param(const char *arg, struct err *ret_err)
{
    static const struct {
        const char *prefix;
        json_t *(*parse)(const char *text, struct err *ret_err);
    } types[] = {
        {"text:", text_param},
        {"int:", integer_param},
        {"real:", real_param},
        {"blob:", blob_param},
        {"file:", file_param},
        {"textfile:", textfile_param},
        {"json:", json_param},
    };
    bool real;

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_starts_with(str_from(arg), types[i].prefix))
            return types[i].parse(arg + strlen(types[i].prefix), ret_err);
    if (strcmp(arg, "null") == 0)
        return json_null();
    if (is_number(arg, &real))
        return real ? real_param(arg, ret_err) : integer_param(arg, ret_err);
    return text_param(arg, ret_err);
}

/* Length of ":name" in ":name=value", or 0. */
static size_t name_len(const char *arg)
{
    size_t len;

    if (strchr(":@$", arg[0]) == NULL || arg[0] == '\0')
        return 0;
    len = strspn(arg + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    return len > 0 && arg[len + 1] == '=' ? len + 1 : 0;
}

int value_add_param(json_t **params, const char *arg, struct err *ret_err)
{
    size_t name = name_len(arg);
    json_t *value;
    char *key;

    if (*params == NULL)
        *params = name > 0 ? json_object() : json_array();
    if (json_is_object(*params) != (name > 0))
        return err_set(ret_err, ERR_BAD_REQUEST,
            "'%s': parameters are either all named (:name=value) or all positional", arg);
    value = parse_param(name > 0 ? arg + name + 1 : arg, ret_err);
    if (value == NULL)
        return -1;
    if (name == 0)
        return json_array_append_new(*params, value);
    key = mem_strndup(arg, name);
    (void)json_object_set_new(*params, key, value);
    mem_free(key);
    return 0;
}

/* The bytes of {"$blob":"…"} or {"$text":"…"}; false when it is neither. */
static bool decode_bytes(const json_t *value, const char *key, struct buf *out)
{
    const json_t *member = json_object_get(value, key);
    struct str text = json_str(member);
    size_t len;

    if (!json_is_string(member) || json_object_size(value) != 1)
        return false;
    if (buf_reserve(out, base64_decoded_max(text.len)) < 0 ||
        base64_decode(text, (unsigned char *)out->bytes, &len) < 0)
        return false;
    out->len = len;
    return true;
}

static void write_hex(struct buf *out, struct str bytes, size_t shown)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; bytes.ptr != NULL && i < MIN(bytes.len, shown); i++) {
        buf_char(out, digits[(unsigned char)bytes.ptr[i] >> 4]);
        buf_char(out, digits[(unsigned char)bytes.ptr[i] & 15]);
    }
}

static void write_object(struct buf *out, const json_t *value, enum value_form form)
{
    struct buf bytes = {0};

    if (decode_bytes(value, "$blob", &bytes)) {
        if (form == VALUE_CSV) {
            write_hex(out, buf_view(&bytes), bytes.len);
        } else {
            buf_literal(out, "x'");
            write_hex(out, buf_view(&bytes), BLOB_SHOWN_BYTES);
            buf_char(out, '\'');
            if (bytes.len > BLOB_SHOWN_BYTES)
                buf_printf(out, "... (%zu bytes)", bytes.len);
        }
    } else if (decode_bytes(value, "$text", &bytes)) {
        buf_str(out, buf_view(&bytes));
    } else if (json_text(value, "$real", NULL) != NULL) {
        buf_cstr(out, *json_text(value, "$real", "") == '-' ? "-Inf" : "Inf");
    } else {
        json_write(out, value, JSON_LAYOUT_LINE);
    }
    buf_fini(&bytes);
}

void value_write(struct buf *out, const json_t *value, enum value_form form, const char *null_text)
{
    if (value == NULL || json_is_null(value))
        buf_cstr(out, null_text);
    else if (json_is_string(value))
        buf_str(out, json_str(value));
    else if (json_is_object(value))
        write_object(out, value, form);
    else
        json_write(out, value, JSON_LAYOUT_LINE);
}

bool value_is_number(const json_t *value)
{
    return json_is_number(value) || json_text(value, "$real", NULL) != NULL;
}
