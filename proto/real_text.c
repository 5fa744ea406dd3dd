/* Doubles as text.
 *
 * Three ways, fastest first. 1: integral values below 2^53 are digits. 2: most doubles that people
 * write have few decimals: when round(x * 10^k) = m is below 2^53 and m / 10^k is x again, then
 * "m with k decimals" reads back as x, since both operands are exact and the division rounds once.
 * 3: Grisu2 (Florian Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with
 * Integers", 2010) for the rest: always reads back, the shortest in 99.9 % of cases. */
#include "proto/real_text.h"

#include "tenants/base/str.h"

#define MANTISSA_BITS 52
#define HIDDEN_BIT (1ULL << MANTISSA_BITS)

struct wide {
    uint64_t f;
    int e;
};

/* 10^k for k = -348, -340 ... 340 as f * 2^e with f in [2^63, 2^64), rounded to nearest. */
static const struct wide cached_powers[] = {
    {0xfa8fd5a0081c0288ULL, -1220},
    {0xbaaee17fa23ebf76ULL, -1193},
    {0x8b16fb203055ac76ULL, -1166},
    {0xcf42894a5dce35eaULL, -1140},
    {0x9a6bb0aa55653b2dULL, -1113},
    {0xe61acf033d1a45dfULL, -1087},
    {0xab70fe17c79ac6caULL, -1060},
    {0xff77b1fcbebcdc4fULL, -1034},
    {0xbe5691ef416bd60cULL, -1007},
    {0x8dd01fad907ffc3cULL, -980},
    {0xd3515c2831559a83ULL, -954},
    {0x9d71ac8fada6c9b5ULL, -927},
    {0xea9c227723ee8bcbULL, -901},
    {0xaecc49914078536dULL, -874},
    {0x823c12795db6ce57ULL, -847},
    {0xc21094364dfb5637ULL, -821},
    {0x9096ea6f3848984fULL, -794},
    {0xd77485cb25823ac7ULL, -768},
    {0xa086cfcd97bf97f4ULL, -741},
    {0xef340a98172aace5ULL, -715},
    {0xb23867fb2a35b28eULL, -688},
    {0x84c8d4dfd2c63f3bULL, -661},
    {0xc5dd44271ad3cdbaULL, -635},
    {0x936b9fcebb25c996ULL, -608},
    {0xdbac6c247d62a584ULL, -582},
    {0xa3ab66580d5fdaf6ULL, -555},
    {0xf3e2f893dec3f126ULL, -529},
    {0xb5b5ada8aaff80b8ULL, -502},
    {0x87625f056c7c4a8bULL, -475},
    {0xc9bcff6034c13053ULL, -449},
    {0x964e858c91ba2655ULL, -422},
    {0xdff9772470297ebdULL, -396},
    {0xa6dfbd9fb8e5b88fULL, -369},
    {0xf8a95fcf88747d94ULL, -343},
    {0xb94470938fa89bcfULL, -316},
    {0x8a08f0f8bf0f156bULL, -289},
    {0xcdb02555653131b6ULL, -263},
    {0x993fe2c6d07b7facULL, -236},
    {0xe45c10c42a2b3b06ULL, -210},
    {0xaa242499697392d3ULL, -183},
    {0xfd87b5f28300ca0eULL, -157},
    {0xbce5086492111aebULL, -130},
    {0x8cbccc096f5088ccULL, -103},
    {0xd1b71758e219652cULL, -77},
    {0x9c40000000000000ULL, -50},
    {0xe8d4a51000000000ULL, -24},
    {0xad78ebc5ac620000ULL, 3},
    {0x813f3978f8940984ULL, 30},
    {0xc097ce7bc90715b3ULL, 56},
    {0x8f7e32ce7bea5c70ULL, 83},
    {0xd5d238a4abe98068ULL, 109},
    {0x9f4f2726179a2245ULL, 136},
    {0xed63a231d4c4fb27ULL, 162},
    {0xb0de65388cc8ada8ULL, 189},
    {0x83c7088e1aab65dbULL, 216},
    {0xc45d1df942711d9aULL, 242},
    {0x924d692ca61be758ULL, 269},
    {0xda01ee641a708deaULL, 295},
    {0xa26da3999aef774aULL, 322},
    {0xf209787bb47d6b85ULL, 348},
    {0xb454e4a179dd1877ULL, 375},
    {0x865b86925b9bc5c2ULL, 402},
    {0xc83553c5c8965d3dULL, 428},
    {0x952ab45cfa97a0b3ULL, 455},
    {0xde469fbd99a05fe3ULL, 481},
    {0xa59bc234db398c25ULL, 508},
    {0xf6c69a72a3989f5cULL, 534},
    {0xb7dcbf5354e9beceULL, 561},
    {0x88fcf317f22241e2ULL, 588},
    {0xcc20ce9bd35c78a5ULL, 614},
    {0x98165af37b2153dfULL, 641},
    {0xe2a0b5dc971f303aULL, 667},
    {0xa8d9d1535ce3b396ULL, 694},
    {0xfb9b7cd9a4a7443cULL, 720},
    {0xbb764c4ca7a44410ULL, 747},
    {0x8bab8eefb6409c1aULL, 774},
    {0xd01fef10a657842cULL, 800},
    {0x9b10a4e5e9913129ULL, 827},
    {0xe7109bfba19c0c9dULL, 853},
    {0xac2820d9623bf429ULL, 880},
    {0x80444b5e7aa7cf85ULL, 907},
    {0xbf21e44003acdd2dULL, 933},
    {0x8e679c2f5e44ff8fULL, 960},
    {0xd433179d9c8cb841ULL, 986},
    {0x9e19db92b4e31ba9ULL, 1013},
    {0xeb96bf6ebadf77d9ULL, 1039},
    {0xaf87023b9bf0ee6bULL, 1066},
};

