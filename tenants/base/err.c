#include "tenants/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tenants/base/str.h"

static const char *const code_names[] = {
#define X(code, name) [code] = name,
    ERR_CODES(X)
#undef X
};

static void fill(struct err *err, enum err_code code, int native, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

/* How long the UTF-8 sequence at `at` is; 0: it is none. */
static size_t sequence_len(const char *at)
{
    size_t most = strnlen(at, 4);

    for (size_t len = 1; len <= most; len++) {
        if (str_is_utf8(str_make(at, len)))
            return len;
    }
    return 0;
}

/* Names in files that we did not write may be anything, and a long message is cut anywhere: what is
 * shown to clients is UTF-8. */
static void make_utf8(char *msg)
{
    size_t len;

    if (likely(str_is_utf8(str_from(msg))))
        return;
    for (; *msg != '\0'; msg += len) {
        len = sequence_len(msg);
        if (len == 0) {
            *msg = '?';
            len = 1;
        }
    }
}

static void fill(struct err *err, enum err_code code, int native, const char *format, va_list args)
{
    err->code = code;
    err->native = native;
    err->sql_offset = -1;
    (void)vsnprintf(err->msg, sizeof(err->msg), format, args);
    make_utf8(err->msg);
}

int(err_set)(struct err *err, enum err_code code, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return -1;
    va_start(args, format);
    fill(err, code, 0, format, args);
    va_end(args);
    return -1;
}

int(err_set_errno)(struct err *err, enum err_code code, int errno_value, const char *format, ...)
{
    va_list args;
    size_t len;
    char text[80] = "";

    if (err == NULL)
        return -1;
    va_start(args, format);
    fill(err, code, errno_value, format, args);
    va_end(args);
    len = strlen(err->msg);
    (void)snprintf(err->msg + len, sizeof(err->msg) - len, ": %s",
        strerror_r(errno_value, text, sizeof(text)));
    return -1;
}

void err_copy(struct err *to, const struct err *from)
{
    if (to != NULL && to != from)
        *to = *from;
}

const char *err_code_name(enum err_code code)
{
    return (unsigned)code < ERR_CODE_COUNT ? code_names[code] : "internal";
}

bool err_is_internal(enum err_code code)
{
    return code >= ERR_IO;
}
