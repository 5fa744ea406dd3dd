/* The Hrana dialect over HTTP: what libSQL's clients speak. Shared by its files. */
#ifndef PROTO_HRANA_HRANA_H
#define PROTO_HRANA_HRANA_H

#include "proto/exchange.h"
#include "proto/hrana/batons.h"

extern const struct dialect hrana_dialect;

/* How a body is read and answered; the routes name one. */
struct hrana_codec {
    const struct hrana_encoder_ops *ops;
    int (*pipeline)(struct str body, const struct hrana_limits *limits, struct arena *arena,
        struct hrana_pipeline *ret_pipeline, struct err *ret_err);
    int (*cursor)(struct str body, const struct hrana_limits *limits, struct arena *arena,
        struct hrana_cursor *ret_cursor, struct err *ret_err);
};

extern const struct hrana_codec hrana_json_codec;
extern const struct hrana_codec hrana_protobuf_codec;

/* Bytes of one answer that does not stream, whatever its results may have. */
#define HRANA_ANSWER_BYTES_MAX (64U << 20)
/* A dump may run so long, without the time its reader takes. */
#define HRANA_DUMP_MS 3600000U

/* What decoders may take, from the configuration. */
struct hrana_limits hrana_limits_of(const struct exchange *x);

/* pipeline.c */
/* A token that may not write gets 403 for all of its request, as clients of sqld expect. After the
 * engine's work. */
bool hrana_forbids(const struct exchange *x);
void hrana_run_pipeline(struct exchange *x, const struct hrana_codec *codec,
    enum hrana_version version) ON(loop_thread);
void hrana_run_v1(struct exchange *x, enum hrana_request_type type) ON(loop_thread);
/* websocket.c: a GET that asks for a WebSocket. */
void hrana_upgrade(struct exchange *x) ON(loop_thread);
/* sqld_json.c: POST / */
void hrana_post_root(struct exchange *x) ON(loop_thread);
/* sqld_dump.c: GET /dump */
void hrana_get_dump(struct exchange *x) ON(loop_thread);
/* The same for other routes: x's database as SQL, streamed. */
void hrana_dump(struct exchange *x, const char *content_type) ON(loop_thread);
/* cursor.c */
void hrana_run_cursor(struct exchange *x, const struct hrana_codec *codec) ON(loop_thread);

#endif
