/* SHA-256 by mbedTLS; this file hides the differences between 2.28 and 3.x. Any thread. */
#ifndef TENANTS_BASE_SHA256_H
#define TENANTS_BASE_SHA256_H

#include "tenants/base/str.h"

#define SHA256_BYTES 32

void sha256(struct str text, unsigned char out[SHA256_BYTES]);

#endif
