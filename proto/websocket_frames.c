#include "proto/websocket_frames.h"

#include "tenants/base/base64.h"
#include "tenants/base/check.h"
#include "tenants/base/sha1.h"

#define FIN 0x80
#define RSV 0x70
#define MASKED 0x80

void websocket_decoder_fini(struct websocket_decoder *decoder)
{
    buf_fini(&decoder->message);
}

static enum websocket_event bad(
    struct websocket_decoder *decoder, unsigned code, const char *reason)
{
    decoder->code = code;
    decoder->reason = reason;
    decoder->ended = true;
    buf_fini(&decoder->message);
    return WEBSOCKET_GOT_BAD;
}

/* ---- text ---- */

/* The first byte of a character says how many follow and which values the second may have: that
 * keeps out overlong forms, surrogates, and what lies above U+10FFFF. */
static bool utf8_start(struct websocket_decoder *decoder, unsigned char byte)
{
    decoder->utf8_low = 0x80;
    decoder->utf8_high = 0xbf;
    if (byte < 0xc2 || byte > 0xf4)
        return false;
    decoder->utf8_need = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    if (byte == 0xe0)
        decoder->utf8_low = 0xa0;
    else if (byte == 0xed)
        decoder->utf8_high = 0x9f;
    else if (byte == 0xf0)
        decoder->utf8_low = 0x90;
    else if (byte == 0xf4)
        decoder->utf8_high = 0x8f;
    return true;
}

static bool utf8_feed(struct websocket_decoder *decoder, const unsigned char *bytes, size_t len)
{
    size_t at = 0;

    while (at < len) {
        unsigned char byte = bytes[at];

        if (decoder->utf8_need > 0) {
            if (byte < decoder->utf8_low || byte > decoder->utf8_high)
                return false;
            decoder->utf8_need--;
            decoder->utf8_low = 0x80;
            decoder->utf8_high = 0xbf;
        } else if (byte < 0x80) {
            uint64_t eight;

            while (len - at >= sizeof(eight)) { /* most text is ASCII */
                memcpy(&eight, bytes + at, sizeof(eight));
                if ((eight & 0x8080808080808080U) != 0)
                    break;
                at += sizeof(eight);
            }
            if (at == len || bytes[at] >= 0x80)
                continue;
        } else if (!utf8_start(decoder, byte)) {
            return false;
        }
        at++;
    }
    return true;
}

/* ---- a frame's head ---- */

static unsigned head_needs(const struct websocket_decoder *decoder)
{
    unsigned length = decoder->head_len < 2 ? 0 : decoder->head[1] & 0x7fU;

    return 2 + (length == 126 ? 2U : length == 127 ? 8U : 0U) + 4;
}

static enum websocket_opcode opcode_of(const struct websocket_decoder *decoder)
{
    return decoder->head[0] & 0x0f;
}

/* What the first two bytes tell, before any more are waited for. */
static enum websocket_event judge_start(
    struct websocket_decoder *decoder, const struct websocket_limits *limits)
{
    bool final = (decoder->head[0] & FIN) != 0;

    if ((decoder->head[0] & RSV) != 0)
        return bad(decoder, WEBSOCKET_PROTOCOL_ERROR, "RSV bits are set without an extension");
    if ((decoder->head[1] & MASKED) == 0)
        return bad(decoder, WEBSOCKET_PROTOCOL_ERROR, "a client's frame has no mask");
    switch (opcode_of(decoder)) {
    case WEBSOCKET_CONTINUATION:
        if (!decoder->in_message)
            return bad(decoder, WEBSOCKET_PROTOCOL_ERROR, "a continuation continues nothing");
        break;
    case WEBSOCKET_TEXT:
    case WEBSOCKET_BINARY:
        if (decoder->in_message)
            return bad(decoder, WEBSOCKET_PROTOCOL_ERROR, "a message begins inside another");
        break;
    case WEBSOCKET_CLOSE:
    case WEBSOCKET_PING:
    case WEBSOCKET_PONG:
        if (!final || (decoder->head[1] & 0x7f) > WEBSOCKET_CONTROL_MAX)
            return bad(
                decoder, WEBSOCKET_PROTOCOL_ERROR, "a control frame is long or in fragments");
        return WEBSOCKET_GOT_NOTHING;
    default:
        return bad(decoder, WEBSOCKET_PROTOCOL_ERROR, "an unknown opcode");
    }
    if (decoder->in_message && decoder->fragments >= limits->fragments)
        return bad(decoder, WEBSOCKET_TOO_BIG, "too many fragments");
    return WEBSOCKET_GOT_NOTHING;
}

static uint64_t read_length(const unsigned char *bytes, unsigned count)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* The head is whole. */
static enum websocket_event open_payload(
    struct websocket_decoder *decoder, const struct websocket_limits *limits)
{
    unsigned short_length = decoder->head[1] & 0x7fU;
    uint64_t length = short_length;

