#include "src/rook/http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "src/rook/interrupt.h"
#include "tenants/base/check.h"
#include "tenants/base/clock.h"
#include "tenants/base/mem.h"

struct http {
    CURLM *multi; /* the multi interface, for waiting on Ctrl-C beside the socket */
    CURL *easy;
    struct curl_slist *headers;
    struct buf base; /* URL without its last slash */
    char detail[CURL_ERROR_SIZE];
};

bool http_is_url(const char *url)
{
    struct str text = str_from(url);

    return str_starts_with(text, "http://") || str_starts_with(text, "https://") ||
           str_starts_with(text, "unix:/");
}

static bool is_this_machine(const char *url)
{
    static const char *const hosts[] = {"localhost", "127.", "[::1]"};
    const char *host = strstr(url, "://");

    for (size_t i = 0; host != NULL && i < ARRAY_LEN(hosts); i++)
        if (str_starts_with(str_from(host + 3), hosts[i]))
            return true;
    return false;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
    struct http_answer *answer = user;

    buf_append(&answer->body, bytes, size * count);
    return answer->body.failed ? 0 : size * count; /* 0 ends the transfer */
}

static size_t on_header(char *bytes, size_t size, size_t count, void *user)
{
    struct http_answer *answer = user;
    struct str value = str_make(bytes, size * count);
    struct str name = str_split(&value, ':');

    while (value.len > 0 && (value.ptr[value.len - 1] == '\n' || value.ptr[value.len - 1] == '\r'))
        value.len--;
    value = str_trim(value);
    if (str_is_nocase(name, "x-request-id"))
        (void)snprintf(answer->request_id, sizeof(answer->request_id), "%.*s", STR_ARGS(value));
    if (str_is_nocase(name, "retry-after") && value.len > 0)
        answer->retry_after_s = strtol(value.ptr, NULL, 10);
    return size * count;
}

static void set_base(struct http *http, const char *url)
{
    if (str_starts_with(str_from(url), "unix:")) {
        (void)curl_easy_setopt(http->easy, CURLOPT_UNIX_SOCKET_PATH, url + strlen("unix:"));
        buf_literal(&http->base, "http://localhost");
        return;
    }
    buf_cstr(&http->base, url);
    while (http->base.len > 0 && http->base.bytes[http->base.len - 1] == '/')
        http->base.len--;
    if (is_this_machine(url))
        (void)curl_easy_setopt(http->easy, CURLOPT_PROXY, "");
}

struct http *http_new(const char *url, const char *token, long timeout_s, struct err *ret_err)
{
    struct http *http;

