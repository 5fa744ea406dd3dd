/* Hrana 3 in protobuf, over HTTP and WebSocket: bytes into the model, answers into bytes.
 *
 * Written by hand on purpose: the schemas are small and fixed, a decoder straight into the model
 * needs no tree between, and its limits are ours.
 *
 * Decoding: fields may come in any order, and padded varints are taken. Unknown fields are passed
 * over, but for groups (wire types 3 and 4), which proto3 has not. Of a number or text that comes
 * twice the last one counts; a message that may be there once must not come twice, nor may two
 * members of a oneof. Texts must be UTF-8, and are views into the body: it must outlive them.
 * Errors: ERR_BAD_REQUEST (with the byte where it is malformed), ERR_TOO_LARGE over a limit.
 *
 * Encoding: the table of proto/hrana/encode.h. Rows, columns, errors and cursor entries are written
 * at their exact size; messages around them get a length of five bytes (padded, which every decoder
 * takes) that is patched when they end. So the bytes of a pipeline's answer must stay in `out`
 * until it ends (no chunk() while response_begin … response_end is open); a cursor's may go at any
 * time. All open messages follow from the bytes, so that rewound() finds them again. Steps do not,
 * as a skipped one leaves no bytes: the encoder counts them in `step` when they end, and who cuts
 * off ended steps sets e->step to the number of the one that comes next.
 *
 * Threads: any, one at a time per arena and buffer. */
#ifndef PROTO_HRANA_PROTOBUF_H
#define PROTO_HRANA_PROTOBUF_H

#include "proto/hrana/encode.h"

int hrana_protobuf_pipeline(struct str body, const struct hrana_limits *limits, struct arena *arena,
    struct hrana_pipeline *ret_pipeline, struct err *ret_err) MUST_CHECK;
int hrana_protobuf_cursor(struct str body, const struct hrana_limits *limits, struct arena *arena,
    struct hrana_cursor *ret_cursor, struct err *ret_err) MUST_CHECK;
/* WebSocket. */
int hrana_protobuf_message(struct str body, const struct hrana_limits *limits, struct arena *arena,
    struct hrana_message *ret_message, struct err *ret_err) MUST_CHECK;

extern const struct hrana_encoder_ops hrana_protobuf_ops;

#endif
