/* hello: the way of an HTTP request's token and database (proto/exchange.c), for a message.
 *
 * The exchange here is no request: its services bring it back to the session instead of to a
 * connection. A login is looked at again, silently, before the next request when something of the
 * tenant has changed since, or the token has expired: so a revoked token, a deleted database, a
 * changed role take effect as they do over HTTP. */
#include "proto/hrana/websocket.h"
#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/mem.h"

#define MISSING "a token is missing: hello takes it as 'jwt'"
#define MALFORMED "the token is malformed"

struct hrana_login {
    struct exchange x;
    struct services services; /* as the loop's, but for the ways back */
    struct route route;
    struct websocket_task home;
    void (*continuation)(struct exchange *x);
    struct hrana_socket *socket;
    uint64_t generation;
    uint64_t epoch;
    struct err err;
    bool again;
    bool inside; /* of the exchange: who ends it comes after */
    bool over;
};

static struct hrana_login *login_of(struct exchange *x)
{
    return CONTAINER_OF(x, struct hrana_login, x);
}

static struct str view(const char *text)
{
    return text == NULL ? str_make(NULL, 0) : str_from(text);
}

/* ---- answers ---- */

static void send_hello(struct hrana_socket *socket, const struct hrana_error *error)
{
    struct buf out = {0};
    struct hrana_encoder encoder = {
        .ops = socket->codec->ops, .out = &out, .envelope = HRANA_WEBSOCKET};

    if (error == NULL)
        encoder.ops->hello_ok(&encoder);
    else
        encoder.ops->hello_error(&encoder, error);
    (void)websocket_send(socket->websocket, socket->codec->is_text, &out);
}

static void fail(struct hrana_socket *socket, const struct hrana_error *error)
{
    send_hello(socket, error);
    hrana_socket_close(socket, WEBSOCKET_NORMAL, error->code);
}

/* ---- the end ---- */

static void settle(struct hrana_login *login) ON(loop_thread)
{
    struct hrana_socket *socket = login->socket;
    struct exchange *x = &login->x;
    struct hrana_error error;

    if (socket->ended)
        return;
    if (login->err.code != ERR_NONE) {
        error = hrana_error_of(&login->err, &x->arena);
        fail(socket, &error);
        return;
    }
    /* Its streams would be another database's than its token reaches. */
    if (socket->database != NULL && socket->database->id != x->database->id) {
        hrana_socket_close(
            socket, WEBSOCKET_POLICY, "the connection is for another database: open a new one");
        return;
    }
    principal_unref(socket->principal);
    database_unref(socket->database);
    socket->principal = x->principal;
    socket->database = x->database;
    socket->generation = login->generation;
    socket->epoch = login->epoch;
    x->principal = NULL;
    x->database = NULL;
    if (!login->again)
        send_hello(socket, NULL);
}

static void end(struct hrana_login *login) ON(loop_thread)
{
    struct hrana_socket *socket = login->socket;
    struct websocket *websocket = socket->websocket;

    socket->login = NULL;
    settle(login);
    exchange_fini(&login->x);
    mem_free(login);
    hrana_socket_set_pause(socket);
    if (!socket->ending)
        hrana_socket_unblock(socket);
    websocket_release(websocket);
}

/* ---- the way ---- */

static void enter(struct hrana_login *login, void (*step)(struct exchange *x)) ON(loop_thread)
{
    login->inside = true;
    step(&login->x);
    login->inside = false;
    if (login->over)
        end(login);
}

static void on_home(struct websocket_task *task) ON(loop_thread)
{
    struct hrana_login *login = CONTAINER_OF(task, struct hrana_login, home);

    enter(login, login->continuation);
}

static void post(struct exchange *x, void (*continuation)(struct exchange *x))
{
    struct hrana_login *login = login_of(x);

    login->continuation = continuation;
    websocket_post(login->socket->websocket, &login->home);
}

/* Let in, or refused: on the loop, inside of enter(). */
static void on_finish(struct exchange *x)
{
    struct hrana_login *login = login_of(x);

    CHECK(login->inside);
    login->over = true;
}

