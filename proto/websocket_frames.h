/* WebSocket frames (RFC 6455, section 5) as a server reads and writes them. Sans-I/O.
 *
 *     1 fin, 3 rsv, 4 opcode | 1 masked, 7 length | length of 2 or 8 bytes | mask of 4 | payload
 *      126: 2 bytes follow, 127: 8 bytes follow; the shortest form or none
 *
 * Bytes come in any pieces; a decoder gives whole messages, and control frames as they come (they
 * may stand between the fragments of a message). Refused, each with the close code to send: frames
 * without a mask, RSV bits (there are no extensions), unknown opcodes, control frames that are long
 * or in fragments, fragments out of order, lengths not in their shortest form (1002); text that is
 * not UTF-8, found at its first bad byte, also when the character goes on in the next fragment
 * (1007); messages over the limits, refused by their head before their bytes come (1009).
 *
 * Memory: a message's bytes as they arrive (never as announced); nothing between messages. One
 * thread at a time. */
#ifndef PROTO_WEBSOCKET_FRAMES_H
#define PROTO_WEBSOCKET_FRAMES_H

#include "tenants/base/buf.h"

#define WEBSOCKET_HEAD_MAX 10     /* of a frame we write */
#define WEBSOCKET_CONTROL_MAX 125 /* payload of ping, pong, close */
#define WEBSOCKET_KEY_LEN 24      /* Sec-WebSocket-Key: 16 bytes in base64 */
#define WEBSOCKET_ACCEPT_LEN 28   /* Sec-WebSocket-Accept */
/* What the server sets: 8 MB in frames of 64 bytes. A fragment costs time, not memory; without an
 * end to them a message of empty ones would have none. */
#define WEBSOCKET_FRAGMENTS_MAX 131072

enum websocket_opcode {
    WEBSOCKET_CONTINUATION = 0,
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10,
};

enum websocket_code {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL_ERROR = 1002,
    WEBSOCKET_UNSUPPORTED = 1003, /* a kind of message that is not spoken here */
    WEBSOCKET_NO_CODE = 1005,     /* never sent: the peer's close frame was empty */
    WEBSOCKET_LOST = 1006,        /* never sent: there was no close frame */
    WEBSOCKET_BAD_DATA = 1007,
    WEBSOCKET_POLICY = 1008,
    WEBSOCKET_TOO_BIG = 1009,
    WEBSOCKET_INTERNAL = 1011,
    WEBSOCKET_TRY_LATER = 1013,
};

enum websocket_event {
    WEBSOCKET_GOT_NOTHING, /* all bytes are taken; more are needed */
    WEBSOCKET_GOT_MESSAGE, /* `message`, `is_text` */
    WEBSOCKET_GOT_PING,    /* `control`, `control_len` */
    WEBSOCKET_GOT_PONG,
    WEBSOCKET_GOT_CLOSE, /* `code`, and the reason in `control` from byte 2 on; the end */
    WEBSOCKET_GOT_BAD,   /* `code` and `reason` are what to close with; the end */
};

struct websocket_limits {
    uint64_t message_bytes;
    unsigned fragments; /* frames of one message */
};

/* Zeroed at the connection's first frame. */
struct websocket_decoder {
    struct buf message; /* owned; whole at GOT_MESSAGE, when the caller may buf_take() it */
    bool is_text;
    unsigned char control[WEBSOCKET_CONTROL_MAX];
    unsigned control_len;
    unsigned code;
    const char *reason; /* static */

    /* the frame that comes in */
    unsigned char head[14];
    unsigned head_len;
    unsigned char mask[4];
    unsigned masked; /* payload bytes unmasked so far, modulo 4 */
    uint64_t left;   /* of its payload */
    bool in_payload;
    /* the message that comes in */
    bool in_message; /* a frame of it has come, the last has not */
    unsigned fragments;
    unsigned char utf8_need; /* bytes that the character still needs ... */
    unsigned char utf8_low;  /* ... the next one from here ... */
    unsigned char utf8_high; /* ... to here */
    bool ended;
};

void websocket_decoder_fini(struct websocket_decoder *decoder); /* zeroed is fine, and twice */
/* Takes from `bytes`, up to one event; *ret_taken of them are done with. After anything but
 * GOT_NOTHING call again with the rest. After GOT_CLOSE and GOT_BAD everything is taken and nothing
 * more comes. A message that was not taken is freed by the next call. */
enum websocket_event websocket_decode(struct websocket_decoder *decoder, const char *bytes,
    size_t len, const struct websocket_limits *limits, size_t *ret_taken) MUST_CHECK;
/* Has a frame or a message begun that is not whole? */
bool websocket_is_inside(const struct websocket_decoder *decoder);

/* The head of an unfragmented, unmasked frame whose payload has `len` bytes. */
void websocket_write_head(struct buf *out, enum websocket_opcode opcode, uint64_t len);
/* A whole control frame; a payload over WEBSOCKET_CONTROL_MAX is a CHECK. */
void websocket_write_control(struct buf *out, enum websocket_opcode opcode, struct str payload);
/* A close frame. `reason` is UTF-8, cut to fit at a character's end. NO_CODE makes it empty; a code
 * that may not be sent is a CHECK. */
void websocket_write_close(struct buf *out, unsigned code, struct str reason);
/* May a close frame carry this code? */
bool websocket_code_is_valid(unsigned code);

/* Is this a Sec-WebSocket-Key: 16 bytes in base64? */
bool websocket_key_is_valid(struct str key);
/* Sec-WebSocket-Accept for a valid key; writes a NUL too. */
void websocket_accept(struct str key, char out[WEBSOCKET_ACCEPT_LEN + 1]);

#endif