    if (short_length == 126)
        length = read_length(decoder->head + 2, 2);
    else if (short_length == 127)
        length = read_length(decoder->head + 2, 8);
    if ((short_length == 126 && length < 126) || (short_length == 127 && length <= UINT16_MAX) ||
        length > INT64_MAX)
        return bad(decoder, WEBSOCKET_PROTOCOL_ERROR, "a length is not in its shortest form");
    memcpy(decoder->mask, decoder->head + decoder->head_len - 4, 4);
    decoder->masked = 0;
    decoder->left = length;
    decoder->in_payload = true;
    if (opcode_of(decoder) >= WEBSOCKET_CLOSE) {
        decoder->control_len = 0;
        return WEBSOCKET_GOT_NOTHING;
    }
    if (length > limits->message_bytes || decoder->message.len > limits->message_bytes - length)
        return bad(decoder, WEBSOCKET_TOO_BIG, "the message is too big");
    if (!decoder->in_message) {
        decoder->is_text = opcode_of(decoder) == WEBSOCKET_TEXT;
        decoder->utf8_need = 0;
        decoder->fragments = 0;
        decoder->in_message = true;
    }
    decoder->fragments++;
    return WEBSOCKET_GOT_NOTHING;
}

static enum websocket_event take_head(struct websocket_decoder *decoder, const char *bytes,
    size_t len, const struct websocket_limits *limits, size_t *ret_taken)
{
    size_t at = 0;

    while (at < len && decoder->head_len < head_needs(decoder)) {
        decoder->head[decoder->head_len++] = (unsigned char)bytes[at++];
        if (decoder->head_len == 2 && judge_start(decoder, limits) == WEBSOCKET_GOT_BAD)
            return WEBSOCKET_GOT_BAD;
    }
    *ret_taken = at;
    return decoder->head_len < head_needs(decoder) ? WEBSOCKET_GOT_NOTHING
                                                   : open_payload(decoder, limits);
}

/* ---- a frame's payload ---- */

static void unmask(
    struct websocket_decoder *decoder, unsigned char *to, const char *from, size_t len)
{
    unsigned char turned[8];
    uint64_t mask;
    size_t at = 0;

    for (unsigned i = 0; i < sizeof(turned); i++)
        turned[i] = decoder->mask[(decoder->masked + i) & 3];
    memcpy(&mask, turned, sizeof(mask));
    for (; len - at >= sizeof(mask); at += sizeof(mask)) {
        uint64_t eight;

        memcpy(&eight, from + at, sizeof(eight));
        eight ^= mask;
        memcpy(to + at, &eight, sizeof(eight));
    }
    for (; at < len; at++)
        to[at] = (unsigned char)((unsigned char)from[at] ^ turned[at & 7]);
    decoder->masked = (decoder->masked + (unsigned)(len & 3)) & 3;
}

static enum websocket_event take_data(
    struct websocket_decoder *decoder, const char *bytes, size_t len)
{
    struct buf *message = &decoder->message;
    unsigned char *to;

    if (len == 0)
        return WEBSOCKET_GOT_NOTHING;
    if (buf_reserve(message, len) < 0)
        return bad(decoder, WEBSOCKET_TRY_LATER, "out of memory");
    to = (unsigned char *)message->bytes + message->len;
    unmask(decoder, to, bytes, len);
    message->len += len;
    decoder->left -= len;
    if (decoder->is_text && !utf8_feed(decoder, to, len))
        return bad(decoder, WEBSOCKET_BAD_DATA, "the text is not UTF-8");
    return WEBSOCKET_GOT_NOTHING;
}

static enum websocket_event end_close(struct websocket_decoder *decoder)
{
    const char *text = (const char *)decoder->control;

    if (decoder->control_len == 1)
        return bad(decoder, WEBSOCKET_PROTOCOL_ERROR, "a close frame of one byte");
    decoder->code = WEBSOCKET_NO_CODE;
    if (decoder->control_len >= 2) {
        decoder->code = decoder->control[0] * 256U + decoder->control[1];
        if (!websocket_code_is_valid(decoder->code))
            return bad(decoder, WEBSOCKET_PROTOCOL_ERROR, "a close code that may not be sent");
        if (!str_is_utf8(str_make(text + 2, decoder->control_len - 2)))
            return bad(decoder, WEBSOCKET_BAD_DATA, "the reason for closing is not UTF-8");
    }
    decoder->ended = true;
    buf_fini(&decoder->message);
    return WEBSOCKET_GOT_CLOSE;
}

/* The frame is whole. */
static enum websocket_event end_frame(struct websocket_decoder *decoder)
{
    enum websocket_opcode opcode = opcode_of(decoder);

    decoder->in_payload = false;
    decoder->head_len = 0;
    if (opcode == WEBSOCKET_CLOSE)
        return end_close(decoder);
    if (opcode >= WEBSOCKET_CLOSE)
        return opcode == WEBSOCKET_PING ? WEBSOCKET_GOT_PING : WEBSOCKET_GOT_PONG;
    if ((decoder->head[0] & FIN) == 0)
        return WEBSOCKET_GOT_NOTHING;
    if (decoder->is_text && decoder->utf8_need > 0)
        return bad(decoder, WEBSOCKET_BAD_DATA, "the text ends inside a character");
    decoder->in_message = false;
    return WEBSOCKET_GOT_MESSAGE;
}

