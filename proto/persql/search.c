/* search: which tables and columns have to do with these words? Lexical, over names and
 * descriptions. */
#include <stdlib.h>

#include "proto/persql/look.h"

#define WORDS_MAX 16
#define HITS_MAX 100
#define HITS_DEFAULT 20

struct hit {
    struct str table;
    struct str column; /* empty: the table itself */
    double score;
};

struct words {
    struct str items[WORDS_MAX];
    size_t count;
};

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c & 0x80) != 0;
}

/* The next run of letters and digits; "line_items" and "lineItems" have two. Empty at the end. */
static struct str next_word(struct str *rest)
{
    size_t from = 0;
    size_t to;
    struct str word;

    while (from < rest->len && !is_word_char(rest->ptr[from]))
        from++;
    to = from;
    while (to < rest->len && is_word_char(rest->ptr[to])) {
        bool hump = to > from && rest->ptr[to] >= 'A' && rest->ptr[to] <= 'Z' &&
                    rest->ptr[to - 1] >= 'a' && rest->ptr[to - 1] <= 'z';

        if (hump)
            break;
        to++;
    }
    word = str_make(rest->ptr + from, to - from);
    *rest = str_make(rest->ptr + to, rest->len - to);
    return word;
}

/* 1 the same (but for a plural), 0.5 one begins with the other, 0 neither. */
static double likeness(struct str a, struct str b)
{
    size_t shorter = MIN(a.len, b.len);
    size_t longer = MAX(a.len, b.len);

    if (shorter == 0 || !str_equal_nocase(str_make(a.ptr, shorter), str_make(b.ptr, shorter)))
        return 0;
    return longer - shorter <= 1 ? 1 : shorter >= 3 ? 0.5 : 0;
}

static double best_likeness(struct str word, struct str text)
{
    double best = 0;

    while (text.len > 0 && best < 1) {
        double one = likeness(word, next_word(&text));

        best = MAX(best, one);
    }
    return best;
}

static double score_of(const struct words *words, struct str name, struct str description)
{
    double score = 0;

    for (size_t i = 0; i < words->count; i++)
        score +=
            best_likeness(words->items[i], name) * 2 + best_likeness(words->items[i], description);
    return words->count == 0 ? 0 : score / (3 * (double)words->count);
}

static int by_score(const void *a, const void *b)
{
    const struct hit *left = a;
    const struct hit *right = b;

    return left->score < right->score ? 1 : left->score > right->score ? -1 : 0;
}

static size_t find_hits(const struct look *look, const struct words *words, struct hit *hits)
{
    size_t count = 0;

    for (size_t i = 0; i < look->schema.table_count; i++) {
        const struct introspect_table *table = &look->schema.tables[i];

        hits[count] = (struct hit){.table = table->name};
        hits[count].score =
            score_of(words, table->name, look_description(look, table->name, str_make(NULL, 0)));
        count += hits[count].score > 0;
        for (size_t at = 0; at < table->column_count; at++) {
            struct str name = table->columns[at].name;

            hits[count] = (struct hit){.table = table->name, .column = name};
            hits[count].score =
                score_of(words, name, look_description(look, table->name, name)) * 0.9;
            count += hits[count].score > 0;
        }
    }
    qsort(hits, count, sizeof(*hits), by_score);
    return count;
}

static size_t hits_wanted(struct exchange *x)
{
    struct str text = http_query_get(&x->http, &x->arena, "limit");
    uint64_t limit = HITS_DEFAULT;

    if (text.len > 0 && str_to_u64(text, &limit) < 0)
        limit = HITS_DEFAULT;
    return (size_t)MIN(limit, (uint64_t)HITS_MAX);
}

static void answer_search(struct exchange *x, const struct look *look)
{
    struct words words = {.count = 0};
    struct str rest = http_query_get(&x->http, &x->arena, "q");
    size_t most = 1;
    size_t count;
    struct hit *hits;
    struct encoder e;

    while (rest.len > 0 && words.count < WORDS_MAX) {
        words.items[words.count] = next_word(&rest);
        words.count += words.items[words.count].len > 0;
    }
    for (size_t i = 0; i < look->schema.table_count; i++)
        most += 1 + look->schema.tables[i].column_count;
    hits = persql_array(x, most, sizeof(*hits));
    if (hits == NULL)
        return;
    count = MIN(find_hits(look, &words, hits), hits_wanted(x));
    persql_begin(x, &e);
    encoder_object(&e);
    encoder_key(&e, "hits");
    encoder_array(&e);
    for (size_t i = 0; i < count; i++) {
        encoder_object(&e);
        encoder_key(&e, "kind");
        encoder_cstring(&e, hits[i].column.len == 0 ? "table" : "column");
        encoder_key(&e, "table");
        encoder_string(&e, hits[i].table);
        if (hits[i].column.len > 0) {
            encoder_key(&e, "column");
            encoder_string(&e, hits[i].column);
        }
        encoder_key(&e, "score");
        encoder_real(&e, (double)(int)(hits[i].score * 1000) / 1000);
        encoder_end(&e);
    }
    encoder_end(&e);
    encoder_end(&e);
    persql_finish(x, &e);
}

void persql_search(struct exchange *x)
{
    if (http_query_get(&x->http, &x->arena, "q").len == 0)
        persql_fail(x, ERR_BAD_REQUEST, "'q' is missing: what to search for");
    else
        look_start(x, INTROSPECT_COLUMNS, true, answer_search);
}
