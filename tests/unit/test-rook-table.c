/* Tables: widths as a screen has them, escapes, alignment. */
#include "src/rook/table.h"
#include "src/rook/text.h"
#include "tests/lib/tap.h"

static void add(struct table *table, const char *text, enum table_align align)
{
    table_cell(table, str_from(text), align);
}

/* What the table prints; the caller frees it. */
static char *printed(const struct table *table, enum table_style style, bool headers)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    table_print(table, out, style, headers);
    (void)fclose(out);
    return text;
}

static struct table *two_columns(void)
{
    struct table *table = table_new(2);

    table_head(table, 0, STR_LITERAL("id"));
    table_head(table, 1, STR_LITERAL("name"));
    add(table, "1", TABLE_RIGHT);
    add(table, "日本", TABLE_LEFT);
    add(table, "1000", TABLE_RIGHT);
    add(table, "Jürgen", TABLE_LEFT);
    add(table, "-", TABLE_AS_COLUMN);
    add(table, "-", TABLE_AS_COLUMN);
    return table;
}

static void test_styles(void)
{
    static const struct {
        const char *name;
        enum table_style style;
        bool headers;
        const char *want;
    } cases[] = {
        {"ascii", TABLE_ASCII, true,
            "   id | name\n"
            "------+--------\n"
            "    1 | 日本\n"
            " 1000 | Jürgen\n"
            "    - | -\n"},
        {"unicode", TABLE_UNICODE, true,
            "   id │ name\n"
            "──────┼────────\n"
            "    1 │ 日本\n"
            " 1000 │ Jürgen\n"
            "    - │ -\n"},
        {"plain, for lists", TABLE_PLAIN, true,
            "  id  name\n"
            "   1  日本\n"
            "1000  Jürgen\n"
            "   -  -\n"},
        {"without headings", TABLE_ASCII, false,
            "    1 | 日本\n"
            " 1000 | Jürgen\n"
            "    - | -\n"},
    };
    struct table *table = two_columns();

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = printed(table, cases[i].style, cases[i].headers);
        is_str(text, cases[i].want, cases[i].name);
        free(text);
    }
    is_int(table_columns(table, TABLE_ASCII), 15, "columns of the screen, with margins");
    is_int(table_columns(table, TABLE_PLAIN), 12, "columns of the screen, plain");
    table_free(table);
}

static void test_edges(void)
{
    struct table *table = table_new(0);
    char *text = printed(table, TABLE_ASCII, true);

    is_str(text, "", "no columns print nothing");
    free(text);
    table_free(table);
    table_free(NULL);

    table = table_new(3);
    add(table, "a", TABLE_LEFT);
    add(table, "long", TABLE_LEFT);
    add(table, "x", TABLE_LEFT);
    add(table, "b", TABLE_LEFT);
    add(table, "", TABLE_LEFT);
    add(table, "", TABLE_LEFT);
    text = printed(table, TABLE_PLAIN, false);
    is_str(text, "a  long  x\nb\n", "a plain line ends with its last text");
    free(text);
    table_free(table);

    table = table_new(1);
    table_head(table, 0, STR_LITERAL("x"));
    text = printed(table, TABLE_ASCII, true);
    is_str(text, " x\n---\n", "no rows print the heading");
    free(text);
    table_free(table);
}

static void test_escapes(void)
{
    static const struct {
        const char *name;
        const char *text;
        const char *want;
        size_t columns;
    } cases[] = {
        {"plain", "abc", "abc", 3},
        {"wide", "日本", "日本", 4},
        {"combining", "e\xcc\x81", "e\xcc\x81", 1},
        {"a line break and a tab", "a\nb\tc\r", "a\\nb\\tc\\r", 9},
        {"an escape sequence", "\x1b[31m", "\\x1b[31m", 8},
        {"C1 controls",
            "\xc2\x9b"
            "31m",
            "\\u009b31m", 9},
        {"delete", "\x7f", "\\x7f", 4},
        {"right-to-left override", "\xe2\x80\xae", "\\u202e", 6},
        {"zero width joiner of an emoji", "\xe2\x80\x8d", "\xe2\x80\x8d", 0},
        {"a lone continuation byte", "a\x80", "a\\x80", 5},
        {"a character cut short", "\xe6\x97", "\\xe6\\x97", 8},
        {"an overlong slash", "\xc0\xaf", "\\xc0\\xaf", 8},
        {"a surrogate", "\xed\xa0\x80", "\\xed\\xa0\\x80", 12},
        {"beyond Unicode", "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", 16},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out = {0};
        size_t columns = text_escape(&out, str_from(cases[i].text), TEXT_ONE_LINE);

        buf_char(&out, '\0');
        is_str(out.bytes, cases[i].want, cases[i].name);
        is_int(columns, cases[i].columns, "its columns");
        buf_fini(&out);
    }
}

static void test_nul_and_lines(void)
{
    struct buf out = {0};

    is_int(text_escape(&out, str_make("a\0b", 3), TEXT_ONE_LINE), 6, "a NUL takes four columns");
    buf_char(&out, '\0');
    is_str(out.bytes, "a\\x00b", "a NUL is shown");
    buf_reset(&out, 256);
    is_int(text_escape(&out, STR_LITERAL("abc\nde\tf"), TEXT_KEEP_LINES), 9,
        "columns of the last line, tabs counted");
    buf_char(&out, '\0');
    is_str(out.bytes, "abc\nde\tf", "lines are kept where asked");
    buf_fini(&out);
}

int main(void)
{
    (void)text_init();
    test_styles();
    test_edges();
    test_escapes();
    test_nul_and_lines();
    return done_testing();
}
