/* How a batch may run: a transaction that is written out in one batch, as clients do it, takes part
 * in a group commit instead of a connection of its own. */
#ifndef PROTO_HRANA_BATCH_PLAN_H
#define PROTO_HRANA_BATCH_PLAN_H

#include "tenants/request.h"

enum hrana_plan {
    HRANA_PLAN_STEPS,       /* one by one */
    HRANA_PLAN_TRANSACTION, /* MODE_SCRIPT */
    HRANA_PLAN_READS,       /* MODE_SCRIPT, read_only: BEGIN TRANSACTION READONLY */
};

/* The batch is exactly: BEGIN without a condition; statements, each if the one before it succeeded
 * (and, or not, while a transaction is open), none of which is about transactions, settings or
 * temporary objects; COMMIT likewise; ROLLBACK if COMMIT did not succeed. */
enum hrana_plan hrana_plan_batch(const struct statement_input *statements, unsigned count);

#endif
