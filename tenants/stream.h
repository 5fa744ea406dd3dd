/* Streams: sessions with a lane of their own. Private to the engine's files; the public part is in
 * tenants/engine.h. */
#ifndef TENANTS_STREAM_H
#define TENANTS_STREAM_H

#include "tenants/actor.h"

struct stream {
    struct list open_link;       /* open_database.streams; actor->lock */
    struct actor *actor;         /* owned reference */
    struct database *database;   /* owned reference */
    struct principal *principal; /* owned reference */
    struct lane *lane;           /* owned, NULL before the first request */
    uint64_t last_used_ms;
    uint64_t transaction_since_ms; /* 0: none open */
    bool closing;                  /* stream_close() was called */
    bool expire;                   /* the tick wants its transaction rolled back */
    bool too_long;                 /* for its age, not for idling */
    bool resting;                  /* the tick wants its idle lane back */
    bool linked;
    unsigned in_mailbox;   /* requests that wait for the database to open */
    _Atomic unsigned owes; /* enum err_code: its transaction was ended; the next request is told */
    _Atomic bool autocommit;
    _Atomic bool has_state; /* settings, temporary objects, an end to tell of: the lane is kept */
};

/* All with actor->lock held. */
void stream_enqueue_locked(struct stream *stream, struct request *request);
bool stream_wants_turn(const struct stream *stream);
/* A request came to, or left, the mailbox. */
void stream_wait_locked(struct stream *stream);
void stream_waited_locked(struct stream *stream);
/* When the lane has run its last turn: takes it from the stream. The caller, who has that lane,
 * frees it. */
bool stream_end_locked(struct stream *stream);
/* Nothing knows it any more, and stream_close() was called: stream_free() it. */
bool stream_is_unknown_locked(const struct stream *stream);
/* Lock not held. */
void stream_free(struct stream *stream);

#endif