static struct str credentials(struct exchange *x)
{
    return view(login_of(x)->socket->token);
}

static void on_error(struct exchange *x, const struct err *err)
{
    err_copy(&login_of(x)->err, err);
}

static const struct dialect login_dialect = {
    .name = "hrana", .credentials = credentials, .error = on_error};

static void start(struct hrana_socket *socket, bool again) ON(loop_thread)
{
    struct hrana_login *login = mem_zalloc(sizeof(*login));
    struct exchange *x = &login->x;
    bool named = socket->tenant != NULL;

    login->socket = socket;
    login->again = again;
    login->err = ERR_INIT;
    login->home.run = on_home;
    login->services = *socket->websocket->services;
    login->services.post = post;
    login->services.finish = on_finish;
    login->route = (struct route){.name = "hrana_hello",
        .needs = NEEDS_PRINCIPAL | (again ? NEEDS_NO_RATE : 0U) |
                 (named ? NEEDS_TENANT | NEEDS_DATABASE : NEEDS_ONE_DATABASE),
        .capabilities = CAP_READ,
        .handle = on_finish};
    exchange_init(x, &login->services);
    x->dialect = &login_dialect;
    x->route = &login->route;
    x->params[0] = view(socket->tenant);
    x->params[1] = view(socket->database_segment);
    x->http.host = view(socket->host);
    x->http.host_tenant = view(socket->host_tenant);
    x->http.host_database = view(socket->host_database);
    /* Before anything is read: what changes from here on is seen by the next look. */
    login->generation = catalogue_generation(login->services.catalogue);
    login->epoch = catalogue_verifier_epoch(login->services.catalogue);
    websocket_hold(socket->websocket);
    socket->login = login;
    enter(login, exchange_enter);
}

static void keep_token(struct hrana_socket *socket, struct str token)
{
    if (socket->token != NULL)
        explicit_bzero(socket->token, strlen(socket->token));
    mem_free(socket->token);
    socket->token = mem_strndup(token.ptr, token.len);
}

void hrana_socket_hello(struct hrana_socket *socket, struct str jwt)
{
    static const struct hrana_error missing = {
        .code = "AUTH_HEADER_NOT_FOUND", .message = {.ptr = MISSING, .len = sizeof(MISSING) - 1}};
    static const struct hrana_error malformed = {
        .code = "AUTH_JWT_INVALID", .message = {.ptr = MALFORMED, .len = sizeof(MALFORMED) - 1}};
    struct str token = jwt.ptr != NULL ? jwt : view(socket->header_token);

    if (token.len == 0 || str_find(token, '\0') < token.len) {
        fail(socket, token.len == 0 ? &missing : &malformed);
        return;
    }
    keep_token(socket, token);
    start(socket, false);
    hrana_socket_set_pause(socket);
}

static bool is_current(const struct hrana_socket *socket)
{
    const struct catalogue *catalogue = socket->websocket->services->catalogue;
    int64_t expires = socket->principal->expires_wall_ms;

    if (unlikely(socket->database->expires_wall_ms != 0))
        expires = expires == 0 ? socket->database->expires_wall_ms
                               : MIN(expires, socket->database->expires_wall_ms);
    return catalogue_is_current(catalogue, socket->principal->tenant_id, socket->generation) &&
           catalogue_is_current(catalogue, socket->database->tenant_id, socket->generation) &&
           ((socket->principal->token_id & TOKEN_ID_SIGNED) == 0 ||
               catalogue_verifier_epoch(catalogue) == socket->epoch) &&
           (likely(expires == 0) || expires > clock_wall_ms());
}

bool hrana_socket_is_logged_in(struct hrana_socket *socket)
{
    if (unlikely(socket->login != NULL || socket->ending))
        return false;
    if (likely(is_current(socket)))
        return true;
    start(socket, true);
    hrana_socket_set_pause(socket);
    return socket->login == NULL && !socket->ending;
}
