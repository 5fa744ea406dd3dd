/* WebSocket frames from strangers. What it holds to:
 * - the same events, whatever pieces the bytes came in;
 * - every call takes bytes; after the end nothing more comes;
 * - no message is over the limits; every text is UTF-8;
 * - a close code that was accepted may be sent back, and what we write is in its shortest form. */
#include "proto/websocket_frames.h"
#include "tenants/base/check.h"
#include "tests/fuzz/target.h"

static const struct websocket_limits limits = {.message_bytes = 2000, .fragments = 8};

/* Appends what came out to `out`, so that two runs can be compared. */
static void note(
    struct buf *out, const struct websocket_decoder *decoder, enum websocket_event event)
{
    buf_printf(out, "%d:", (int)event);
    switch (event) {
    case WEBSOCKET_GOT_MESSAGE:
        CHECK(decoder->message.len <= limits.message_bytes && !websocket_is_inside(decoder));
        CHECK(!decoder->is_text || str_is_utf8(buf_view(&decoder->message)));
        buf_printf(out, "%d:%zu:", decoder->is_text, decoder->message.len);
        buf_str(out, buf_view(&decoder->message));
        break;
    case WEBSOCKET_GOT_PING:
    case WEBSOCKET_GOT_PONG:
        CHECK(decoder->control_len <= WEBSOCKET_CONTROL_MAX);
        buf_append(out, decoder->control, decoder->control_len);
        break;
    case WEBSOCKET_GOT_CLOSE:
        CHECK(decoder->code == WEBSOCKET_NO_CODE || websocket_code_is_valid(decoder->code));
        buf_printf(out, "%u", decoder->code);
        break;
    case WEBSOCKET_GOT_BAD:
        CHECK(websocket_code_is_valid(decoder->code) && decoder->reason != NULL);
        buf_printf(out, "%u", decoder->code);
        break;
    case WEBSOCKET_GOT_NOTHING:
        break;
    }
}

static void run(const char *bytes, size_t len, size_t step, struct buf *out)
{
    struct websocket_decoder decoder = {0};
    bool ended = false;

    for (size_t at = 0; at < len;) {
        size_t taken = 0;
        enum websocket_event event =
            websocket_decode(&decoder, bytes + at, MIN(step, len - at), &limits, &taken);

        CHECK(taken > 0 && taken <= len - at);
        CHECK(!ended || event == WEBSOCKET_GOT_NOTHING);
        at += taken;
        if (event == WEBSOCKET_GOT_NOTHING)
            continue;
        ended = ended || event == WEBSOCKET_GOT_CLOSE || event == WEBSOCKET_GOT_BAD;
        note(out, &decoder, event);
    }
    websocket_decoder_fini(&decoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct buf whole = {0};
    struct buf pieces = {0};
    struct buf reason = {0};

    if (size < 1)
        return 0;
    run(bytes + 1, size - 1, size, &whole);
    run(bytes + 1, size - 1, (size_t)(data[0] % 16) + 1, &pieces);
    CHECK(str_equal(buf_view(&whole), buf_view(&pieces)));
    websocket_write_close(&reason, WEBSOCKET_NORMAL, str_make(bytes, size));
    CHECK(reason.len >= 4 && reason.len <= 2 + WEBSOCKET_CONTROL_MAX);
    CHECK((size_t)(unsigned char)reason.bytes[1] == reason.len - 2);
    CHECK(!str_is_utf8(str_make(bytes, size)) ||
          str_is_utf8(str_make(reason.bytes + 4, reason.len - 4)));
    buf_fini(&reason);
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
