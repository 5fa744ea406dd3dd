/* The command line: one table of commands feeds parsing, `--help`, `rook help COMMAND` and the
 * check that the manual names them all.
 *
 * Options may stand anywhere after the command (global ones before it too), as `--name value` or
 * `--name=value`; `--` ends them. A word like -5 or -1.5 is an argument, not an option, so that
 * numbers can be parameters: that is why this is not getopt_long().
 *
 * Threads: main.   Memory: everything points into argv. */
#ifndef SRC_ROOK_COMMAND_H
#define SRC_ROOK_COMMAND_H

#include <stdio.h>

#include "tenants/base/err.h"

#define COMMAND_ARGS_MAX 1024

struct client;
struct args;

struct option_spec {
    const char *name;  /* without "--"; NULL ends the table */
    const char *value; /* what --help calls its value; NULL: a flag */
    const char *help;
};

struct command {
    const char *name;    /* "db create"; NULL ends the table */
    const char *args;    /* "DATABASE [SQL] KEY=VALUE...": [may be left out], may be more... */
    const char *summary; /* one line */
    const char *details; /* lines of `rook help COMMAND`; NULL: none */
    const struct option_spec *options; /* its own; NULL: none */
    int (*run)(struct client *client, const struct args *args);
};

struct given_option {
    const struct option_spec *spec;
    const char *value; /* "" of a flag */
};

struct args {
    const struct command *command; /* NULL: none was named */
    bool help;
    bool version;
    const char *words[COMMAND_ARGS_MAX];
    size_t word_count;
    struct given_option options[COMMAND_ARGS_MAX];
    size_t option_count;
};

extern const struct command command_table[]; /* command_table.c; groups by their first word */
extern const struct option_spec global_options[];

/* Errors: ERR_BAD_REQUEST, a line that says what is wrong and what was perhaps meant. */
int command_parse(int argc, char **argv, struct args *ret_args, struct err *ret_err) MUST_CHECK;

/* The value of the last `--name` given; NULL when it was not. Flags: "" when given. */
const char *args_get(const struct args *args, const char *name);
/* Walks all values of a repeatable option: *at begins at 0. NULL at the end. */
const char *args_next(const struct args *args, const char *name, size_t *at);
/* The i-th word after the command, or NULL. */
const char *args_word(const struct args *args, size_t i);
/* `--name` as a whole number. 0 and *ret_value untouched when it was not given. */
int args_integer(const struct args *args, const char *name, int64_t *ret_value, struct err *ret_err)
    MUST_CHECK;

/* All commands, global options, environment and exit statuses. */
void command_help_all(FILE *out);
/* A command, a group ("db"), or a command's alias. False when there is none of that name. */
bool command_help(FILE *out, const char *name);

#endif
