/* What tests of JSON web tokens share. */
#ifndef TESTS_LIB_JWT_TRY_H
#define TESTS_LIB_JWT_TRY_H

#include <stdlib.h>

#include "proto/jwt.h"

#define NOW_S 1800000000LL

/* 0 when it verifies, else the failure. The token is copied to a block of its size (for ASan). */
UNUSED static int verify_with(const struct jwt_keys *keys, struct str token, int64_t now_s,
    struct arena *arena, struct jwt_claims *ret_claims)
{
    enum jwt_failure failure = 0;
    struct err err = ERR_INIT;
    char *copy = malloc(token.len == 0 ? 1 : token.len);
    int result;

    memcpy(copy, token.ptr, token.len);
    result = jwt_verify(
        keys, str_make(copy, token.len), now_s * 1000, arena, ret_claims, &failure, &err);
    free(copy);
    if (result == 0)
        return 0;
    if (ret_claims->a != JWT_NO_ACCESS || err.msg[0] == '\0' ||
        jwt_access_to(ret_claims, STR_LITERAL("x")) != JWT_NO_ACCESS)
        return -1;
    if ((err.code == ERR_TOKEN_EXPIRED) != (failure == JWT_EXPIRED))
        return -1;
    return (int)failure;
}

#endif
