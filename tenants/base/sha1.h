/* SHA-1 by mbedTLS, for protocols that prescribe it (WebSocket's handshake). It proves nothing:
 * secrets and signatures take sha256.h. Any thread. */
#ifndef TENANTS_BASE_SHA1_H
#define TENANTS_BASE_SHA1_H

#include "tenants/base/str.h"

#define SHA1_BYTES 20

void sha1(struct str text, unsigned char out[SHA1_BYTES]);

#endif
