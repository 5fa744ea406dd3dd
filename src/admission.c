#include "src/admission.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "tenants/base/check.h"
#include "tenants/base/hash.h"
#include "tenants/base/mem.h"

struct admission_node {
    struct admission_node *next;
    struct address_key key;
    unsigned count;
};

void admission_init(struct admission *admission, unsigned most, unsigned most_per_address)
{
    memset(admission, 0, sizeof(*admission));
    mutex_init(&admission->lock);
    atomic_store(&admission->most, most);
    atomic_store(&admission->most_per_address, most_per_address);
}

void admission_fini(struct admission *admission)
{
    for (size_t i = 0; i < ARRAY_LEN(admission->nodes); i++) {
        while (admission->nodes[i] != NULL) {
            struct admission_node *node = admission->nodes[i];

            admission->nodes[i] = node->next;
            mem_free(node);
        }
    }
    mutex_fini(&admission->lock);
}

/* The place that points to the key's node, or to NULL at its chain's end. */
static struct admission_node **find(struct admission *admission, const struct address_key *key)
{
    struct admission_node **at =
        &admission->nodes[hash_bytes(key, sizeof(*key)) % ARRAY_LEN(admission->nodes)];

    while (*at != NULL && memcmp(&(*at)->key, key, sizeof(*key)) != 0)
        at = &(*at)->next;
    return at;
}

static bool enter_address(struct admission *admission, const struct address_key *key)
{
    unsigned most = atomic_load(&admission->most_per_address);
    struct admission_node **at;
    bool admitted;

    mutex_lock(&admission->lock);
    at = find(admission, key);
    if (*at == NULL) {
        *at = mem_zalloc(sizeof(**at));
        (*at)->key = *key;
    }
    admitted = most == 0 || (*at)->count < most;
    if (admitted)
        (*at)->count++;
    mutex_unlock(&admission->lock);
    return admitted;
}

enum admission_answer admission_enter(struct admission *admission, const struct address_key *key)
{
    if (atomic_fetch_add(&admission->total, 1) >= atomic_load(&admission->most)) {
        (void)atomic_fetch_sub(&admission->total, 1);
        return REFUSE_TOTAL;
    }
    if (key != NULL && !enter_address(admission, key)) {
        (void)atomic_fetch_sub(&admission->total, 1);
        return REFUSE_ADDRESS;
    }
    return ADMIT;
}

void admission_leave(struct admission *admission, const struct address_key *key)
{
    (void)atomic_fetch_sub(&admission->total, 1);
    if (key == NULL)
        return;
    mutex_lock(&admission->lock);
    {
        struct admission_node **at = find(admission, key);
        struct admission_node *node = *at;

        CHECK(node != NULL && node->count > 0);
        if (--node->count == 0) {
            *at = node->next;
            mem_free(node);
        }
    }
    mutex_unlock(&admission->lock);
}

bool address_key_of(const struct sockaddr *address, struct address_key *ret_key)
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    memset(ret_key, 0, sizeof(*ret_key));
    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        memcpy(ret_key->bytes, mapped, sizeof(mapped));
        memcpy(ret_key->bytes + 12, &v4.sin_addr, 4);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof(v6));
        memcpy(ret_key->bytes, &v6.sin6_addr, IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) ? 16 : 8);
        return true;
    }
    return false;
}
