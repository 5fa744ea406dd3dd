#include "proto/hrana/batch_plan.h"

#include "proto/hrana/sql.h"
#include "tenants/sql_text.h"

static bool is_ok(const struct condition *condition, unsigned step)
{
    return condition->type == CONDITION_OK && condition->step == step;
}

static bool is_not_autocommit(const struct condition *condition)
{
    return condition->type == CONDITION_NOT && condition->first != NULL &&
           condition->first->type == CONDITION_AUTOCOMMIT;
}

/* ok(step), or and[ok(step), not is_autocommit] in any order. */
static bool follows(const struct condition *condition, unsigned step)
{
    const struct condition *one;
    const struct condition *two;

    if (condition == NULL)
        return false;
    if (condition->type != CONDITION_AND)
        return is_ok(condition, step);
    one = condition->first;
    two = one == NULL ? NULL : one->next;
    if (two == NULL || two->next != NULL)
        return false;
    return (is_ok(one, step) && is_not_autocommit(two)) ||
           (is_ok(two, step) && is_not_autocommit(one));
}

static bool follows_failure(const struct condition *condition, unsigned step)
{
    return condition != NULL && condition->type == CONDITION_NOT && condition->first != NULL &&
           is_ok(condition->first, step);
}

/* Only words of that list, in its order, the first of them always; a final semicolon is fine. */
static bool has_only(struct str sql, const char *const *words, unsigned *ret_seen)
{
    unsigned seen = 0;
    unsigned i = 0;

    for (struct sql_token token = sql_next(&sql); token.kind != SQL_TOKEN_END;
         token = sql_next(&sql)) {
        if (token.kind == SQL_TOKEN_OTHER && str_equal(token.raw, STR_LITERAL(";")))
            continue;
        while (words[i] != NULL && !sql_token_is(token, words[i]))
            i++;
        if (words[i] == NULL || (i > 0 && seen == 0))
            return false;
        seen |= 1U << i++;
    }
    *ret_seen = seen;
    return (seen & 1U) != 0;
}

static enum hrana_plan plan_of_begin(struct str sql)
{
    static const char *const words[] = {
        "BEGIN", "DEFERRED", "IMMEDIATE", "EXCLUSIVE", "TRANSACTION", "READONLY", NULL};
    const unsigned kinds = 7U << 1;
    const unsigned transaction = 1U << 4;
    const unsigned read_only = 1U << 5;
    unsigned seen;

    if (!has_only(sql, words, &seen))
        return HRANA_PLAN_STEPS;
    if ((seen & read_only) == 0) /* two kinds are SQLite's to refuse */
        return __builtin_popcount(seen & kinds) <= 1 ? HRANA_PLAN_TRANSACTION : HRANA_PLAN_STEPS;
    return (seen & kinds) == 0 && (seen & transaction) != 0 ? HRANA_PLAN_READS : HRANA_PLAN_STEPS;
}

enum hrana_plan hrana_plan_batch(const struct statement_input *statements, unsigned count)
{
    static const char *const commit[] = {"COMMIT", "TRANSACTION", NULL};
    static const char *const end[] = {"END", "TRANSACTION", NULL};
    static const char *const rollback[] = {"ROLLBACK", "TRANSACTION", NULL};
    enum hrana_plan plan;
    unsigned seen;

    if (count < 4 || statements[0].condition != NULL || statements[0].parameter_count != 0 ||
        statements[count - 2].parameter_count != 0 || statements[count - 1].parameter_count != 0 ||
        !follows_failure(statements[count - 1].condition, count - 2))
        return HRANA_PLAN_STEPS;
    plan = plan_of_begin(statements[0].sql);
    if (plan == HRANA_PLAN_STEPS ||
        !(has_only(statements[count - 2].sql, commit, &seen) ||
            has_only(statements[count - 2].sql, end, &seen)) ||
        !has_only(statements[count - 1].sql, rollback, &seen))
        return HRANA_PLAN_STEPS;
    for (unsigned i = 1; i < count - 1; i++) {
        if (!follows(statements[i].condition, i - 1) ||
            (i < count - 2 && hrana_needs_connection(statements[i].sql)))
            return HRANA_PLAN_STEPS;
    }
    return plan;
}
