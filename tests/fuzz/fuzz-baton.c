/* Batons from strangers: streams are opened, used, closed and dropped as the bytes say, and each
 * baton that a model does not call good is refused, whoever shows it. */
#include "proto/hrana/batons.h"
#include "tenants/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define STREAMS 8
#define WHO 2 /* two tokens and two databases: four holders */

static struct principal *principals[WHO];
static struct database *databases[WHO];

struct known {
    bool live;   /* its baton is good */
    bool closed; /* it only answers its last baton again */
    unsigned token;
    unsigned database;
    char baton[HRANA_BATON_BYTES + 1];
    char last[HRANA_BATON_BYTES + 1];
    uint64_t last_hash;
    uint8_t answer;
};

static struct known known[STREAMS];

struct input {
    const uint8_t *bytes;
    size_t len;
};

static uint8_t next(struct input *input)
{
    if (input->len == 0)
        return 0;
    input->len--;
    return *input->bytes++;
}

static void prepare(void)
{
    for (unsigned i = 0; i < WHO && principals[i] == NULL; i++) {
        principals[i] = principal_new(
            &(struct principal){.tenant_id = 1, .token_id = i + 1, .capabilities = CAP_READ});
        databases[i] = database_new(&(struct database){.id = i + 1,
            .tenant_id = 1,
            .slug = STR_LITERAL("main"),
            .tenant_slug = STR_LITERAL("acme")});
    }
}

/* 1: a stream, 0: an answer that was given before, -1: refused. */
static int take(struct hrana_batons *batons, struct str baton, unsigned token, unsigned database,
    uint64_t hash, struct hrana_http_stream **ret_stream, struct buf *answer)
{
    struct err err = ERR_INIT;

    *ret_stream = NULL;
    if (hrana_batons_take(batons, baton, principals[token], databases[database], hash, ret_stream,
            answer, &err) < 0) {
        CHECK(err.code == ERR_BAD_REQUEST && *ret_stream == NULL && answer->len == 0);
        return -1;
    }
    return *ret_stream != NULL;
}

/* A turn of a stream that is busy: its answer has one byte, and the next baton is another. */
static void turn(struct hrana_batons *batons, struct hrana_http_stream *stream, struct known *of,
    struct input *input)
{
    uint8_t what = next(input);
    char answer = (char)(what | 1);

    if (what % 8 == 7) {
        hrana_batons_drop(batons, stream);
        *of = (struct known){.live = false};
        return;
    }
    memcpy(of->last, stream->baton, sizeof(of->last));
    hrana_batons_renew(stream);
    CHECK(strcmp(of->last, stream->baton) != 0);
    memcpy(of->baton, stream->baton, sizeof(of->baton));
    of->last_hash = what;
    of->answer = (uint8_t)answer;
    of->live = what % 8 != 6;
    of->closed = !of->live;
    stream->stream.closed = of->closed;
    hrana_batons_release(batons, stream, str_make(&answer, 1), what);
}

static void open_one(struct hrana_batons *batons, struct known *of, struct input *input)
{
    struct err err = ERR_INIT;
    uint8_t who = next(input);
    struct hrana_http_stream *stream;

    if (of->live || of->closed)
        return;
    *of = (struct known){.token = who % WHO, .database = who / WHO % WHO};
    stream = hrana_batons_open(batons, NULL, databases[of->database], principals[of->token], &err);
    CHECK(stream != NULL);
    turn(batons, stream, of, input);
}

/* Shows a baton of `of`, perhaps changed, for somebody, and looks at what comes of it. */
static void show(struct hrana_batons *batons, struct known *of, struct input *input)
{
    uint8_t how = next(input);
    uint8_t who = next(input);
    uint8_t hash = next(input);
    bool is_last = (how & 1) != 0;
    bool mine = who % WHO == of->token && who / WHO % WHO == of->database;
    char baton[HRANA_BATON_BYTES + 1];
    struct buf answer = {.len = 0};
    struct hrana_http_stream *stream;
    int result;

    memcpy(baton, is_last ? of->last : of->baton, sizeof(baton));
    if ((how & 2) != 0) {
        unsigned at = next(input) % HRANA_BATON_BYTES;
        char was = baton[at];

        baton[at] = (char)next(input);
        mine = mine && baton[at] == was;
    }
    result = take(batons, str_make(baton, HRANA_BATON_BYTES), who % WHO, who / WHO % WHO, hash,
        &stream, &answer);
    if (mine && !is_last && of->live) {
        CHECK(result == 1);
        CHECK(strcmp(stream->baton, of->baton) == 0);
        /* Nobody else gets it while it is busy. */
        CHECK(take(batons, str_make(baton, HRANA_BATON_BYTES), who % WHO, who / WHO % WHO, hash,
                  &(struct hrana_http_stream *){NULL}, &answer) < 0);
        turn(batons, stream, of, input);
    } else if (mine && is_last && (of->live || of->closed) && hash == of->last_hash) {
        CHECK(result == 0);
        CHECK(answer.len == 1 && (uint8_t)buf_view(&answer).ptr[0] == of->answer);
    } else {
        CHECK(result < 0);
    }
    buf_fini(&answer);
}

static void show_bytes(struct hrana_batons *batons, struct input *input)
{
    struct str text = str_make((const char *)input->bytes, MIN(input->len, 64));
    struct buf answer = {.len = 0};
    struct hrana_http_stream *stream;

    /* 192 random bits that nobody has seen */
    CHECK(take(batons, text, 0, 0, 0, &stream, &answer) < 0);
    buf_fini(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct input input = {.bytes = bytes, .len = len};
    struct hrana_batons *batons = hrana_batons_new();

    prepare();
    memset(known, 0, sizeof(known));
    while (input.len > 0) {
        uint8_t what = next(&input);
        struct known *of = &known[what / 4 % STREAMS];

        switch (what % 4) {
        case 0:
            open_one(batons, of, &input);
            break;
        case 1:
        case 2:
            show(batons, of, &input);
            break;
        default:
            show_bytes(batons, &input);
            break;
        }
    }
    hrana_batons_free(batons);
    return 0;
}
