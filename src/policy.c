#include "src/policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "tenants/base/check.h"

static void map_v4(const struct in_addr *address, unsigned char out[16])
{
    memset(out, 0, 10);
    out[10] = 0xff;
    out[11] = 0xff;
    memcpy(out + 12, address, 4);
}

static int parse_address(struct str text, unsigned char out[16], bool *ret_is_v4)
{
    char copy[INET6_ADDRSTRLEN];
    struct in_addr v4;

    if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
        text = str_make(text.ptr + 1, text.len - 2);
    if (text.len == 0 || text.len >= sizeof(copy))
        return -1;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *ret_is_v4 = inet_pton(AF_INET, copy, &v4) == 1;
    if (*ret_is_v4) {
        map_v4(&v4, out);
        return 0;
    }
    return inet_pton(AF_INET6, copy, out) == 1 ? 0 : -1;
}

static int parse_range(struct str text, struct address_range *ret_range)
{
    size_t slash = str_find(text, '/');
    uint64_t bits = 128;
    bool is_v4;

    if (parse_address(str_make(text.ptr, slash), ret_range->bytes, &is_v4) < 0)
        return -1;
    if (slash < text.len) {
        if (str_to_u64(str_make(text.ptr + slash + 1, text.len - slash - 1), &bits) < 0 ||
            bits > (is_v4 ? 32U : 128U))
            return -1;
        bits += is_v4 ? 96 : 0;
    }
    ret_range->bits = (unsigned)bits;
    return 0;
}

static int check_origin(const char *origin)
{
    struct str text = str_from(origin);
    size_t scheme = str_starts_with(text, "https://")  ? 8
                    : str_starts_with(text, "http://") ? 7
                                                       : 0;
    struct str rest = str_make(text.ptr + scheme, text.len - scheme);

    return scheme > 0 && rest.len > 0 && str_find(rest, '/') == rest.len &&
                   str_find(rest, ' ') == rest.len
               ? 0
               : -1;
}

static int check_base_domain(const char *domain, struct err *ret_err)
{
    for (const char *at = domain; *at != '\0'; at++) {
        bool fine = (*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '-' ||
                    (*at == '.' && at != domain && at[1] != '\0');

        if (!fine)
            return err_set(ret_err, ERR_BAD_REQUEST,
                "base-domain '%s' must be a domain in lower case, without scheme or port", domain);
    }
    return 0;
}

int policy_init(struct policy *policy, const struct options *options, struct err *ret_err)
{
    memset(policy, 0, sizeof(*policy));
    for (unsigned i = 0; i < options->trusted_proxies.count; i++) {
        const char *item = options->trusted_proxies.items[i];

        if (strcmp(item, "unix:") == 0) {
            policy->trusts_unix = true;
        } else if (parse_range(str_from(item), &policy->trusted[policy->trusted_count++]) < 0) {
            return err_set(ret_err, ERR_BAD_REQUEST,
                "trusted-proxy '%s' must be an address, a CIDR range such as 10.0.0.0/8, or unix:",
                item);
        }
    }
    for (unsigned i = 0; i < options->cors_origins.count; i++) {
        const char *item = options->cors_origins.items[i];

        if (strcmp(item, "*") == 0)
            policy->any_origin = true;
        else if (check_origin(item) < 0)
            return err_set(ret_err, ERR_BAD_REQUEST,
                "cors-origin '%s' must be * or an origin such as https://app.example", item);
    }
    policy->origins = &options->cors_origins;
    policy->base_domain = options->surface.base_domain;
    return check_base_domain(policy->base_domain, ret_err);
}

static bool in_range(const struct address_range *range, const unsigned char address[16])
{
    unsigned whole = range->bits / 8;
    unsigned rest = range->bits % 8;
    unsigned char mask = (unsigned char)(0xff00U >> rest);

    return memcmp(range->bytes, address, whole) == 0 &&
           (rest == 0 || ((range->bytes[whole] ^ address[whole]) & mask) == 0);
}

static bool trusts_bytes(const struct policy *policy, const unsigned char address[16])
{
    for (unsigned i = 0; i < policy->trusted_count; i++) {
        if (in_range(&policy->trusted[i], address))
            return true;
    }
    return false;
}

bool policy_trusts(const struct policy *policy, const struct sockaddr *peer)
{
    unsigned char bytes[16];
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (peer->sa_family == AF_UNIX)
        return policy->trusts_unix;
    if (peer->sa_family == AF_INET) {
        memcpy(&v4, peer, sizeof(v4));
        map_v4(&v4.sin_addr, bytes);
    } else if (peer->sa_family == AF_INET6) {
        memcpy(&v6, peer, sizeof(v6));
        memcpy(bytes, &v6.sin6_addr, 16);
    } else {
        return false;
    }
    return trusts_bytes(policy, bytes);
}

/* "1.2.3.4:567", "[::1]:567" -> the address alone. */
static struct str strip_port(struct str item)
{
    size_t colon = str_find(item, ':');
    size_t bracket = str_find(item, ']');

    if (item.len > 0 && item.ptr[0] == '[' && bracket < item.len)
        return str_make(item.ptr + 1, bracket - 1);
    if (colon < item.len && memchr(item.ptr + colon + 1, ':', item.len - colon - 1) == NULL)
        return str_make(item.ptr, colon);
    return item;
}

void policy_forwarded(const struct policy *policy, struct http_request *request)
{
    request->secure = str_is_nocase(http_header_get(request, "x-forwarded-proto"), "https");
    /* Several lines of X-Forwarded-For are one list, the last line its end. */
    for (size_t i = request->header_count; i-- > 0;) {
        const struct http_header *header = &request->headers[i];
        size_t end = header->value.len;

        if (!str_is_nocase(header->name, "x-forwarded-for"))
            continue;
        for (;;) {
            size_t start = end;
            unsigned char bytes[16];
            struct str item;
            bool is_v4;

            while (start > 0 && header->value.ptr[start - 1] != ',')
                start--;
            item = strip_port(str_trim(str_make(header->value.ptr + start, end - start)));
            if (parse_address(item, bytes, &is_v4) < 0)
                return; /* nothing left of it can be believed */
            request->remote = item;
            if (!trusts_bytes(policy, bytes))
                return;
            if (start == 0)
                break;
            end = start - 1;
        }
    }
}

struct str policy_allow_origin(const struct policy *policy, const struct http_request *request)
{
    struct str origin;

    if (policy->origins->count == 0)
        return str_make(NULL, 0);
    origin = http_header_get(request, "origin");
    if (origin.len == 0)
        return str_make(NULL, 0);
    if (policy->any_origin)
        return STR_LITERAL("*");
    for (unsigned i = 0; i < policy->origins->count; i++) {
        if (str_is(origin, policy->origins->items[i]))
            return origin;
    }
    return str_make(NULL, 0);
}

bool policy_is_foreign(const struct policy *policy, const struct http_request *request)
{
    struct str origin = http_header_get(request, "origin");
    struct str own = http_header_get(request, "host");
    size_t scheme = str_starts_with_nocase(origin, "http://")    ? 7
                    : str_starts_with_nocase(origin, "https://") ? 8
                                                                 : 0;

    if (origin.ptr == NULL || policy_allow_origin(policy, request).len > 0)
        return false;
    return scheme == 0 ||
           !str_equal_nocase(str_make(origin.ptr + scheme, origin.len - scheme), own);
}

bool address_is_loopback(struct str address)
{
    return str_starts_with(address, "127.") || str_is(address, "::1") || str_is(address, "unix:") ||
           str_starts_with(address, "::ffff:127.");
}
