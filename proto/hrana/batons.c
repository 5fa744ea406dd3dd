#include "proto/hrana/batons.h"

#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/mem.h"
#include "tenants/base/random.h"

#define BUCKETS 4096
#define HALF (HRANA_BATON_BYTES / 3 * 2) /* the stream's part: 16 bytes in hex */
#define SWEEP_MOST 256                   /* looked at in one tick */

/* How many streams a token has. */
struct holder {
    struct holder *next;
    uint64_t tenant_id;
    uint64_t token_id;
    unsigned count;
};

struct hrana_batons {
    struct mutex lock;
    struct hrana_http_stream *buckets[BUCKETS];
    struct holder *holders[BUCKETS];
    struct list streams;
    struct list ended;
    size_t ended_bytes;
    unsigned count;
};

struct hrana_batons *hrana_batons_new(void)
{
    struct hrana_batons *batons = mem_zalloc(sizeof(*batons));

    mutex_init(&batons->lock);
    list_init(&batons->streams);
    list_init(&batons->ended);
    return batons;
}

static void write_hex(char *out, size_t digits)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[HRANA_BATON_BYTES / 2];

    random_bytes(bytes, digits / 2);
    for (size_t i = 0; i < digits / 2; i++) {
        out[2 * i] = hex[bytes[i] >> 4];
        out[2 * i + 1] = hex[bytes[i] & 15];
    }
}

/* The stream's half is random: its first bits are as good as a hash. */
static struct hrana_http_stream **bucket_of(struct hrana_batons *batons, const char *baton)
{
    unsigned at = 0;

