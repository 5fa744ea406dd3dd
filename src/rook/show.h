/* How results reach the user: tables for eyes, CSV and JSON for programs.
 *
 *   table   aligned columns                     line   one `column = value` per line
 *   auto    table, or line where the table is wider than the terminal
 *   csv     RFC 4180; NULL is empty, an empty text is ""
 *   json    the `data` of the server's answer, as it came
 *   jsonl   one JSON object per row and line
 *
 * Threads: main.   Errors: none; what could not be written is found by ferror() at the end. */
#ifndef SRC_ROOK_SHOW_H
#define SRC_ROOK_SHOW_H

#include <stdio.h>

#include "src/rook/json.h"

enum show_format {
    SHOW_AUTO,
    SHOW_TABLE,
    SHOW_LINE,
    SHOW_CSV,
    SHOW_JSON,
    SHOW_JSONL,
};

struct show {
    FILE *out; /* borrowed */
    enum show_format format;
    bool headers;
    bool unicode;          /* lines of tables may be drawn with more than ASCII */
    const char *null_text; /* of NULL in tables */
};

/* -1 for a word that is none of the names above. */
int show_format_parse(const char *name, enum show_format *ret_format) MUST_CHECK;
const char *show_format_name(enum show_format format);

/* True when people read what is printed, not programs. */
bool show_is_for_people(const struct show *show);

/* Columns of the terminal that `file` is, or 0. */
size_t show_terminal_columns(FILE *file);

/* A query's result: {columns, rows, …}. */
void show_result(const struct show *show, const json_t *result);

/* How one member of an object is shown. */
enum show_kind {
    SHOW_PLAIN,
    SHOW_BYTES,    /* 1.5 MiB */
    SHOW_TIME,     /* 2026-05-05 12:30:00Z */
    SHOW_DURATION, /* seconds: 2 d 3 h */
};

/* A column of a list; a table of these ends with a NULL key. */
struct show_column {
    const char *key; /* a member, or "usage.bytes" for one inside another */
    const char *heading;
    enum show_kind kind;
};

/* An array of objects. JSON formats print the objects whole. */
void show_list(const struct show *show, const json_t *list, const struct show_column *columns);
/* One object, as `heading: value` lines; members that are absent or null are left out. */
void show_object(const struct show *show, const json_t *object, const struct show_column *columns);
/* Any JSON value, nested objects as indented lines: for answers whose members may grow. */
void show_tree(const struct show *show, const json_t *value);

#endif
