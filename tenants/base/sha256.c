#include "tenants/base/sha256.h"

#include <mbedtls/sha256.h>
#include <mbedtls/version.h>

#include "tenants/base/check.h"

void sha256(struct str text, unsigned char out[SHA256_BYTES])
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
    CHECK(mbedtls_sha256((const unsigned char *)text.ptr, text.len, out, 0) == 0);
#else
    CHECK(mbedtls_sha256_ret((const unsigned char *)text.ptr, text.len, out, 0) == 0);
#endif
}
