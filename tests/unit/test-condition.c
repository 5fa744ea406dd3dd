/* Conditions of a batch's steps. */
#include "tenants/condition.h"
#include "tests/lib/tap.h"

#define OK_OF(n) ((struct condition){.type = CONDITION_OK, .step = (n)})
#define ERROR_OF(n) ((struct condition){.type = CONDITION_ERROR, .step = (n)})

static const uint8_t states[] = {STEP_OK, STEP_FAILED, STEP_SKIPPED};

static bool holds(const struct condition *condition)
{
    return condition_holds(condition, states, 3, false);
}

static void test_leaves(void)
{
    struct condition autocommit = {.type = CONDITION_AUTOCOMMIT};

    ok(holds(NULL), "no condition is true");
    for (uint32_t i = 0; i < 5; i++) {
        struct condition is_ok = OK_OF(i);
        struct condition is_error = ERROR_OF(i);

        ok(holds(&is_ok) == (i == 0), "ok of step %u", i);
        ok(holds(&is_error) == (i == 1), "error of step %u", i);
    }
    ok(!holds(&autocommit) && condition_holds(&autocommit, states, 3, true), "is_autocommit");
}

static void test_branches(void)
{
    struct condition good = OK_OF(0);
    struct condition bad = OK_OF(1);
    struct condition all = {.type = CONDITION_AND};
    struct condition any = {.type = CONDITION_OR};
    struct condition inverse = {.type = CONDITION_NOT, .first = &bad};

    ok(holds(&all) && !holds(&any), "of nothing, and is true, or is false");
    ok(holds(&inverse), "not");
    good.next = &bad;
    all.first = any.first = &good;
    ok(!holds(&all) && holds(&any), "of a true and a false one");
}

static void test_validity(void)
{
    struct condition chain[CONDITION_DEPTH_MAX + 1];
    struct condition later = ERROR_OF(3);
    struct condition autocommit = {.type = CONDITION_AUTOCOMMIT};
    struct condition empty_not = {.type = CONDITION_NOT};
    bool uses = false;

    for (unsigned i = 0; i + 1 < ARRAY_LEN(chain); i++)
        chain[i] = (struct condition){.type = CONDITION_NOT, .first = &chain[i + 1]};
    chain[ARRAY_LEN(chain) - 1] = OK_OF(0);
    ok(!condition_is_valid(chain, 3, &uses) && condition_is_valid(chain + 1, 3, &uses),
        "depth is bounded");
    ok(!condition_is_valid(&later, 3, &uses) && condition_is_valid(&later, 4, &uses),
        "only earlier steps count");
    ok(!condition_is_valid(&empty_not, 3, &uses), "not takes a member");
    ok(!uses && condition_is_valid(&autocommit, 3, &uses) && uses, "is_autocommit is told");
}

int main(void)
{
    test_leaves();
    test_branches();
    test_validity();
    return done_testing();
}
