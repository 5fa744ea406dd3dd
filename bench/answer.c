#include "bench/answer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The value of header `name` in a head that ends with CRLF CRLF, or NULL. */
static const char *header_value(const char *head, size_t len, const char *name)
{
    size_t name_len = strlen(name);
    const char *end = head + len;
    const char *line = memchr(head, '\n', len);

    while (line && end - ++line > (ptrdiff_t)name_len) {
        if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':') {
            line += name_len + 1;
            while (*line == ' ')
                line++;
            return line;
        }
        line = memchr(line, '\n', (size_t)(end - line));
    }
    return NULL;
}

static bool head_parse(struct answer *answer, const char *buffer, size_t head_len)
{
    const char *value;

    if (head_len < 16 || memcmp(buffer, "HTTP/1.", 7) != 0)
        return false;
    answer->status = (int)strtol(buffer + 9, NULL, 10);
    value = header_value(buffer, head_len, "connection");
    answer->closes = value && strncasecmp(value, "close", 5) == 0;
    value = header_value(buffer, head_len, "transfer-encoding");
    answer->chunked = value && strncasecmp(value, "chunked", 7) == 0;
    value = header_value(buffer, head_len, "content-length");
    if (value)
        answer->content_len = strtoul(value, NULL, 10);
    else if (!answer->chunked && answer->status != 204 && answer->status != 304)
        return false;
    answer->head_len = head_len;
    answer->scanned = head_len;
    return true;
}

/* Decodes what whole chunks there are, moving each to the end of the body before it. */
static enum answer_state chunks_scan(struct answer *answer, char *buffer, size_t len)
{
    for (;;) {
        char *chunk = buffer + answer->scanned;
        size_t left = len - answer->scanned;
        char *eol = memchr(chunk, '\n', left);
        size_t size, line_len;

        if (!eol)
            return ANSWER_MORE;
        line_len = (size_t)(eol - chunk) + 1;
        size = strtoul(chunk, NULL, 16);
        if (size > SIZE_MAX / 2)
            return ANSWER_BAD;
        if (left < line_len + size + 2)
            return ANSWER_MORE;
        memmove(buffer + answer->head_len + answer->body_len, chunk + line_len, size);
        answer->body_len += size;
        answer->scanned += line_len + size + 2;
        if (size == 0)
            return answer->scanned == len ? ANSWER_DONE : ANSWER_BAD;
    }
}

enum answer_state answer_scan(struct answer *answer, char *buffer, size_t len)
{
    if (answer->head_len == 0) {
        char *blank = memmem(buffer, len, "\r\n\r\n", 4);

        if (!blank)
            return ANSWER_MORE;
        if (!head_parse(answer, buffer, (size_t)(blank - buffer) + 4))
            return ANSWER_BAD;
    }
    if (answer->chunked)
        return chunks_scan(answer, buffer, len);
    answer->body_len = len - answer->head_len;
    if (answer->body_len == answer->content_len)
        return ANSWER_DONE;
    return answer->body_len < answer->content_len ? ANSWER_MORE : ANSWER_BAD;
}
