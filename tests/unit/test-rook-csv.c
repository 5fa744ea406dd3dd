/* Reading CSV. */
#include "src/rook/csv.h"
#include "tests/lib/tap.h"

/* Rows as "a|b" lines; a quoted field is in <>. */
static void read_all(const char *text, char *out, size_t room)
{
    FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    struct err err = ERR_INIT;
    struct csv csv;
    size_t used = 0;
    int got;

    csv_init(&csv, in);
    out[0] = '\0';
    while ((got = csv_next(&csv, &err)) > 0) {
        for (size_t i = 0; i < csv_count(&csv); i++) {
            bool quoted = csv_quoted(&csv, i);
            used += (size_t)snprintf(out + used, room - used, "%s%s%.*s%s", i > 0 ? "|" : "",
                quoted ? "<" : "", STR_ARGS(csv_text(&csv, i)), quoted ? ">" : "");
        }
        used += (size_t)snprintf(out + used, room - used, "\n");
    }
    if (got < 0)
        (void)snprintf(out + used, room - used, "error: %s", err.msg);
    csv_fini(&csv);
    (void)fclose(in);
}

int main(void)
{
    static const struct {
        const char *name;
        const char *text;
        const char *want;
    } cases[] = {
        {"two rows", "a,b\n1,2\n", "a|b\n1|2\n"},
        {"no line break at the end", "a,b\n1,2", "a|b\n1|2\n"},
        {"CRLF", "a,b\r\n1,2\r\n", "a|b\n1|2\n"},
        {"empty fields", ",a,\n", "|a|\n"},
        {"empty lines are skipped", "a\n\n\nb\n", "a\nb\n"},
        {"quotes", "\"a,b\",\"say \"\"hi\"\"\"\n", "<a,b>|<say \"hi\">\n"},
        {"an empty text", "\"\",x\n", "<>|x\n"},
        {"a line break inside quotes", "\"a\nb\r\nc\",d\n", "<a\nb\r\nc>|d\n"},
        {"a quote in the middle", "a\"b,c\n", "a\"b|c\n"},
        {"text after a quoted part", "\"a\"b,c\n", "<ab>|c\n"},
        {"an open quote", "x\n\n\"a\nb", "x\nerror: line 3: a quote is never closed"},
        {"a lone CR", "a\rb,c\n", "a\rb|c\n"},
        {"bytes over 127", "\xff,\xc3\xbc\n", "\xff|\xc3\xbc\n"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[256];
        read_all(cases[i].text, out, sizeof(out));
        is_str(out, cases[i].want, cases[i].name);
    }
    return done_testing();
}
