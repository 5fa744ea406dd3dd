#include "tenants/base/hash.h"

#include <pthread.h>

#include "tenants/base/random.h"

static uint64_t key[2];
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void draw_key(void)
{
    random_bytes(key, sizeof(key));
}

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

#define ROUND                                                                                      \
    do {                                                                                           \
        v0 += v1;                                                                                  \
        v1 = rotate(v1, 13) ^ v0;                                                                  \
        v0 = rotate(v0, 32);                                                                       \
        v2 += v3;                                                                                  \
        v3 = rotate(v3, 16) ^ v2;                                                                  \
        v0 += v3;                                                                                  \
        v3 = rotate(v3, 21) ^ v0;                                                                  \
        v2 += v1;                                                                                  \
        v1 = rotate(v1, 17) ^ v2;                                                                  \
        v2 = rotate(v2, 32);                                                                       \
    } while (0)

uint64_t hash_bytes(const void *bytes, size_t len)
{
    const unsigned char *in = bytes;
    size_t whole = len & ~(size_t)7;
    uint64_t last = (uint64_t)len << 56;
    uint64_t v0, v1, v2, v3;

    (void)pthread_once(&key_once, draw_key);
    v0 = key[0] ^ 0x736f6d6570736575ULL;
    v1 = key[1] ^ 0x646f72616e646f6dULL;
    v2 = key[0] ^ 0x6c7967656e657261ULL;
    v3 = key[1] ^ 0x7465646279746573ULL;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word;

        memcpy(&word, in + i, 8);
        v3 ^= word;
        ROUND;
        v0 ^= word;
    }
    for (size_t i = whole; i < len; i++)
        last |= (uint64_t)in[i] << (8 * (i - whole));
    v3 ^= last;
    ROUND;
    v0 ^= last;
    v2 ^= 0xff;
    ROUND;
    ROUND;
    ROUND;
    return v0 ^ v1 ^ v2 ^ v3;
}

static uint32_t table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void fill_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;

        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0);
        table[i] = crc;
    }
}

uint32_t crc32c(uint32_t crc, const void *bytes, size_t len)
{
    const unsigned char *in = bytes;

    (void)pthread_once(&table_once, fill_table);
    crc = ~crc;
    for (size_t i = 0; i < len; i++)
        crc = (crc >> 8) ^ table[(crc ^ in[i]) & 0xff];
    return ~crc;
}