    for (unsigned i = 0; i < 3; i++) {
        char c = baton[i];

        at = at * 16 + (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return &batons->buckets[at % BUCKETS];
}

/* In a time that tells nothing of where they differ. */
static bool same(const char *a, const char *b, size_t len)
{
    unsigned char differ = 0;

    for (size_t i = 0; i < len; i++)
        differ |= (unsigned char)(a[i] ^ b[i]);
    return differ == 0;
}

static struct holder **holder_at(struct hrana_batons *batons, uint64_t tenant_id, uint64_t token_id)
{
    struct holder **at = &batons->holders[(tenant_id * 31 + token_id) % BUCKETS];

    while (*at != NULL && ((*at)->tenant_id != tenant_id || (*at)->token_id != token_id))
        at = &(*at)->next;
    return at;
}

static int hold_locked(struct hrana_batons *batons, uint64_t tenant_id, uint64_t token_id)
{
    struct holder **at = holder_at(batons, tenant_id, token_id);

    if (*at == NULL) {
        *at = mem_zalloc(sizeof(**at));
        (*at)->tenant_id = tenant_id;
        (*at)->token_id = token_id;
    }
    if ((*at)->count == HRANA_STREAMS_PER_TOKEN)
        return -1;
    (*at)->count++;
    return 0;
}

static void unhold_locked(struct hrana_batons *batons, const struct hrana_http_stream *stream)
{
    struct holder **at = holder_at(batons, stream->tenant_id, stream->token_id);
    struct holder *holder = *at;

    CHECK(holder != NULL);
    if (--holder->count > 0)
        return;
    *at = holder->next;
    mem_free(holder);
}

static size_t ended_cost(const struct hrana_http_stream *stream)
{
    return sizeof(*stream) + stream->answer.len;
}

static void unlink_locked(struct hrana_batons *batons, struct hrana_http_stream *stream)
{
    struct hrana_http_stream **at = bucket_of(batons, stream->baton);

    while (*at != NULL && *at != stream)
        at = &(*at)->next;
    CHECK(*at != NULL);
    *at = stream->next;
    list_remove(&stream->link);
    if (stream->ended)
        batons->ended_bytes -= ended_cost(stream);
    else
        unhold_locked(batons, stream);
    batons->count--;
}

/* Lock not held: the engine has its own. */
static void end(struct hrana_http_stream *stream)
{
    hrana_stream_fini(&stream->stream);
    hrana_sql_store_fini(&stream->store);
    buf_fini(&stream->answer);
    mem_free(stream);
}

void hrana_batons_free(struct hrana_batons *batons)
{
    if (batons == NULL)
        return;
    list_splice(&batons->streams, &batons->ended);
    while (!list_empty(&batons->streams)) {
        struct hrana_http_stream *stream =
            LIST_FIRST(&batons->streams, struct hrana_http_stream, link);

        unlink_locked(batons, stream);
        end(stream);
    }
    mutex_fini(&batons->lock);
    mem_free(batons);
}

static uint64_t kept_ms(const struct hrana_http_stream *stream)
{
    return stream->ended            ? HRANA_ENDED_KEEP_MS
           : stream->in_transaction ? HRANA_EXPIRED_KEEP_MS
                                    : HRANA_STREAM_KEEP_MS;
}

/* Ended ones that are too many, or too old (now_ms 0: whatever their age). */
static void take_ended_locked(struct hrana_batons *batons, uint64_t now_ms, struct list *ret_old)
{
    while (!list_empty(&batons->ended)) {
        struct hrana_http_stream *stream =
            LIST_FIRST(&batons->ended, struct hrana_http_stream, link);

        if (batons->ended_bytes <= HRANA_ENDED_BYTES &&
            (now_ms == 0 || clock_since(now_ms, stream->used_ms) < kept_ms(stream)))
            return;
        unlink_locked(batons, stream);
        list_append(ret_old, &stream->link);
    }
}

static void end_all(struct list *old)
{
    while (!list_empty(old)) {
        struct hrana_http_stream *stream = LIST_FIRST(old, struct hrana_http_stream, link);

        list_remove(&stream->link);
        end(stream);
    }
}

void hrana_batons_tick(struct hrana_batons *batons, uint64_t now_ms)
{
    struct list old;

    list_init(&old);
    mutex_lock(&batons->lock);
    /* All are looked at in turn, a few in each tick: those looked at go to the end. */
    take_ended_locked(batons, now_ms, &old);
    for (unsigned i = 0; i < SWEEP_MOST && !list_empty(&batons->streams); i++) {
        struct hrana_http_stream *stream =
            LIST_FIRST(&batons->streams, struct hrana_http_stream, link);

        if (stream->busy || clock_since(now_ms, stream->used_ms) < kept_ms(stream)) {
            list_remove(&stream->link);
            list_append(&batons->streams, &stream->link);
            continue;
        }
        unlink_locked(batons, stream);
        list_append(&old, &stream->link);
    }
    mutex_unlock(&batons->lock);
    end_all(&old);
}

struct hrana_http_stream *hrana_batons_open(struct hrana_batons *batons, struct engine *engine,
    struct database *database, struct principal *principal, struct err *ret_err)
{
    struct hrana_http_stream *stream;
    struct hrana_http_stream **bucket;
    int held;

    mutex_lock(&batons->lock);
    held = hold_locked(batons, principal->tenant_id, principal->token_id);
    mutex_unlock(&batons->lock);
    if (held < 0) {
        (void)err_set(ret_err, ERR_OVERLOADED, "this token has %d streams open; close some",
            HRANA_STREAMS_PER_TOKEN);
        return NULL;
    }
    stream = mem_zalloc(sizeof(*stream));
    hrana_stream_init(&stream->stream, engine, database, principal, &stream->store);
    stream->tenant_id = principal->tenant_id;
    stream->token_id = principal->token_id;
    stream->database_id = database->id;
    stream->busy = true;
    write_hex(stream->baton, HRANA_BATON_BYTES);
    mutex_lock(&batons->lock);
    bucket = bucket_of(batons, stream->baton);
    stream->next = *bucket;
    *bucket = stream;
    list_append(&batons->streams, &stream->link);
    batons->count++;
    mutex_unlock(&batons->lock);
    return stream;
}

static bool is_baton(struct str text)
{
    if (text.len != HRANA_BATON_BYTES)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!(text.ptr[i] >= '0' && text.ptr[i] <= '9') &&
            !(text.ptr[i] >= 'a' && text.ptr[i] <= 'f'))
            return false;
    }
    return true;
}

