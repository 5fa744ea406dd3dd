#include "tenants/base/sha1.h"

#include <mbedtls/sha1.h>
#include <mbedtls/version.h>

#include "tenants/base/check.h"

void sha1(struct str text, unsigned char out[SHA1_BYTES])
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
    CHECK(mbedtls_sha1((const unsigned char *)text.ptr, text.len, out) == 0);
#else
    CHECK(mbedtls_sha1_ret((const unsigned char *)text.ptr, text.len, out) == 0);
#endif
}
