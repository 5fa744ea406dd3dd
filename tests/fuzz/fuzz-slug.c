/* Slugs, refs, segments and tokens from strangers' bytes: what is accepted keeps the rules, what is
 * refused leaves its outputs alone. */
#include "tenants/base/check.h"
#include "tenants/slug.h"
#include "tenants/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static bool is_slug(const char *slug, size_t len, size_t max)
{
    if (len == 0 || len > max || slug[len] != '\0')
        return false;
    for (size_t i = 0; i < len; i++) {
        bool alphanumeric =
            (slug[i] >= 'a' && slug[i] <= 'z') || (slug[i] >= '0' && slug[i] <= '9');
        bool end = i == 0 || i + 1 == len;

        if (!alphanumeric && (end || (slug[i] != '-' && slug[i] != '_')))
            return false;
        if (i > 0 && slug[i] == '-' && slug[i - 1] == '-')
            return false;
    }
    return true;
}

static void check_slugs(struct str text)
{
    char slug[SLUG_DATABASE_MAX + 1];
    char again[SLUG_DATABASE_MAX + 1];
    struct err err = ERR_INIT;
    size_t len;
    size_t again_len;

    if (slug_database(text, slug, &len, &err) == 0) {
        CHECK(is_slug(slug, len, SLUG_DATABASE_MAX));
        CHECK(slug_database(str_make(slug, len), again, &again_len, &err) == 0);
        CHECK(again_len == len && memcmp(slug, again, len) == 0);
    } else {
        CHECK(err.code == ERR_BAD_REQUEST);
    }
    if (slug_tenant(text, slug, &len, &err) == 0) {
        CHECK(is_slug(slug, len, SLUG_TENANT_MAX));
        CHECK(!slug_is_reserved(str_make(slug, len)));
    }
}

static void check_readings(struct str text)
{
    struct slug_reading reading = {.step = 0};
    unsigned count = 0;

    while (slug_next_reading(text, &reading)) {
        CHECK(count++ <= 3 * SLUG_SEGMENT_MAX);
        CHECK(reading.database.ptr == text.ptr);
        if (count == 1) {
            CHECK(reading.ref.len == 0 && reading.database.len == text.len);
            continue;
        }
        CHECK(slug_is_ref(reading.ref));
        CHECK(reading.database.len + 1 + reading.ref.len == text.len);
        CHECK(reading.ref.ptr == text.ptr + reading.database.len + 1);
    }
}

static void check_token(struct str text)
{
    struct str prefix;
    struct str tail;

    if (token_parse(text, &prefix, &tail, NULL) < 0)
        return;
    CHECK(tail.len == TOKEN_TAIL_LEN && prefix.len > 0);
    CHECK(prefix.len + 1 + tail.len == text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str text = str_make((const char *)bytes, len);

    check_slugs(text);
    check_readings(text);
    check_token(text);
    return 0;
}