static struct hrana_http_stream *find_locked(struct hrana_batons *batons, struct str baton,
    const struct principal *principal, const struct database *database)
{
    struct hrana_http_stream *stream = *bucket_of(batons, baton.ptr);

    while (stream != NULL && !same(stream->baton, baton.ptr, HALF))
        stream = stream->next;
    if (stream == NULL || stream->busy || stream->tenant_id != principal->tenant_id ||
        stream->token_id != principal->token_id || stream->database_id != database->id)
        return NULL;
    return stream;
}

int hrana_batons_take(struct hrana_batons *batons, struct str baton,
    const struct principal *principal, const struct database *database, uint64_t body_hash,
    struct hrana_http_stream **ret_stream, struct buf *ret_answer, struct err *ret_err)
{
    struct hrana_http_stream *stream;
    int result = -1;

    if (!is_baton(baton))
        return err_set(ret_err, ERR_BAD_REQUEST, "the baton is invalid");
    mutex_lock(&batons->lock);
    stream = find_locked(batons, baton, principal, database);
    if (stream != NULL && !stream->stream.closed && same(stream->baton, baton.ptr, baton.len)) {
        stream->busy = true;
        *ret_stream = stream;
        result = 0;
    } else if (stream != NULL && stream->answer.len > 0 && stream->last_body == body_hash &&
               same(stream->last_baton, baton.ptr, baton.len)) {
        buf_str(ret_answer, buf_view(&stream->answer));
        *ret_stream = NULL;
        result = 0;
    }
    mutex_unlock(&batons->lock);
    if (result < 0)
        return err_set(ret_err, ERR_BAD_REQUEST,
            "the baton is invalid: it was used before, or its stream has ended");
    return 0;
}

void hrana_batons_renew(struct hrana_http_stream *stream)
{
    memcpy(stream->last_baton, stream->baton, sizeof(stream->last_baton));
    write_hex(stream->baton + HALF, HRANA_BATON_BYTES - HALF);
}

void hrana_batons_release(struct hrana_batons *batons, struct hrana_http_stream *stream,
    struct str answer, uint64_t body_hash)
{
    struct hrana_stream *session = &stream->stream;
    bool keeps = answer.ptr != NULL && answer.len <= HRANA_ANSWER_KEEP_BYTES;
    struct list old;

    if (session->closed && (!keeps || stream->last_baton[0] == '\0')) {
        hrana_batons_drop(batons, stream);
        return;
    }
    stream->in_transaction = hrana_stream_in_transaction(session);
    if (session->closed) {
        hrana_stream_fini(session);
        hrana_sql_store_fini(&stream->store);
    }
    buf_reset(&stream->answer, keeps ? SIZE_MAX : 0);
    if (keeps)
        buf_str(&stream->answer, answer);
    stream->last_body = body_hash;
    list_init(&old);
    mutex_lock(&batons->lock);
    stream->used_ms = clock_now_ms();
    stream->busy = false;
    if (session->closed) {
        unhold_locked(batons, stream);
        stream->ended = true;
        list_remove(&stream->link);
        list_append(&batons->ended, &stream->link);
        batons->ended_bytes += ended_cost(stream);
        take_ended_locked(batons, 0, &old);
    }
    mutex_unlock(&batons->lock);
    end_all(&old);
}

void hrana_batons_drop(struct hrana_batons *batons, struct hrana_http_stream *stream)
{
    mutex_lock(&batons->lock);
    unlink_locked(batons, stream);
    mutex_unlock(&batons->lock);
    end(stream);
}

unsigned hrana_batons_count(struct hrana_batons *batons)
{
    unsigned count;

    mutex_lock(&batons->lock);
    count = batons->count;
    mutex_unlock(&batons->lock);
    return count;
}
