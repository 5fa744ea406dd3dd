#include "tenants/slug.h"

static const char *const reserved[] = {"v1", "v2", "v3", "v1beta", "v2beta", "v3-protobuf", "api",
    "p", "db", "mcp", "oauth", "userinfo", "agent", "approve", "console", "health", "healthz",
    "readyz", "version", "dump", "metrics", "openapi.json", "admin"};

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool slug_lower(struct str text, char *out, size_t size)
{
    if (text.len > size)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return true;
}

static int check(
    const char *what, struct str text, size_t max, char *out, size_t *ret_len, struct err *ret_err)
{
    char lowered[SLUG_DATABASE_MAX + 1];

    if (text.len == 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "the %s's slug is empty", what);
    if (text.len > max || !slug_lower(text, lowered, sizeof(lowered)))
        return err_set(
            ret_err, ERR_BAD_REQUEST, "a %s's slug has at most %zu characters", what, max);
    for (size_t i = 0; i < text.len; i++) {
        bool inner = i > 0 && i + 1 < text.len && (lowered[i] == '-' || lowered[i] == '_');

        if (!is_alphanumeric(lowered[i]) && !inner)
            return err_set(ret_err, ERR_BAD_REQUEST,
                "a %s's slug has only a-z, 0-9, '-' and '_', and starts and ends with a letter or "
                "digit",
                what);
        if (i > 0 && lowered[i] == '-' && lowered[i - 1] == '-')
            return err_set(ret_err, ERR_BAD_REQUEST, "a %s's slug has no '--'", what);
    }
    memcpy(out, lowered, text.len);
    out[text.len] = '\0';
    *ret_len = text.len;
    return 0;
}

bool slug_is_reserved(struct str slug)
{
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
        if (str_is(slug, reserved[i]))
            return true;
    }
    return false;
}

int slug_tenant(struct str text, char *out, size_t *ret_len, struct err *ret_err)
{
    char lowered[SLUG_TENANT_MAX + 1];
    size_t len;

    if (check("tenant", text, SLUG_TENANT_MAX, lowered, &len, ret_err) < 0)
        return -1;
    if (slug_is_reserved(str_make(lowered, len)))
        return err_set(ret_err, ERR_CONFLICT, "the slug '%s' is reserved", lowered);
    memcpy(out, lowered, len + 1);
    *ret_len = len;
    return 0;
}

int slug_database(struct str text, char *out, size_t *ret_len, struct err *ret_err)
{
    return check("database", text, SLUG_DATABASE_MAX, out, ret_len, ret_err);
}

int slug_namespace(struct str text, struct slug_namespace *ret_namespace, struct err *ret_err)
{
    struct str database = STR_LITERAL(SLUG_NAMESPACE_DATABASE);
    struct str tenant = text;

    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.ptr[i] == '-' && text.ptr[i + 1] == '-') {
            database = str_make(text.ptr, i);
            tenant = str_make(text.ptr + i + 2, text.len - i - 2);
            break;
        }
    }
    if (slug_database(
            database, ret_namespace->database_text, &ret_namespace->database_len, ret_err) < 0)
        return -1;
    return slug_tenant(tenant, ret_namespace->tenant_text, &ret_namespace->tenant_len, ret_err);
}

bool slug_is_ref(struct str text)
{
    if (text.len == 0 || text.len > SLUG_REF_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool alphanumeric = is_alphanumeric(c) || (c >= 'A' && c <= 'Z');

        if (!alphanumeric && (i == 0 || (c != '.' && c != '_' && c != '/' && c != '-')))
            return false;
    }
    return true;
}

/* The next place of `separator` from `at` on that leaves a possible slug and a ref. */
static bool split_at(struct str segment, char separator, struct slug_reading *reading)
{
    for (size_t i = MAX(reading->at, (size_t)1); i < segment.len && i <= SLUG_DATABASE_MAX; i++) {
        struct str ref = str_make(segment.ptr + i + 1, segment.len - i - 1);

        if (segment.ptr[i] != separator || !slug_is_ref(ref))
            continue;
        reading->database = str_make(segment.ptr, i);
        reading->ref = ref;
        reading->at = i + 1;
        return true;
    }
    return false;
}

bool slug_next_reading(struct str segment, struct slug_reading *reading)
{
    static const char separators[] = "@.-";

    if (segment.len == 0 || segment.len > SLUG_SEGMENT_MAX)
        return false;
    if (reading->step == 0) {
        reading->step = 1;
        reading->database = segment;
        reading->ref = str_make(segment.ptr + segment.len, 0);
        return true;
    }
    while (reading->step <= (int)strlen(separators)) {
        if (split_at(segment, separators[reading->step - 1], reading))
            return true;
        reading->step++;
        reading->at = 0;
    }
    return false;
}
