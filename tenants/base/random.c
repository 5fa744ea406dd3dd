#include "tenants/base/random.h"

#include <errno.h>
#include <sys/random.h>

#include "tenants/base/check.h"

void random_bytes(void *out, size_t len)
{
    char *at = out;

    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);

        CHECK(got > 0 || errno == EINTR);
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        }
    }
}

void random_base62(char *out, size_t len)
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    unsigned char bytes[64];
    size_t at = 0;

    while (at < len) {
        random_bytes(bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes) && at < len; i++) {
            if (bytes[i] < 248) /* 4 * 62: larger ones would favour the first letters */
                out[at++] = letters[bytes[i] % 62];
        }
    }
    out[len] = '\0';
}

uint64_t random_u64(void)
{
    static _Thread_local uint64_t state;

    while (state == 0)
        random_bytes(&state, sizeof(state));
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}
