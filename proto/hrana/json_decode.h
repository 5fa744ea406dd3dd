/* What the two halves of the JSON decoder share. Private to proto/hrana/json_*.c.
 *
 * Members may come in any order, null is as good as absent, unknown members are passed over. */
#ifndef PROTO_HRANA_JSON_DECODE_H
#define PROTO_HRANA_JSON_DECODE_H

#include "proto/hrana/model.h"
#include "proto/json.h"

struct json_decoder {
    struct json_reader r;
    struct arena *arena;
    const struct hrana_limits *limits;
    struct err *err; /* of every -1 */
    unsigned depth;  /* of conditions */
};

int json_malformed(struct json_decoder *d);
/* Says that `what` must be `wanted`, or what is malformed. */
int json_wrong(struct json_decoder *d, enum token token, const char *what, const char *wanted);
/* The next key of an object: 1, in d->r.text; its end: 0. */
int json_next_key(struct json_decoder *d) MUST_CHECK;
/* Begins a list; false with *ret_rc 0: it was null. */
bool json_begin_list(struct json_decoder *d, const char *what, int *ret_rc) MUST_CHECK;
/* The next item, which must be an object: 1; the end: 0. */
int json_next_object(struct json_decoder *d, const char *what) MUST_CHECK;
/* Passes over a member's value. */
int json_ignore(struct json_decoder *d) MUST_CHECK;
/* Room for one more in an array of `count` items in the arena. NULL: error set. */
void *json_grow(struct json_decoder *d, void *items, unsigned count, unsigned *capacity,
    size_t size) MUST_CHECK;
/* A string or null (ptr NULL). */
int json_read_text(struct json_decoder *d, const char *what, struct str *ret_text) MUST_CHECK;
/* An integer from `min` to `max`; *ret_given false: null. */
int json_read_number(struct json_decoder *d, const char *what, int64_t min, int64_t max,
    int64_t *ret_number, bool *ret_given) MUST_CHECK;
int json_read_id(struct json_decoder *d, const char *what, int32_t *ret_id, bool *ret_given)
    MUST_CHECK;
/* "sql" and "sql_id"; *ret_taken false: the key is another. */
int json_read_sql_member(struct json_decoder *d, struct hrana_sql *sql, bool *ret_taken) MUST_CHECK;
/* The values of "stmt" and "batch". */
int json_read_stmt(struct json_decoder *d, struct hrana_stmt *ret_stmt) MUST_CHECK;
int json_read_batch(struct json_decoder *d, struct hrana_batch *ret_batch) MUST_CHECK;

#endif