static const uint64_t powers_of_ten[] = {1ULL, 10ULL, 100ULL, 1000ULL, 10000ULL, 100000ULL,
    1000000ULL, 10000000ULL, 100000000ULL, 1000000000ULL, 10000000000ULL, 100000000000ULL,
    1000000000000ULL, 10000000000000ULL, 100000000000000ULL, 1000000000000000ULL,
    10000000000000000ULL, 100000000000000000ULL, 1000000000000000000ULL, 10000000000000000000ULL};

static struct wide wide_multiply(struct wide a, struct wide b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a.f * b.f;

    return (struct wide){(uint64_t)(product >> 64) + ((uint64_t)product >> 63), a.e + b.e + 64};
}

static struct wide wide_normalize(struct wide a)
{
    int shift = __builtin_clzll(a.f);

    return (struct wide){a.f << shift, a.e - shift};
}

/* The power c = 10^-k that brings exponent `e` into [-60, -32]; *ret_k is k. */
static struct wide power_for(int e, int *ret_k)
{
    double dk = (-61 - e) * 0.30102999566398114 + 347;
    int k = (int)dk;
    unsigned index;

    if (dk - k > 0.0)
        k++;
    index = (unsigned)((k >> 3) + 1);
    *ret_k = -(-348 + (int)(index << 3));
    return cached_powers[index];
}

static void round_last(
    char *digits, int len, uint64_t delta, uint64_t rest, uint64_t unit, uint64_t distance)
{
    while (rest < distance && delta - rest >= unit &&
           (rest + unit < distance || distance - rest > rest + unit - distance)) {
        digits[len - 1]--;
        rest += unit;
    }
}

static int count_digits(uint32_t value)
{
    int count = 1;

    while (count < 10 && value >= powers_of_ten[count])
        count++;
    return count;
}

/* Digits of a number in (high - delta, high], as close to w as their number allows. */
static int generate(struct wide w, struct wide high, uint64_t delta, char *digits, int *k)
{
    int shift = -high.e;
    uint64_t one = 1ULL << shift;
    uint64_t distance = high.f - w.f;
    uint32_t whole = (uint32_t)(high.f >> shift);
    uint64_t part = high.f & (one - 1);
    int kappa = count_digits(whole);
    int len = 0;

    while (kappa > 0) {
        uint32_t unit = (uint32_t)powers_of_ten[kappa - 1];
        uint32_t digit = whole / unit;
        uint64_t rest;

        whole %= unit;
        if (digit != 0 || len != 0)
            digits[len++] = (char)('0' + digit);
        kappa--;
        rest = ((uint64_t)whole << shift) + part;
        if (rest <= delta) {
            *k += kappa;
            round_last(digits, len, delta, rest, powers_of_ten[kappa] << shift, distance);
            return len;
        }
    }
    for (;;) {
        unsigned digit;

        part *= 10;
        delta *= 10;
        digit = (unsigned)(part >> shift);
        if (digit != 0 || len != 0)
            digits[len++] = (char)('0' + digit);
        part &= one - 1;
        kappa--;
        if (part < delta) {
            *k += kappa;
            round_last(digits, len, delta, part, one,
                distance * (-kappa < 20 ? powers_of_ten[-kappa] : 0));
            return len;
        }
    }
}

