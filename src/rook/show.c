#include "src/rook/show.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "src/rook/table.h"
#include "src/rook/text.h"
#include "src/rook/value.h"

static const char *const format_names[] = {
    [SHOW_AUTO] = "auto",
    [SHOW_TABLE] = "table",
    [SHOW_LINE] = "line",
    [SHOW_CSV] = "csv",
    [SHOW_JSON] = "json",
    [SHOW_JSONL] = "jsonl",
};

int show_format_parse(const char *name, enum show_format *ret_format)
{
    for (size_t i = 0; i < ARRAY_LEN(format_names); i++) {
        if (strcmp(name, format_names[i]) == 0) {
            *ret_format = (enum show_format)i;
            return 0;
        }
    }
    return -1;
}

const char *show_format_name(enum show_format format)
{
    return format_names[format];
}

bool show_is_for_people(const struct show *show)
{
    return show->format <= SHOW_LINE;
}

size_t show_terminal_columns(FILE *file)
{
    struct winsize size;

    if (isatty(fileno(file)) == 0)
        return 0;
    if (ioctl(fileno(file), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

static void put(const struct show *show, const struct buf *text)
{
    (void)fwrite(text->bytes, 1, text->len, show->out);
}

static void put_json(const struct show *show, const json_t *value)
{
    struct buf text = {0};
    bool line = show->format == SHOW_JSONL || isatty(fileno(show->out)) == 0;

    json_write(&text, value, line ? JSON_LAYOUT_LINE : JSON_LAYOUT_INDENT);
    buf_char(&text, '\n');
    put(show, &text);
    buf_fini(&text);
}

static void put_csv_field(const struct show *show, struct str text, bool last)
{
    bool quote = text.len == 0;

    for (size_t i = 0; i < text.len && !quote; i++)
        quote = text.ptr[i] != '\0' && strchr(",\"\r\n", text.ptr[i]) != NULL;
    if (quote)
        (void)fputc('"', show->out);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"')
            (void)fputc('"', show->out);
        (void)fputc(text.ptr[i], show->out);
    }
    if (quote)
        (void)fputc('"', show->out);
    (void)fputc(last ? '\n' : ',', show->out);
}

/* NULL is empty, an empty text is "". */
static void put_csv_null(const struct show *show, bool last)
{
    (void)fputc(last ? '\n' : ',', show->out);
}

/* ---- query results ------------------------------------------------------------------------- */

static size_t result_columns(const json_t *result)
{
    return json_array_size(json_object_get(result, "columns"));
}

static struct str column_name(const json_t *result, size_t column)
{
    return json_str(json_array_get(json_object_get(result, "columns"), column));
}

static void result_csv(const struct show *show, const json_t *result)
{
    size_t columns = result_columns(result);
    size_t i;
    json_t *row;

    for (size_t c = 0; c < columns && show->headers; c++)
        put_csv_field(show, column_name(result, c), c + 1 == columns);
    json_array_foreach(json_object_get(result, "rows"), i, row) {
        for (size_t c = 0; c < columns; c++) {
            const json_t *value = json_array_get(row, c);
            struct buf text = {0};

            if (value == NULL || json_is_null(value)) {
                put_csv_null(show, c + 1 == columns);
                continue;
            }
            value_write(&text, value, VALUE_CSV, "");
            put_csv_field(show, buf_view(&text), c + 1 == columns);
            buf_fini(&text);
        }
    }
}

/* A name that two columns share is written twice: dropping a value would be worse. */
static void result_jsonl(const struct show *show, const json_t *result)
{
    size_t columns = result_columns(result);
    size_t i;
    json_t *row;

    json_array_foreach(json_object_get(result, "rows"), i, row) {
        struct buf text = {0};

        buf_char(&text, '{');
        for (size_t c = 0; c < columns; c++) {
            if (c > 0)
                buf_char(&text, ',');
            json_write(
                &text, json_array_get(json_object_get(result, "columns"), c), JSON_LAYOUT_LINE);
            buf_char(&text, ':');
            json_write(&text, json_array_get(row, c), JSON_LAYOUT_LINE);
        }
        buf_literal(&text, "}\n");
        put(show, &text);
        buf_fini(&text);
    }
}

static void pad(const struct show *show, size_t columns)
{
    while (columns-- > 0)
        (void)fputc(' ', show->out);
}

static void result_line(const struct show *show, const json_t *result)
{
    size_t columns = result_columns(result);
    size_t widest = 0;
    size_t i;
    json_t *row;

    for (size_t c = 0; c < columns; c++) {
        struct buf name = {0};
        widest = MAX(widest, text_escape(&name, column_name(result, c), TEXT_ONE_LINE));
        buf_fini(&name);
    }
    json_array_foreach(json_object_get(result, "rows"), i, row) {
        if (i > 0)
            (void)fputc('\n', show->out);
        for (size_t c = 0; c < columns; c++) {
            struct buf text = {0};
            struct buf safe = {0};

            pad(show, widest - text_escape(&safe, column_name(result, c), TEXT_ONE_LINE));
            value_write(&text, json_array_get(row, c), VALUE_SHOWN, show->null_text);
            buf_literal(&safe, " = ");
            (void)text_escape(&safe, buf_view(&text), TEXT_KEEP_LINES);
            buf_char(&safe, '\n');
            put(show, &safe);
            buf_fini(&safe);
            buf_fini(&text);
        }
    }
}

static enum table_align align_of(const json_t *value)
{
    if (value == NULL || json_is_null(value))
        return TABLE_AS_COLUMN;
    return value_is_number(value) ? TABLE_RIGHT : TABLE_LEFT;
}

static struct table *result_table(const struct show *show, const json_t *result)
{
    size_t columns = result_columns(result);
    struct table *table = table_new(columns);
    size_t i;
    json_t *row;

    for (size_t c = 0; c < columns; c++)
        table_head(table, c, column_name(result, c));
    json_array_foreach(json_object_get(result, "rows"), i, row) {
        for (size_t c = 0; c < columns; c++) {
            const json_t *value = json_array_get(row, c);
            struct buf text = {0};

            value_write(&text, value, VALUE_SHOWN, show->null_text);
            table_cell(table, buf_view(&text), align_of(value));
            buf_fini(&text);
        }
    }
    return table;
}

static void result_aligned(const struct show *show, const json_t *result)
{
    enum table_style style = show->unicode ? TABLE_UNICODE : TABLE_ASCII;
    struct table *table = result_table(show, result);
    size_t room = show_terminal_columns(show->out);

    if (show->format == SHOW_AUTO && room > 0 && table_columns(table, style) > room)
        result_line(show, result);
    else
        table_print(table, show->out, style, show->headers);
    table_free(table);
}

void show_result(const struct show *show, const json_t *result)
{
    switch (show->format) {
    case SHOW_JSON:
        put_json(show, result);
        break;
    case SHOW_JSONL:
        result_jsonl(show, result);
        break;
    case SHOW_CSV:
        if (result_columns(result) > 0)
            result_csv(show, result);
        break;
    case SHOW_LINE:
        result_line(show, result);
        break;
    case SHOW_AUTO:
    case SHOW_TABLE:
        if (result_columns(result) > 0)
            result_aligned(show, result);
        break;
    }
}

/* ---- objects ------------------------------------------------------------------------------- */

/* "usage.bytes" is the member bytes of the member usage. */
static const json_t *find_member(const json_t *object, const char *key)
{
    const char *dot = strchr(key, '.');
    char outer[64];

    if (dot == NULL || (size_t)(dot - key) >= sizeof(outer))
        return json_object_get(object, key);
    memcpy(outer, key, (size_t)(dot - key));
    outer[dot - key] = '\0';
    return find_member(json_object_get(object, outer), dot + 1);
}

static void write_bytes(struct buf *out, int64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < ARRAY_LEN(units)) {
        value /= 1024;
        unit++;
    }
    buf_printf(out, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

static void write_duration(struct buf *out, int64_t seconds)
{
    if (seconds >= 86400)
        buf_printf(out, "%lld d %lld h", (long long)(seconds / 86400),
            (long long)(seconds % 86400 / 3600));
    else if (seconds >= 3600)
        buf_printf(
            out, "%lld h %lld min", (long long)(seconds / 3600), (long long)(seconds % 3600 / 60));
    else if (seconds >= 60)
        buf_printf(out, "%lld min %lld s", (long long)(seconds / 60), (long long)(seconds % 60));
    else
        buf_printf(out, "%lld s", (long long)seconds);
}

/* 2026-05-05T12:30:00.000Z without what nobody reads. */
static void write_time(struct buf *out, struct str text)
{
    if (text.len < 20 || text.ptr[10] != 'T' || text.ptr[text.len - 1] != 'Z') {
        buf_str(out, text);
        return;
    }
    buf_append(out, text.ptr, 10);
    buf_char(out, ' ');
    buf_append(out, text.ptr + 11, 8);
    buf_char(out, 'Z');
}

static void write_list(struct buf *out, const json_t *list)
{
    size_t i;
    json_t *item;

    json_array_foreach(list, i, item) {
        if (i > 0)
            buf_literal(out, ", ");
        value_write(out, item, VALUE_SHOWN, "");
    }
}

static void write_member(
    const struct show *show, struct buf *out, const json_t *value, enum show_kind kind)
{
    bool people = show_is_for_people(show);

    if (people && kind == SHOW_BYTES && json_is_integer(value))
        write_bytes(out, json_integer_value(value));
    else if (people && kind == SHOW_DURATION && json_is_number(value))
        write_duration(out, (int64_t)json_number_value(value));
    else if (people && kind == SHOW_TIME && json_is_string(value))
        write_time(out, json_str(value));
    else if (json_is_boolean(value))
        buf_cstr(out, json_is_true(value) ? "yes" : "no");
    else if (json_is_array(value))
        write_list(out, value);
    else
        value_write(out, value, VALUE_SHOWN, "");
}

static void list_csv(const struct show *show, const json_t *list, const struct show_column *columns)
{
    size_t i;
    json_t *object;

    for (const struct show_column *c = columns; c->key != NULL && show->headers; c++)
        put_csv_field(show, str_from(c->key), c[1].key == NULL);
    json_array_foreach(list, i, object) {
        for (const struct show_column *c = columns; c->key != NULL; c++) {
            const json_t *value = find_member(object, c->key);
            struct buf text = {0};

            if (value == NULL || json_is_null(value)) {
                put_csv_null(show, c[1].key == NULL);
                continue;
            }
            write_member(show, &text, value, c->kind);
            put_csv_field(show, buf_view(&text), c[1].key == NULL);
            buf_fini(&text);
        }
    }
}

static void list_table(
    const struct show *show, const json_t *list, const struct show_column *columns)
{
    size_t count = 0;
    struct table *table;
    size_t i;
    json_t *object;

    while (columns[count].key != NULL)
        count++;
    table = table_new(count);
    for (size_t c = 0; c < count; c++)
        table_head(table, c, str_from(columns[c].heading));
    json_array_foreach(list, i, object) {
        for (size_t c = 0; c < count; c++) {
            const json_t *value = find_member(object, columns[c].key);
            struct buf text = {0};

            write_member(show, &text, value, columns[c].kind);
            table_cell(table, buf_view(&text), align_of(value));
            buf_fini(&text);
        }
    }
    table_print(table, show->out, TABLE_PLAIN, show->headers);
    table_free(table);
}

void show_list(const struct show *show, const json_t *list, const struct show_column *columns)
{
    size_t i;
    json_t *object;

    switch (show->format) {
    case SHOW_JSON:
        put_json(show, list);
        break;
    case SHOW_JSONL:
        json_array_foreach(list, i, object)
            put_json(show, object);
        break;
    case SHOW_CSV:
        list_csv(show, list, columns);
        break;
    case SHOW_LINE:
        json_array_foreach(list, i, object) {
            if (i > 0)
                (void)fputc('\n', show->out);
            show_object(show, object, columns);
        }
        break;
    case SHOW_AUTO:
    case SHOW_TABLE:
        list_table(show, list, columns);
        break;
    }
}

void show_object(const struct show *show, const json_t *object, const struct show_column *columns)
{
    size_t widest = 0;

    if (!show_is_for_people(show)) {
        json_t *list = json_pack("[O]", object);
        if (show->format == SHOW_CSV)
            list_csv(show, list, columns);
        else
            put_json(show, object);
        json_decref(list);
        return;
    }
    for (const struct show_column *c = columns; c->key != NULL; c++)
        widest = MAX(widest, strlen(c->heading));
    for (const struct show_column *c = columns; c->key != NULL; c++) {
        const json_t *value = find_member(object, c->key);
        struct buf text = {0};
        struct buf safe = {0};

        if (value == NULL || json_is_null(value))
            continue;
        write_member(show, &text, value, c->kind);
        (void)text_escape(&safe, buf_view(&text), TEXT_ONE_LINE);
        (void)fprintf(show->out, "%s:%*s ", c->heading, (int)(widest - strlen(c->heading)), "");
        put(show, &safe);
        (void)fputc('\n', show->out);
        buf_fini(&safe);
        buf_fini(&text);
    }
}

static void tree(const struct show *show, const json_t *object, int depth)
{
    union {
        const json_t *in;
        json_t *out;
    } cast = {.in = object};
    const char *key;
    json_t *value;

    json_object_foreach(cast.out, key, value) {
        bool nested = json_is_object(value) && json_object_size(value) > 0;
        bool bytes = strstr(key, "ytes") != NULL;
        bool seconds = strstr(key, "Seconds") != NULL || strstr(key, "seconds") != NULL;
        struct buf text = {0};

        if (!nested)
            write_member(show, &text, value,
                bytes     ? SHOW_BYTES
                : seconds ? SHOW_DURATION
                          : SHOW_PLAIN);
        (void)fprintf(show->out, "%*s%s:%s", depth * 2, "", key, nested ? "\n" : " ");
        if (nested) {
            tree(show, value, depth + 1);
        } else {
            struct buf safe = {0};
            (void)text_escape(&safe, buf_view(&text), TEXT_ONE_LINE);
            buf_char(&safe, '\n');
            put(show, &safe);
            buf_fini(&safe);
        }
        buf_fini(&text);
    }
}

void show_tree(const struct show *show, const json_t *value)
{
    if (show_is_for_people(show))
        tree(show, value, 0);
    else
        put_json(show, value);
}
