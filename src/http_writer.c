#include "src/http_writer.h"

#include <stdio.h>
#include <time.h>

bool http_status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

void http_format_date(int64_t wall_ms, char out[HTTP_DATE_BYTES])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;

    (void)gmtime_r(&seconds, &parts);
    (void)snprintf(out, HTTP_DATE_BYTES, "%s, %02u %s %04u %02u:%02u:%02u GMT",
        days[(unsigned)parts.tm_wday % 7], (unsigned)parts.tm_mday % 100,
        months[(unsigned)parts.tm_mon % 12], (unsigned)(parts.tm_year + 1900) % 10000,
        (unsigned)parts.tm_hour % 100, (unsigned)parts.tm_min % 100, (unsigned)parts.tm_sec % 100);
}

static void write_status(struct buf *out, int status)
{
    if (status == 200) {
        buf_literal(out, "HTTP/1.1 200 OK\r\n");
        return;
    }
    buf_literal(out, "HTTP/1.1 ");
    buf_u64(out, (uint64_t)status);
    buf_char(out, ' ');
    buf_cstr(out, http_status_text(status));
    buf_literal(out, "\r\n");
}

static void write_header(struct buf *out, struct str name, struct str value)
{
    buf_str(out, name);
    buf_literal(out, ": ");
    buf_str(out, value);
    buf_literal(out, "\r\n");
}

static void write_framing(struct buf *out, int status, const struct http_head_out *head)
{
    if (!http_status_has_body(status))
        return;
    if (head->framing == HTTP_FRAMING_LENGTH) {
        buf_literal(out, "Content-Length: ");
        buf_u64(out, head->content_length);
        buf_literal(out, "\r\n");
    } else if (head->framing == HTTP_FRAMING_CHUNKED) {
        buf_literal(out, "Transfer-Encoding: chunked\r\n");
    }
}

void http_write_head(
    struct buf *out, const struct http_response *response, const struct http_head_out *head)
{
    write_status(out, response->status);
    if (response->content_type != NULL) {
        buf_literal(out, "Content-Type: ");
        buf_cstr(out, response->content_type);
        buf_literal(out, "\r\n");
    }
    write_framing(out, response->status, head);
    write_header(out, STR_LITERAL("Date"), head->date);
    if (head->request_id.len > 0)
        write_header(out, STR_LITERAL("X-Request-Id"), head->request_id);
    for (size_t i = 0; i < response->header_count; i++)
        write_header(out, response->headers[i].name, response->headers[i].value);
    if (head->allow_origin.len > 0) {
        write_header(out, STR_LITERAL("Access-Control-Allow-Origin"), head->allow_origin);
        buf_literal(out, "Access-Control-Expose-Headers: X-Request-Id, Retry-After\r\n");
        if (!str_is(head->allow_origin, "*"))
            buf_literal(out, "Vary: Origin\r\n");
    }
    if (head->close)
        buf_literal(out, "Connection: close\r\n");
    else if (head->say_keep_alive)
        buf_literal(out, "Connection: keep-alive\r\n");
    buf_literal(out, "\r\n");
}

void http_write_chunk_size(struct buf *out, uint64_t size)
{
    static const char digits[] = "0123456789abcdef";
    int shift = 60;

    while (shift > 0 && (size >> shift) == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        buf_char(out, digits[(size >> shift) & 15]);
    buf_literal(out, "\r\n");
}

void http_write_error_body(
    struct buf *out, const char *message, const char *code, struct str request_id)
{
    buf_literal(out, "{\"success\":false,\"error\":\"");
    buf_cstr(out, message);
    buf_literal(out, "\",\"code\":\"");
    buf_cstr(out, code);
    buf_literal(out, "\",\"requestId\":\"");
    buf_str(out, request_id);
    buf_literal(out, "\"}");
}