static enum websocket_event take_payload(
    struct websocket_decoder *decoder, const char *bytes, size_t len, size_t *ret_taken)
{
    size_t taken = (size_t)MIN((uint64_t)len, decoder->left);

    *ret_taken = taken;
    if (opcode_of(decoder) >= WEBSOCKET_CLOSE) {
        unmask(decoder, decoder->control + decoder->control_len, bytes, taken);
        decoder->control_len += (unsigned)taken;
        decoder->left -= taken;
    } else if (take_data(decoder, bytes, taken) == WEBSOCKET_GOT_BAD) {
        return WEBSOCKET_GOT_BAD;
    }
    return decoder->left > 0 ? WEBSOCKET_GOT_NOTHING : end_frame(decoder);
}

enum websocket_event websocket_decode(struct websocket_decoder *decoder, const char *bytes,
    size_t len, const struct websocket_limits *limits, size_t *ret_taken)
{
    size_t at = 0;

    if (!decoder->in_message)
        buf_reset(&decoder->message, 0);
    while (at < len && !decoder->ended) {
        size_t taken = 0;
        enum websocket_event event = WEBSOCKET_GOT_NOTHING;

        if (!decoder->in_payload)
            event = take_head(decoder, bytes + at, len - at, limits, &taken);
        at += taken;
        if (decoder->in_payload && event == WEBSOCKET_GOT_NOTHING) {
            event = take_payload(decoder, bytes + at, len - at, &taken);
            at += taken;
        }
        if (event != WEBSOCKET_GOT_NOTHING) {
            *ret_taken = decoder->ended ? len : at;
            return event;
        }
    }
    *ret_taken = len;
    return WEBSOCKET_GOT_NOTHING;
}

bool websocket_is_inside(const struct websocket_decoder *decoder)
{
    return decoder->in_message || decoder->in_payload || decoder->head_len > 0;
}

/* ---- writing ---- */

void websocket_write_head(struct buf *out, enum websocket_opcode opcode, uint64_t len)
{
    unsigned char head[WEBSOCKET_HEAD_MAX] = {(unsigned char)(FIN | opcode)};
    unsigned bytes = len <= 125 ? 0 : len <= UINT16_MAX ? 2 : 8;

    head[1] = bytes == 0 ? (unsigned char)len : bytes == 2 ? 126 : 127;
    for (unsigned i = 0; i < bytes; i++)
        head[2 + i] = (unsigned char)(len >> (8 * (bytes - 1 - i)));
    buf_append(out, head, 2 + bytes);
}

void websocket_write_control(struct buf *out, enum websocket_opcode opcode, struct str payload)
{
    CHECK(opcode >= WEBSOCKET_CLOSE && payload.len <= WEBSOCKET_CONTROL_MAX);
    websocket_write_head(out, opcode, payload.len);
    buf_str(out, payload);
}

bool websocket_code_is_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

void websocket_write_close(struct buf *out, unsigned code, struct str reason)
{
    char payload[WEBSOCKET_CONTROL_MAX];
    size_t len = MIN(reason.len, sizeof(payload) - 2);

    if (code == WEBSOCKET_NO_CODE) {
        websocket_write_control(out, WEBSOCKET_CLOSE, str_make("", 0));
        return;
    }
    CHECK(websocket_code_is_valid(code));
    while (len < reason.len && len > 0 && ((unsigned char)reason.ptr[len] & 0xc0) == 0x80)
        len--;
    payload[0] = (char)(code >> 8);
    payload[1] = (char)(code & 0xff);
    if (len > 0)
        memcpy(payload + 2, reason.ptr, len);
    websocket_write_control(out, WEBSOCKET_CLOSE, str_make(payload, len + 2));
}

/* ---- the handshake's key ---- */

bool websocket_key_is_valid(struct str key)
{
    unsigned char bytes[WEBSOCKET_KEY_LEN / 4 * 3 + 3];
    size_t len;

    return key.len == WEBSOCKET_KEY_LEN && base64_decode(key, bytes, &len) == 0 && len == 16;
}

void websocket_accept(struct str key, char out[WEBSOCKET_ACCEPT_LEN + 1])
{
    static const char fixed[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[WEBSOCKET_KEY_LEN + sizeof(fixed)];
    unsigned char digest[SHA1_BYTES];
    struct buf encoded = {0};

    CHECK(key.len == WEBSOCKET_KEY_LEN);
    memcpy(text, key.ptr, key.len);
    memcpy(text + key.len, fixed, sizeof(fixed));
    sha1(str_make(text, sizeof(text) - 1), digest);
    base64_encode(&encoded, digest, sizeof(digest), true);
    CHECK(!encoded.failed && encoded.len == WEBSOCKET_ACCEPT_LEN);
    memcpy(out, encoded.bytes, encoded.len);
    out[encoded.len] = '\0';
    buf_fini(&encoded);
}
