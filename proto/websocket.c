/* The handshake (RFC 6455, section 4.2), from the head that src has read to the 101. */
#include "proto/websocket.h"

static void refuse(struct exchange *x, enum err_code code, int status, const char *message)
{
    struct err err = ERR_INIT;

    (void)err_set(&err, code, "%s", message);
    err.native = status;
    x->response.close = true;
    exchange_fail(x, &err);
}

/* 426 says what would be right. */
static void refuse_version(struct exchange *x, const char *message)
{
    http_response_header(&x->response, "Upgrade", STR_LITERAL("websocket"));
    http_response_header(&x->response, "Sec-WebSocket-Version", STR_LITERAL("13"));
    refuse(x, ERR_BAD_REQUEST, 426, message);
}

/* ---- subprotocols ---- */

struct offers {
    struct str names[WEBSOCKET_OFFERS_MAX];
    unsigned count;
};

/* The header may come more than once. -1: malformed, or too many. */
static int read_offers(const struct http_request *http, struct offers *ret_offers)
{
    ret_offers->count = 0;
    for (size_t i = 0; i < http->header_count; i++) {
        struct str rest = http->headers[i].value;

        if (!str_is_nocase(http->headers[i].name, "sec-websocket-protocol"))
            continue;
        while (rest.ptr != NULL) {
            struct str name = str_trim(str_split(&rest, ','));

            if (name.len == 0 || ret_offers->count == WEBSOCKET_OFFERS_MAX)
                return -1;
            ret_offers->names[ret_offers->count++] = name;
        }
    }
    return 0;
}

static int choose(const struct websocket_handler *handler, const struct offers *offers)
{
    for (int i = 0; handler->subprotocols != NULL && handler->subprotocols[i] != NULL; i++) {
        for (unsigned k = 0; k < offers->count; k++) {
            if (str_is(offers->names[k], handler->subprotocols[i]))
                return i;
        }
    }
    return -1;
}

/* ---- the answer ---- */

/* The one value of a header that may come once; ptr NULL: none, or several. */
static struct str only(const struct http_request *http, const char *name)
{
    struct str found = {0};
    unsigned count = 0;

    for (size_t i = 0; i < http->header_count; i++) {
        if (str_is_nocase(http->headers[i].name, name)) {
            found = http->headers[i].value;
            count++;
        }
    }
    return count == 1 ? found : str_make(NULL, 0);
}

static void accept_key(struct exchange *x, struct str key)
{
    char accept[WEBSOCKET_ACCEPT_LEN + 1];
    struct str copy;

    websocket_accept(key, accept);
    copy = arena_str(&x->arena, str_make(accept, WEBSOCKET_ACCEPT_LEN));
    if (copy.ptr == NULL) {
        refuse(x, ERR_UNAVAILABLE, 0, "out of memory; try again");
        return;
    }
    x->response.status = 101;
    http_response_header(&x->response, "Upgrade", STR_LITERAL("websocket"));
    http_response_header(&x->response, "Connection", STR_LITERAL("Upgrade"));
    http_response_header(&x->response, "Sec-WebSocket-Accept", copy);
    if (x->upgrade.subprotocol >= 0)
        http_response_header(&x->response, "Sec-WebSocket-Protocol",
            str_from(x->upgrade.handler->subprotocols[x->upgrade.subprotocol]));
    exchange_finish(x);
}

void exchange_upgrade(struct exchange *x, const struct websocket_handler *handler, void *state)
{
    struct str key = only(&x->http, "sec-websocket-key");
    struct offers offers;

    x->upgrade.handler = handler;
    x->upgrade.state = state;
    if (!x->http.wants_websocket) {
        refuse_version(x, "this route speaks WebSocket: ask for an upgrade");
        return;
    }
    if (!str_is(only(&x->http, "sec-websocket-version"), "13")) {
        refuse_version(x, "only version 13 of WebSocket is spoken here");
        return;
    }
    if (!websocket_key_is_valid(key)) {
        refuse(x, ERR_BAD_REQUEST, 0, "Sec-WebSocket-Key must be 16 bytes in base64, once");
        return;
    }
    if (x->http.foreign_origin && !handler->any_origin) {
        refuse(x, ERR_FORBIDDEN, 0, "pages of this origin may not connect; see --cors-origin");
        return;
    }
    if (read_offers(&x->http, &offers) < 0) {
        refuse(x, ERR_BAD_REQUEST, 0, "Sec-WebSocket-Protocol is malformed");
        return;
    }
    x->upgrade.subprotocol = choose(handler, &offers);
    if (offers.count > 0 && x->upgrade.subprotocol < 0) {
        refuse(x, ERR_BAD_REQUEST, 0, "none of the offered WebSocket subprotocols is spoken here");
        return;
    }
    accept_key(x, key);
}
