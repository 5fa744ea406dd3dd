/* Who may connect: counts of connections in total and per address, shared by all loops.
 *
 * Touched when a connection opens and closes, never for a request. Any loop thread. */
#ifndef SRC_ADMISSION_H
#define SRC_ADMISSION_H

#include <stdatomic.h>

#include "tenants/base/thread.h"

struct sockaddr;

/* An IPv4 address as ::ffff:a.b.c.d, an IPv6 one cut to its /64 (one client's own network). */
struct address_key {
    unsigned char bytes[16];
};

enum admission_answer { ADMIT, REFUSE_TOTAL, REFUSE_ADDRESS };

struct admission_node;

struct admission {
    atomic_uint total;
    atomic_uint most;             /* reload changes them */
    atomic_uint most_per_address; /* 0: not counted */
    struct mutex lock;
    struct admission_node *nodes[1024]; /* by hash; under lock */
};

void admission_init(struct admission *admission, unsigned most, unsigned most_per_address);
void admission_fini(struct admission *admission);
/* `key` NULL: only the total counts. Each ADMIT is given back with admission_leave(), same key. */
enum admission_answer admission_enter(struct admission *admission, const struct address_key *key);
void admission_leave(struct admission *admission, const struct address_key *key);
/* False for families without addresses (Unix sockets). */
bool address_key_of(const struct sockaddr *address, struct address_key *ret_key);

#endif
