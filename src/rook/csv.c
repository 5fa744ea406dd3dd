#include "src/rook/csv.h"

#include <errno.h>

#include "tenants/base/check.h"

void csv_init(struct csv *csv, FILE *in)
{
    *csv = (struct csv){.in = in, .separator = ',', .next_line = 1};
}

void csv_fini(struct csv *csv)
{
    buf_fini(&csv->text);
    buf_fini(&csv->fields);
}

static int next_char(struct csv *csv)
{
    int c = getc(csv->in);

    if (c == '\r') {
        int after = getc(csv->in);
        if (after == '\n')
            c = '\n';
        else if (after != EOF)
            (void)ungetc(after, csv->in);
    }
    if (c == '\n')
        csv->next_line++;
    return c;
}

/* Reads what is inside quotes; returns the character after them. */
static int quoted_field(struct csv *csv)
{
    for (;;) {
        int c = getc(csv->in); /* raw: \r\n inside quotes is data */
        if (c == '\n')
            csv->next_line++;
        if (c == '"') {
            c = next_char(csv);
            if (c != '"')
                return c;
        }
        if (c == EOF)
            return EOF - 1; /* the quote never ended */
        buf_char(&csv->text, (char)c);
    }
}

/* Reads one field; returns the character that ended it. */
static int read_field(struct csv *csv, int c)
{
    struct csv_field field = {.at = csv->text.len};

    if (c == '"') {
        field.quoted = true;
        c = quoted_field(csv);
    }
    while (c != csv->separator && c != '\n' && c != EOF && c != EOF - 1) {
        buf_char(&csv->text, (char)c);
        c = next_char(csv);
    }
    field.len = csv->text.len - field.at;
    buf_append(&csv->fields, &field, sizeof(field));
    return c;
}

int csv_next(struct csv *csv, struct err *ret_err)
{
    int c;

    buf_reset(&csv->text, 1U << 20);
    buf_reset(&csv->fields, 1U << 16);
    do {
        csv->line = csv->next_line;
        c = next_char(csv);
    } while (c == '\n');
    if (c == EOF)
        return ferror(csv->in) != 0 ? err_set_errno(ret_err, ERR_IO, errno, "cannot read the file")
                                    : 0;
    for (;;) {
        c = read_field(csv, c);
        if (c != csv->separator)
            break;
        c = next_char(csv);
    }
    CHECK(!csv->text.failed && !csv->fields.failed);
    if (c == EOF - 1)
        return err_set(ret_err, ERR_BAD_REQUEST, "line %u: a quote is never closed", csv->line);
    return 1;
}

size_t csv_count(const struct csv *csv)
{
    return csv->fields.len / sizeof(struct csv_field);
}

static struct csv_field field_at(const struct csv *csv, size_t field)
{
    struct csv_field result;

    CHECK(field < csv_count(csv));
    memcpy(&result, csv->fields.bytes + field * sizeof(result), sizeof(result));
    return result;
}

struct str csv_text(const struct csv *csv, size_t field)
{
    struct csv_field f = field_at(csv, field);

    return str_make(f.len > 0 ? csv->text.bytes + f.at : "", f.len);
}

bool csv_quoted(const struct csv *csv, size_t field)
{
    return field_at(csv, field).quoted;
}
