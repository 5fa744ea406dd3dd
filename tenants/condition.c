#include "tenants/condition.h"

static bool holds(const struct condition *condition, const uint8_t *states, unsigned step_count,
    bool autocommit, unsigned depth);

static bool any_member(const struct condition *condition, bool wanted, const uint8_t *states,
    unsigned step_count, bool autocommit, unsigned depth)
{
    const struct condition *member = condition->first;

    for (; member != NULL; member = member->next) {
        if (holds(member, states, step_count, autocommit, depth) == wanted)
            return true;
    }
    return false;
}

static bool holds(const struct condition *condition, const uint8_t *states, unsigned step_count,
    bool autocommit, unsigned depth)
{
    if (depth >= CONDITION_DEPTH_MAX)
        return false;
    switch (condition->type) {
    case CONDITION_OK:
        return condition->step < step_count && states[condition->step] == STEP_OK;
    case CONDITION_ERROR:
        return condition->step < step_count && states[condition->step] == STEP_FAILED;
    case CONDITION_NOT:
        return condition->first == NULL ||
               !holds(condition->first, states, step_count, autocommit, depth + 1);
    case CONDITION_AND:
        return !any_member(condition, false, states, step_count, autocommit, depth + 1);
    case CONDITION_OR:
        return any_member(condition, true, states, step_count, autocommit, depth + 1);
    case CONDITION_AUTOCOMMIT:
    default:
        return autocommit;
    }
}

bool condition_holds(
    const struct condition *condition, const uint8_t *states, unsigned step_count, bool autocommit)
{
    return condition == NULL || holds(condition, states, step_count, autocommit, 0);
}

static bool is_valid(
    const struct condition *condition, unsigned step_count, bool *uses_autocommit, unsigned depth)
{
    const struct condition *member = condition->first;

    if (depth >= CONDITION_DEPTH_MAX)
        return false;
    if (condition->type == CONDITION_OK || condition->type == CONDITION_ERROR)
        return condition->step < step_count;
    if (condition->type == CONDITION_AUTOCOMMIT)
        *uses_autocommit = true;
    if (condition->type == CONDITION_NOT && member == NULL)
        return false;
    for (; member != NULL; member = member->next) {
        if (!is_valid(member, step_count, uses_autocommit, depth + 1))
            return false;
    }
    return true;
}

bool condition_is_valid(
    const struct condition *condition, unsigned step_count, bool *uses_autocommit)
{
    return condition == NULL || is_valid(condition, step_count, uses_autocommit, 0);
}
