/* What an operator has blocked (block_reads, block_writes), judged at every execution: statements
 * prepared before are refused as well. Ending a transaction is never blocked. */
#include "tenants/execute.h"
#include "tenants/sql_text.h"

/* What has to be open for this to run. */
static unsigned wanted(const struct request *request, const struct statement *statement)
{
    struct sql_verb verb;

    if (statement == NULL)
        return request->kind == REQUEST_PROCEDURE ? OPEN_BLOCKS_WRITES : OPEN_BLOCKS_READS;
    switch (statement->class) {
    case STATEMENT_READ:
        return OPEN_BLOCKS_READS;
    case STATEMENT_TRANSACTION:
        verb = sql_verb(statement->sql);
        return str_is_nocase(verb.word, "BEGIN") || str_is_nocase(verb.word, "SAVEPOINT")
                   ? OPEN_BLOCKS_READS
                   : 0;
    case STATEMENT_WRITE:
    case STATEMENT_DDL:
    case STATEMENT_ALONE:
        break;
    }
    return request->describe ? OPEN_BLOCKS_READS : OPEN_BLOCKS_WRITES;
}

int execute_check_blocks(struct lane *lane, const struct request *request,
    const struct statement *statement, struct err *ret_err)
{
    struct open_database *open = lane->actor->open;
    unsigned blocks = atomic_load_explicit(&open->blocks, memory_order_acquire);
    const char *reason;

    if (likely(blocks == 0) || (blocks & wanted(request, statement)) == 0)
        return 0;
    mutex_lock(&lane->actor->lock);
    reason = open->settings.block_reason;
    mutex_unlock(&lane->actor->lock);
    if (reason == NULL)
        return err_set(ret_err, ERR_BLOCKED, "%s to this database are blocked",
            (blocks & OPEN_BLOCKS_READS) != 0 ? "reads and writes" : "writes");
    return err_set(ret_err, ERR_BLOCKED, "Operation was blocked: %s", reason);
}
