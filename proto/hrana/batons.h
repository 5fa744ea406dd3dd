/* HTTP streams that outlive their request, found again by batons.
 *
 *     take ---> busy (one request has it) ---release---> idle, with a new baton
 *                                         ---release of a closed stream---> ended
 *     idle or ended ---its last baton once more, same body---> the kept answer again
 *
 * A baton is 192 random bits, the stream's half and the turn's: nobody can make one, and each is
 * good once. The last one may be sent again, with the same body, by a client that lost the answer.
 * It holds only for the token and database it was given for.
 *
 * An idle stream without a transaction is a small struct: it lives HRANA_STREAM_KEEP_MS. One in a
 * transaction is rolled back by the engine after --stream-idle, and forgotten here later.
 * Limits: HRANA_STREAMS_PER_TOKEN of a token and tenant, ERR_OVERLOADED over it. Ended ones are not
 * counted: of those the last HRANA_ENDED_BYTES are kept.
 * Threads: any; one lock. Shared by all loops. */
#ifndef PROTO_HRANA_BATONS_H
#define PROTO_HRANA_BATONS_H

#include "proto/hrana/session.h"
#include "tenants/base/list.h"
#include "tenants/base/thread.h"

#define HRANA_BATON_BYTES 48 /* hex */
#define HRANA_STREAMS_PER_TOKEN 2000
#define HRANA_ANSWER_KEEP_BYTES 65536  /* larger answers are not kept */
#define HRANA_STREAM_KEEP_MS 86400000U /* idle, without a transaction */
#define HRANA_EXPIRED_KEEP_MS 300000U  /* in one that has long been rolled back */
#define HRANA_ENDED_KEEP_MS 30000U     /* closed, for its answer */
#define HRANA_ENDED_BYTES (32U << 20)  /* of all such answers */

struct hrana_batons;

struct hrana_batons *hrana_batons_new(void);
/* Ends all streams; none may be busy. NULL is fine. */
void hrana_batons_free(struct hrana_batons *batons);
/* A few times a second: forgets what idled too long. */
void hrana_batons_tick(struct hrana_batons *batons, uint64_t now_ms);

struct hrana_http_stream {
    struct hrana_stream stream;
    struct hrana_sql_store store;
    char baton[HRANA_BATON_BYTES + 1]; /* the one that is good next */

    /* The registry's own. */
    struct hrana_http_stream *next; /* in its bucket */
    struct list link;               /* of all, or of the ended ones; least recently used first */
    uint64_t tenant_id;
    uint64_t token_id;
    uint64_t database_id;
    char last_baton[HRANA_BATON_BYTES + 1]; /* "" before the first turn */
    uint64_t last_body;                     /* hash */
    struct buf answer;                      /* to last_baton; empty: not kept */
    uint64_t used_ms;
    bool busy;
    bool in_transaction;
    bool ended; /* its place among the token's is free again */
};

/* A new stream, busy, the caller's. ERR_OVERLOADED. */
struct hrana_http_stream *hrana_batons_open(struct hrana_batons *batons, struct engine *engine,
    struct database *database, struct principal *principal, struct err *ret_err) MUST_CHECK;
/* The stream of a baton, busy, the caller's. *ret_stream NULL: `ret_answer` holds the answer that
 * was given before. -1: ERR_BAD_REQUEST, no such baton. */
int hrana_batons_take(struct hrana_batons *batons, struct str baton,
    const struct principal *principal, const struct database *database, uint64_t body_hash,
    struct hrana_http_stream **ret_stream, struct buf *ret_answer, struct err *ret_err) MUST_CHECK;
/* The baton of the answer being made. Of a busy stream. */
void hrana_batons_renew(struct hrana_http_stream *stream);
/* Back from the caller, who answered `answer` (ptr NULL: do not keep it) to a body of that hash. */
void hrana_batons_release(struct hrana_batons *batons, struct hrana_http_stream *stream,
    struct str answer, uint64_t body_hash);
/* Instead: ends it, and nothing is left of it. */
void hrana_batons_drop(struct hrana_batons *batons, struct hrana_http_stream *stream);
unsigned hrana_batons_count(struct hrana_batons *batons);

#endif
