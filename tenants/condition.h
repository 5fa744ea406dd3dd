/* When a step of a batch runs: conditions over how the steps before it went.
 *
 * A tree in the request's arena, made by a dialect's decoder and judged by the engine before each
 * step. A step that was skipped is neither ok nor failed. Pure; any thread. */
#ifndef TENANTS_CONDITION_H
#define TENANTS_CONDITION_H

#include "tenants/base/macros.h"

#define CONDITION_DEPTH_MAX 64

enum condition_type {
    CONDITION_OK,         /* step `step` succeeded */
    CONDITION_ERROR,      /* step `step` failed */
    CONDITION_NOT,        /* of the one member */
    CONDITION_AND,        /* of all members; true when there are none */
    CONDITION_OR,         /* of one member; false when there are none */
    CONDITION_AUTOCOMMIT, /* no transaction is open */
};

struct condition {
    enum condition_type type;
    uint32_t step;
    const struct condition *first; /* arena: members */
    const struct condition *next;  /* arena: sibling among the members of its parent */
};

enum step_state { STEP_SKIPPED, STEP_OK, STEP_FAILED };

/* `states` of the steps before this one, `step_count` of them; a later step is neither. NULL is
 * true. Deeper than CONDITION_DEPTH_MAX is false. */
bool condition_holds(
    const struct condition *condition, const uint8_t *states, unsigned step_count, bool autocommit);
/* True when it refers to no step from `step_count` on and is not too deep; sets *uses_autocommit
 * (only ever to true) when CONDITION_AUTOCOMMIT occurs. */
bool condition_is_valid(
    const struct condition *condition, unsigned step_count, bool *uses_autocommit);

#endif