    if (!http_is_url(url) || strpbrk(url, " \t\r\n?#") != NULL) {
        (void)err_set(ret_err, ERR_BAD_REQUEST,
            "'%s' is not a server's URL: http://host:port, https://host or unix:/path", url);
        return NULL;
    }
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == 0);
    http = mem_zalloc(sizeof(*http));
    http->multi = curl_multi_init();
    http->easy = curl_easy_init();
    CHECK(http->multi != NULL && http->easy != NULL);
    set_base(http, url);
    (void)curl_easy_setopt(http->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(http->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(http->easy, CURLOPT_ERRORBUFFER, http->detail);
    (void)curl_easy_setopt(http->easy, CURLOPT_CONNECTTIMEOUT, (long)HTTP_CONNECT_TIMEOUT_S);
    (void)curl_easy_setopt(http->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(http->easy, CURLOPT_LOW_SPEED_TIME, timeout_s);
    (void)curl_easy_setopt(http->easy, CURLOPT_USERAGENT, "rook/" ROOKERY_VERSION);
    (void)curl_easy_setopt(http->easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(http->easy, CURLOPT_HEADERFUNCTION, on_header);
    http_add_header(http, "Content-Type", "application/json");
    http_add_header(http, "Accept", "application/json");
    http_add_header(http, "Expect", ""); /* no 100-continue: it costs a round trip */
    if (token != NULL) {
        struct buf bearer = {0};
        buf_printf(&bearer, "Bearer %s", token);
        buf_char(&bearer, '\0');
        http_add_header(http, "Authorization", bearer.bytes);
        explicit_bzero(bearer.bytes, bearer.len);
        buf_fini(&bearer);
    }
    return http;
}

void http_free(struct http *http)
{
    if (http == NULL)
        return;
    curl_easy_cleanup(http->easy);
    (void)curl_multi_cleanup(http->multi);
    curl_slist_free_all(http->headers);
    buf_fini(&http->base);
    mem_free(http);
}

void http_add_header(struct http *http, const char *name, const char *value)
{
    struct buf line = {0};

    buf_printf(&line, "%s: %s", name, value);
    if (*value == '\0')
        line.len--; /* "Name:" makes curl leave its own header out */
    buf_char(&line, '\0');
    http->headers = curl_slist_append(http->headers, line.bytes);
    CHECK(http->headers != NULL);
    explicit_bzero(line.bytes, line.len);
    buf_fini(&line);
}

/* CURLE_ABORTED_BY_CALLBACK stands for Ctrl-C. */
static CURLcode perform(struct http *http)
{
    struct curl_waitfd wake = {.fd = interrupt_fd(), .events = CURL_WAIT_POLLIN};
    CURLcode code = CURLE_ABORTED_BY_CALLBACK;
    int running = 1;
    int left;

    CHECK(curl_multi_add_handle(http->multi, http->easy) == CURLM_OK);
    while (running > 0 && !interrupt_pending()) {
        if (curl_multi_perform(http->multi, &running) != CURLM_OK)
            break;
        if (running > 0)
            (void)curl_multi_poll(http->multi, &wake, 1, 1000, NULL);
    }
    for (CURLMsg *message = curl_multi_info_read(http->multi, &left); message != NULL;
         message = curl_multi_info_read(http->multi, &left))
        if (message->msg == CURLMSG_DONE)
            code = message->data.result;
    /* Taking out a transfer that has not ended closes its connection. */
    (void)curl_multi_remove_handle(http->multi, http->easy);
    return code;
}

static int explain(struct http *http, CURLcode code, struct http_answer *answer, struct err *err)
{
    const char *detail = http->detail[0] != '\0' ? http->detail : curl_easy_strerror(code);

    if (code == CURLE_ABORTED_BY_CALLBACK)
        return err_set(err, ERR_CANCELLED, "interrupted");
    if (answer->body.failed)
        return err_set(
            err, ERR_TOO_LARGE, "the answer is larger than %lu MiB", HTTP_ANSWER_MAX_BYTES >> 20);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return err_set(err, ERR_UNAVAILABLE, "%.*s: no answer in time (%s)",
            STR_ARGS(buf_view(&http->base)), detail);
    return err_set(
        err, ERR_UNAVAILABLE, "cannot reach %.*s: %s", STR_ARGS(buf_view(&http->base)), detail);
}

static void set_body(struct http *http, const char *method, const struct buf *body)
{
    /* POST without a body still says Content-Length: 0. */
    bool has_body = body != NULL || strcmp(method, "POST") == 0;

    (void)curl_easy_setopt(http->easy, CURLOPT_POSTFIELDS, NULL);
    (void)curl_easy_setopt(http->easy, CURLOPT_HTTPGET, 1L);
    if (has_body) {
        (void)curl_easy_setopt(http->easy, CURLOPT_POSTFIELDS, body != NULL ? body->bytes : "");
        (void)curl_easy_setopt(
            http->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(body != NULL ? body->len : 0));
    }
    (void)curl_easy_setopt(http->easy, CURLOPT_CUSTOMREQUEST, method);
}

/* Everything but method, headers and body, which are set; then runs it. */
static int run(
    struct http *http, const char *path, struct http_answer *ret_answer, struct err *ret_err)
{
    uint64_t started_ns = clock_now_ns();
    struct buf url = {0};
    CURLcode code;
    long status = 0;

    buf_reset(&ret_answer->body, 1U << 20);
    ret_answer->body.limit_bytes = HTTP_ANSWER_MAX_BYTES;
    ret_answer->request_id[0] = '\0';
    ret_answer->retry_after_s = -1;
    http->detail[0] = '\0';
    buf_str(&url, buf_view(&http->base));
    buf_cstr(&url, path);
    buf_char(&url, '\0');
    (void)curl_easy_setopt(http->easy, CURLOPT_URL, url.bytes);
    (void)curl_easy_setopt(http->easy, CURLOPT_HEADERDATA, ret_answer);
    code = perform(http);
    buf_fini(&url);
    if (code != CURLE_OK)
        return explain(http, code, ret_answer, ret_err);
    (void)curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
    ret_answer->status = (int)status;
    ret_answer->elapsed_ns = clock_now_ns() - started_ns;
    return 0;
}

int http_call(struct http *http, const char *method, const char *path, const struct buf *body,
    struct http_answer *ret_answer, struct err *ret_err)
{
    (void)curl_easy_setopt(http->easy, CURLOPT_HTTPHEADER, http->headers);
    (void)curl_easy_setopt(http->easy, CURLOPT_WRITEDATA, ret_answer);
    set_body(http, method, body);
    return run(http, path, ret_answer, ret_err);
}

/* ---- bodies that are not held ---- */

struct moving {
    struct http *http;
    const struct http_transfer *transfer;
    struct http_answer *answer;
};

static size_t on_read(char *bytes, size_t size, size_t count, void *user)
{
    const struct moving *moving = user;
    ssize_t got = moving->transfer->read(moving->transfer->user, bytes, size * count);

    return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

static size_t on_piece(char *bytes, size_t size, size_t count, void *user)
{
    const struct moving *moving = user;
    const struct http_transfer *transfer = moving->transfer;
    long status = 0;

    (void)curl_easy_getinfo(moving->http->easy, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->write == NULL || status != 200)
        return on_body(bytes, size, count, moving->answer);
    return transfer->write(transfer->user, bytes, size * count) < 0 ? 0 : size * count;
}

static int on_moved(
    void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    const struct moving *moving = user;
    const struct http_transfer *transfer = moving->transfer;
    bool uploads = transfer->read != NULL;

    if (transfer->progress != NULL)
        transfer->progress(transfer->progress_user, (uint64_t)(uploads ? up : down),
            (uint64_t)(uploads ? MAX(up_total, 0) : MAX(down_total, 0)));
    return 0;
}

/* The usual ones, but for the body's type, and with Expect: an upload that is refused by its head
 * is not sent. */
static struct curl_slist *transfer_headers(
    const struct http *http, const struct http_transfer *transfer)
{
    struct curl_slist *headers = NULL;
    struct buf line = {0};

    for (const struct curl_slist *item = http->headers; item != NULL; item = item->next) {
        if (!str_starts_with_nocase(str_from(item->data), "content-type:") &&
            !str_starts_with_nocase(str_from(item->data), "expect:"))
            headers = curl_slist_append(headers, item->data);
    }
    if (transfer->content_type != NULL) {
        buf_printf(&line, "Content-Type: %s", transfer->content_type);
        buf_char(&line, '\0');
        headers = curl_slist_append(headers, line.bytes);
        buf_fini(&line);
    }
    CHECK(headers != NULL);
    return headers;
}

static void set_upload(struct http *http, const struct http_transfer *transfer, bool on)
{
    bool uploads = on && transfer->read != NULL;

    (void)curl_easy_setopt(http->easy, CURLOPT_UPLOAD, uploads ? 1L : 0L);
    (void)curl_easy_setopt(
        http->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)(uploads ? transfer->upload_bytes : -1));
    (void)curl_easy_setopt(http->easy, CURLOPT_NOPROGRESS, on ? 0L : 1L);
    (void)curl_easy_setopt(http->easy, CURLOPT_WRITEFUNCTION, on ? on_piece : on_body);
}

int http_transfer(struct http *http, const char *method, const char *path,
    const struct http_transfer *transfer, struct http_answer *ret_answer, struct err *ret_err)
{
    struct moving moving = {.http = http, .transfer = transfer, .answer = ret_answer};
    struct curl_slist *headers = transfer_headers(http, transfer);
    int rc;

    (void)curl_easy_setopt(http->easy, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(http->easy, CURLOPT_WRITEDATA, &moving);
    (void)curl_easy_setopt(http->easy, CURLOPT_READDATA, &moving);
    (void)curl_easy_setopt(http->easy, CURLOPT_READFUNCTION, on_read);
    (void)curl_easy_setopt(http->easy, CURLOPT_XFERINFODATA, &moving);
    (void)curl_easy_setopt(http->easy, CURLOPT_XFERINFOFUNCTION, on_moved);
    (void)curl_easy_setopt(http->easy, CURLOPT_HTTPGET, 1L);
    set_upload(http, transfer, true);
    (void)curl_easy_setopt(http->easy, CURLOPT_CUSTOMREQUEST, method);
    rc = run(http, path, ret_answer, ret_err);
    set_upload(http, transfer, false);
    (void)curl_easy_setopt(http->easy, CURLOPT_HTTPHEADER, http->headers);
    curl_slist_free_all(headers);
    return rc;
}

void http_answer_fini(struct http_answer *answer)
{
    buf_fini(&answer->body);
}

void http_path_segment(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("-._~@", *text) != NULL || (*text >= '0' && *text <= '9') ||
            (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z'))
            buf_char(out, *text);
        else
            buf_printf(out, "%%%02X", (unsigned char)*text);
    }
}
