/* What the load driver believes about an answer, at every place where its bytes may be cut, and the
 * histogram it keeps. A driver that miscounts makes every figure of bench/compare wrong. */
#include "bench/answer.h"
#include "bench/histogram.h"
#include "tests/lib/tap.h"

static const struct {
    const char *name;
    const char *bytes;
    enum answer_state state;
    int status;
    const char *body; /* of ANSWER_DONE */
    bool closes;
} cases[] = {
    {"a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", ANSWER_DONE, 200, "hello",
        false},
    {"a length in other letters", "HTTP/1.1 404 Not Found\r\nA: b\r\ncontent-length:2\r\n\r\n{}",
        ANSWER_DONE, 404, "{}", false},
    {"an empty body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ANSWER_DONE, 200, "", false},
    {"no content", "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", ANSWER_DONE, 204, "", false},
    {"the last answer of a connection",
        "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 1\r\n\r\n!", ANSWER_DONE, 503,
        "!", true},
    {"chunks",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        ANSWER_DONE, 200, "hello", false},
    {"more than was announced", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello", ANSWER_BAD,
        200, NULL, false},
    {"bytes after the last chunk",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1", ANSWER_BAD, 200,
        NULL, false},
    {"no length", "HTTP/1.1 200 OK\r\nX: y\r\n\r\n", ANSWER_BAD, 200, NULL, false},
    {"another protocol", "SSH-2.0-OpenSSH_9.2p1\r\n\r\n", ANSWER_BAD, 0, NULL, false},
};

/* The bytes arrive in two pieces, cut at `cut`. Returns what the whole looks like. */
static enum answer_state scan_cut(
    const char *bytes, size_t cut, char *buffer, struct answer *answer)
{
    size_t len = strlen(bytes);
    enum answer_state state;

    memset(answer, 0, sizeof(*answer));
    memcpy(buffer, bytes, cut);
    state = answer_scan(answer, buffer, cut);
    if (state != ANSWER_MORE)
        return state;
    memcpy(buffer + cut, bytes + cut, len - cut);
    return answer_scan(answer, buffer, len);
}

static void test_cases(void)
{
    char buffer[512];
    struct answer answer;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = strlen(cases[i].bytes);
        bool good = true;

        for (size_t cut = 0; cut <= len && good; cut++) {
            enum answer_state state = scan_cut(cases[i].bytes, cut, buffer, &answer);
            bool early = state == ANSWER_DONE && cases[i].state == ANSWER_BAD && cut < len;

            /* What follows a whole answer is seen only when it arrives with it. */
            good = early || state == cases[i].state;
            if (good && state == ANSWER_DONE && !early) {
                good = answer.status == cases[i].status && answer.closes == cases[i].closes &&
                       answer.body_len == strlen(cases[i].body) &&
                       memcmp(buffer + answer.head_len, cases[i].body, answer.body_len) == 0;
            }
            if (!good)
                (void)printf("# cut at %zu: state %d\n", cut, (int)state);
        }
        ok(good, "%s, cut anywhere", cases[i].name);
    }
}

static void test_histogram(void)
{
    static struct histogram histogram;
    bool close = true;

    is_int((long long)histogram_percentile(&histogram, 0.99), 0, "an empty histogram has no p99");
    for (uint64_t value = 1; value <= 100000; value++)
        histogram_add(&histogram, value * 1000);
    for (int percent = 1; percent <= 100; percent++) {
        double wanted = percent * 1e6;
        double got = (double)histogram_percentile(&histogram, percent / 100.0);

        close = close && got >= wanted * 0.999 && got <= wanted * 1.009;
    }
    ok(close, "every percentile of 1 to 100,000 us is within 0.9 %%");
    is_int((long long)histogram_percentile(&histogram, 1), 100000000, "the highest is the maximum");
    histogram_add(&histogram, UINT64_MAX);
    is_int((long long)histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1,
        "the largest value has the last bucket");
}

int main(void)
{
    test_cases();
    test_histogram();
    return done_testing();
}
