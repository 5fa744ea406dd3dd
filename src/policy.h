/* Whom we believe and whom we let in, read from the settings once: trusted proxies, browsers'
 * origins, the base domain. Immutable afterwards, shared by all loops. Pure: no I/O. */
#ifndef SRC_POLICY_H
#define SRC_POLICY_H

#include "src/options.h"

struct sockaddr;

struct address_range {
    unsigned char bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;           /* of 128 */
};

struct policy {
    struct address_range trusted[OPTION_LIST_MAX];
    unsigned trusted_count;
    bool trusts_unix;
    const struct option_list *origins; /* borrowed: options */
    bool any_origin;
    const char *base_domain; /* lower case, "" for none */
};

int policy_init(struct policy *policy, const struct options *options, struct err *ret_err)
    MUST_CHECK;
/* Is this peer a proxy whose X-Forwarded-… counts? */
bool policy_trusts(const struct policy *policy, const struct sockaddr *peer);
/* Sets remote and secure from X-Forwarded-For and -Proto; the peer is trusted. The rightmost
 * address that is not itself a trusted proxy is the client. */
void policy_forwarded(const struct policy *policy, struct http_request *request);
/* What Access-Control-Allow-Origin should say to this request; len 0: nothing. */
struct str policy_allow_origin(const struct policy *policy, const struct http_request *request);
/* Does a browser's page of an origin that is neither the server's own nor let in ask this? */
bool policy_is_foreign(const struct policy *policy, const struct http_request *request);
/* Does this client sit on this machine? */
bool address_is_loopback(struct str address);

#endif