/* value = 0.digits... : digits * 10^k. */
static int grisu2(double value, char *digits, int *ret_k)
{
    uint64_t bits;
    struct wide v;
    struct wide high;
    struct wide low;
    struct wide power;
    unsigned biased;

    memcpy(&bits, &value, sizeof(bits));
    biased = (unsigned)(bits >> MANTISSA_BITS & 0x7ff);
    v.f = (bits & (HIDDEN_BIT - 1)) | (biased != 0 ? HIDDEN_BIT : 0);
    v.e = (biased != 0 ? (int)biased : 1) - 0x3ff - MANTISSA_BITS;
    high = wide_normalize((struct wide){(v.f << 1) + 1, v.e - 1});
    low = v.f == HIDDEN_BIT ? (struct wide){(v.f << 2) - 1, v.e - 2}
                            : (struct wide){(v.f << 1) - 1, v.e - 1};
    low.f <<= low.e - high.e;
    low.e = high.e;
    power = power_for(high.e, ret_k);
    v = wide_multiply(wide_normalize(v), power);
    high = wide_multiply(high, power);
    low = wide_multiply(low, power);
    low.f++;
    high.f--;
    return generate(v, high, high.f - low.f, digits, ret_k);
}

static size_t put_u64(char *out, uint64_t value)
{
    char room[STR_U64_MAX];
    struct str digits = str_from_u64(value, room);

    memcpy(out, digits.ptr, digits.len);
    return digits.len;
}

/* d.ddde±x */
static size_t put_scientific(char *out, const char *digits, int len, int exponent)
{
    size_t at = 0;

    out[at++] = digits[0];
    if (len > 1) {
        out[at++] = '.';
        memcpy(out + at, digits + 1, (size_t)len - 1);
        at += (size_t)len - 1;
    }
    out[at++] = 'e';
    if (exponent < 0)
        out[at++] = '-';
    return at + put_u64(out + at, (uint64_t)(exponent < 0 ? -exponent : exponent));
}

static size_t put_grisu(double value, char *out)
{
    char digits[24] = {0};
    int k = 0;
    int len = grisu2(value, digits, &k);
    int point = len + k; /* decimal point behind this many digits */
    size_t at = 0;

    if (point <= 0 && point > -5) {
        out[at++] = '0';
        out[at++] = '.';
        for (int i = point; i < 0; i++)
            out[at++] = '0';
        memcpy(out + at, digits, (size_t)len);
        return at + (size_t)len;
    }
    if (point > 0 && point < len) {
        memcpy(out, digits, (size_t)point);
        out[point] = '.';
        memcpy(out + point + 1, digits + point, (size_t)(len - point));
        return (size_t)len + 1;
    }
    return put_scientific(out, digits, len, point - 1);
}

/* Way 2; 0 when the value has too many digits for it. value is in [1e-3, 2^53). */
static size_t put_decimals(double value, char *out)
{
    static const double scales[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};
    uint64_t m = 0;
    unsigned k;
    size_t at;

    for (k = 1; k < ARRAY_LEN(scales); k++) {
        double scaled = value * scales[k];

        if (scaled >= 9007199254740992.0)
            return 0;
        m = (uint64_t)(scaled + 0.5);
        if ((double)m / scales[k] == value)
            break;
    }
    if (k == ARRAY_LEN(scales) || m > 1ULL << 53)
        return 0;
    at = put_u64(out, m / powers_of_ten[k]);
    out[at++] = '.';
    m %= powers_of_ten[k];
    for (unsigned i = k; i > 0; i--) {
        out[at + i - 1] = (char)('0' + m % 10);
        m /= 10;
    }
    return at + k;
}

size_t real_text(double value, char out[REAL_TEXT_MAX])
{
    size_t at = 0;
    size_t len;

    if (__builtin_signbit(value)) {
        out[at++] = '-';
        value = -value;
    }
    if (value < 9007199254740992.0 && (double)(uint64_t)value == value) {
        at += put_u64(out + at, (uint64_t)value);
        out[at++] = '.';
        out[at++] = '0';
        return at;
    }
    len = value >= 1e-3 && value < 9007199254740992.0 ? put_decimals(value, out + at) : 0;
    return at + (len != 0 ? len : put_grisu(value, out + at));
}
