/* The dot commands: one table feeds .help, Tab and what runs. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/rook/commands.h"
#include "src/rook/shell.h"
#include "src/rook/text.h"
#include "tenants/base/mem.h"

#define DOT_WORDS_MAX 8

struct dot_words {
    char *text; /* owned, cut into words */
    const char *words[DOT_WORDS_MAX];
    size_t count;
};

struct dot_command {
    const char *name;
    const char *args;
    const char *help;
    size_t least;
    size_t most;
    int (*run)(struct shell *shell, const struct dot_words *words);
};

static const struct dot_command commands[];

/* ---- what they do -------------------------------------------------------------------------- */

static const char *first_text(const json_t *row)
{
    const char *text = json_string_value(json_array_get(row, 0));

    return text != NULL ? text : "";
}

/* Names in columns on a terminal, one per line elsewhere. */
static void print_names(const struct shell *shell, const json_t *rows)
{
    FILE *out = shell->client->show.out;
    size_t room = show_terminal_columns(out);
    size_t widest = 0;
    size_t used = 0;
    size_t i;
    json_t *row;

    json_array_foreach(rows, i, row)
        widest = MAX(widest, strlen(first_text(row)));
    json_array_foreach(rows, i, row) {
        struct buf safe = {0};
        size_t columns = text_escape(&safe, str_from(first_text(row)), TEXT_ONE_LINE);
        bool last = i + 1 == json_array_size(rows) || used + 2 * (widest + 2) > room;

        (void)fprintf(out, "%.*s%*s", STR_ARGS(buf_view(&safe)),
            last ? 0 : (int)(widest + 2 - MIN(columns, widest)), "");
        used += widest + 2;
        if (last) {
            (void)fputc('\n', out);
            used = 0;
        }
        buf_fini(&safe);
    }
}

static int dot_tables(struct shell *shell, const struct dot_words *words)
{
    const char *pattern = words->count > 1 ? words->words[1] : "%";
    struct answer answer = {0};
    int status = shell_ask(shell,
        "SELECT m.name FROM sqlite_schema AS m WHERE m.type IN ('table', 'view') AND m.name LIKE ? "
        "AND " SHELL_USERS_OWN " ORDER BY 1",
        &answer, pattern, NULL);

    if (status == 0)
        print_names(shell, json_object_get(answer.data, "rows"));
    answer_fini(&answer);
    return status;
}

static int dot_schema(struct shell *shell, const struct dot_words *words)
{
    const char *pattern = words->count > 1 ? words->words[1] : "%";
    struct answer answer = {0};
    size_t i;
    json_t *row;
    int status = shell_ask(shell,
        "SELECT m.sql FROM sqlite_schema AS m WHERE m.sql IS NOT NULL AND (m.name LIKE ?1 OR "
        "m.tbl_name LIKE ?1) AND " SHELL_USERS_OWN " ORDER BY m.rowid",
        &answer, pattern, NULL);

    if (status == 0) {
        json_array_foreach(json_object_get(answer.data, "rows"), i, row) {
            struct buf safe = {0};
            (void)text_escape(&safe, str_from(first_text(row)), TEXT_KEEP_LINES);
            (void)fprintf(shell->client->show.out, "%.*s;\n", STR_ARGS(buf_view(&safe)));
            buf_fini(&safe);
        }
        if (words->count > 1 && json_array_size(json_object_get(answer.data, "rows")) == 0)
            status = report(EXIT_REFUSED, "nothing is named '%s'", pattern);
    }
    answer_fini(&answer);
    return status;
}

static int dot_databases(struct shell *shell, const struct dot_words *words)
{
    static const struct show_column columns[] = {
        {"slug", "DATABASE", SHOW_PLAIN},
        {"name", "NAME", SHOW_PLAIN},
        {"status", "STATUS", SHOW_PLAIN},
        {0},
    };
    const char *tenant;
    json_t *list;
    int status = client_use_tenant(shell->client, shell->target.tenant, &tenant);

    (void)words;
    if (status == 0)
        status = fetch_list(shell->client, "/v1/databases", 0, &list);
    if (status != 0)
        return status;
    show_list(&shell->client->show, list, columns);
    json_decref(list);
    return 0;
}

static int dot_open(struct shell *shell, const struct dot_words *words)
{
    struct target before = shell->target;
    struct answer answer = {0};
    int status;

    if (shell->collecting)
        return report(EXIT_REFUSED, "a transaction is open: COMMIT or ROLLBACK first");
    status = client_target(shell->client, words->words[1], &shell->target);
    if (status == 0)
        status = shell_ask(shell, "SELECT 1", &answer, NULL);
    if (status != 0)
        shell->target = before;
    else
        buf_reset(&shell->names, 0);
    answer_fini(&answer);
    return status;
}

static int dot_mode(struct shell *shell, const struct dot_words *words)
{
    enum show_format *format = &shell->client->show.format;

    if (words->count == 1) {
        note(false, "mode: %s", show_format_name(*format));
        return 0;
    }
    if (show_format_parse(words->words[1], format) < 0)
        return report(EXIT_USAGE, ".mode takes auto, table, line, csv, json or jsonl");
    return 0;
}

static int on_or_off(const struct dot_words *words, bool *setting)
{
    const char *word = words->words[1];

    if (words->count == 1) {
        note(false, "%s: %s", words->words[0] + 1, *setting ? "on" : "off");
        return 0;
    }
    if (strcmp(word, "on") != 0 && strcmp(word, "off") != 0)
        return report(EXIT_USAGE, "%s takes on or off", words->words[0]);
    *setting = strcmp(word, "on") == 0;
    return 0;
}

static int dot_timer(struct shell *shell, const struct dot_words *words)
{
    return on_or_off(words, &shell->timer);
}

static int dot_headers(struct shell *shell, const struct dot_words *words)
{
    return on_or_off(words, &shell->client->show.headers);
}

static int dot_null(struct shell *shell, const struct dot_words *words)
{
    shell->client->show.null_text = arena_cstr(&shell->client->arena, str_from(words->words[1]));
    return 0;
}

static int dot_output(struct shell *shell, const struct dot_words *words)
{
    FILE *file = NULL;
    int status = 0;

    if (words->count > 1) {
        file = fopen(words->words[1], "we");
        if (file == NULL)
            return report(EXIT_LOCAL, "cannot write %s: %s", words->words[1], strerror(errno));
    }
    if (shell->output != NULL && fclose(shell->output) != 0)
        status = report(EXIT_LOCAL, "cannot write the output file: %s", strerror(errno));
    shell->output = file;
    shell->client->show.out = file != NULL ? file : stdout;
    return status;
}

static int dot_read(struct shell *shell, const struct dot_words *words)
{
    FILE *file;

    if (shell->depth == SHELL_READ_DEPTH_MAX)
        return report(EXIT_USAGE, ".read is nested more than %d deep", SHELL_READ_DEPTH_MAX);
    file = fopen(words->words[1], "re");
    if (file == NULL)
        return report(EXIT_LOCAL, "cannot read %s: %s", words->words[1], strerror(errno));
    shell->depth++;
    shell_run_file(shell, file);
    shell->depth--;
    (void)fclose(file);
    return 0;
}

static int dot_import(struct shell *shell, const struct dot_words *words)
{
    size_t at = 1;
    uint64_t skip = 0;

    if (strcmp(words->words[1], "--skip") == 0) {
        if (words->count != 5 || str_to_u64(str_from(words->words[2]), &skip) < 0)
            return report(EXIT_USAGE, ".import --skip takes a number, a file and a table");
        at = 3;
    } else if (words->count != 3) {
        return report(EXIT_USAGE, ".import takes a file and a table");
    }
    if (shell->collecting)
        return report(EXIT_REFUSED, "a transaction is open: COMMIT or ROLLBACK first");
    return shell_import(shell, words->words[at], words->words[at + 1], skip);
}

static int dot_connect(struct shell *shell, const struct dot_words *words)
{
    return shell_connect(shell, words->count > 1 ? words->words[1] : NULL);
}

static int dot_quit(struct shell *shell, const struct dot_words *words)
{
    (void)words;
    shell->quit = true;
    return 0;
}

static int dot_help(struct shell *shell, const struct dot_words *words)
{
    FILE *out = shell->client->show.out;

    (void)words;
    for (const struct dot_command *c = commands; c->name != NULL; c++)
        (void)fprintf(out, "%s %-*s %s\n", c->name, (int)(29 - strlen(c->name)), c->args, c->help);
    (void)fputs("\nStatements end with a semicolon. BEGIN … COMMIT is sent as one transaction.\n"
                "Tab completes names and keywords, Ctrl-R searches the history, Ctrl-C stops the\n"
                "running statement or drops the line, Ctrl-D leaves.\n",
        out);
    return 0;
}

static const struct dot_command commands[] = {
    {".help", "", "this list", 0, 1, dot_help},
    {".tables", "[PATTERN]", "tables and views (LIKE pattern)", 0, 1, dot_tables},
    {".schema", "[PATTERN]", "the statements that made them", 0, 1, dot_schema},
    {".databases", "", "the databases of this tenant", 0, 0, dot_databases},
    {".open", "DATABASE", "go to another database", 1, 1, dot_open},
    {".mode", "[MODE]", "auto, table, line, csv, json or jsonl", 0, 1, dot_mode},
    {".headers", "[on|off]", "the line of column names", 0, 1, dot_headers},
    {".nullvalue", "TEXT", "how tables show NULL", 1, 1, dot_null},
    {".timer", "[on|off]", "how long each statement took", 0, 1, dot_timer},
    {".output", "[FILE]", "write results to FILE; without it, here again", 0, 1, dot_output},
    {".read", "FILE", "run the statements of FILE", 1, 1, dot_read},
    {".import", "[--skip N] FILE TABLE", "add the rows of a CSV file to a table", 2, 4, dot_import},
    {".connect", "[CLIENT]", "how libSQL's clients reach this database", 0, 1, dot_connect},
    {".quit", "", "leave (also .exit)", 0, 0, dot_quit},
    {0},
};

/* ---- finding one --------------------------------------------------------------------------- */

/* Words are parted by blanks; '…' and "…" keep theirs. -1: too many, or a quote is open. */
static int split(const char *line, struct dot_words *ret_words)
{
    char *at;

    *ret_words = (struct dot_words){.text = mem_strdup(line)};
    at = ret_words->text;
    for (;;) {
        char *end;

        at += strspn(at, " \t;");
        if (*at == '\0')
            return 0;
        if (ret_words->count == DOT_WORDS_MAX)
            return -1;
        if (*at == '\'' || *at == '"') {
            end = strchr(at + 1, *at);
            if (end == NULL)
                return -1;
            at++;
        } else {
            end = at + strcspn(at, " \t;");
        }
        ret_words->words[ret_words->count++] = at;
        at = *end == '\0' ? end : end + 1;
        *end = '\0';
    }
}

static const struct dot_command *find(const char *name)
{
    const struct dot_command *found = NULL;
    size_t len = strlen(name);

    if (strcmp(name, ".exit") == 0 || strcmp(name, ".q") == 0)
        name = ".quit";
    for (const struct dot_command *c = commands; c->name != NULL; c++) {
        if (strcmp(c->name, name) == 0)
            return c;
        if (len > 1 && strncmp(c->name, name, len) == 0) { /* .sch is enough, when it is one */
            if (found != NULL)
                return NULL;
            found = c;
        }
    }
    return found;
}

void shell_dot(struct shell *shell, const char *line)
{
    const struct dot_command *command;
    struct dot_words words;
    int status;

    if (split(line, &words) < 0 || words.count == 0) {
        shell_failed(shell, report(EXIT_USAGE, "cannot read '%s': a quote is open?", line));
        mem_free(words.text);
        return;
    }
    command = find(words.words[0]);
    if (command == NULL)
        status = report(EXIT_USAGE, "unknown command '%s'; .help lists them", words.words[0]);
    else if (words.count - 1 < command->least || words.count - 1 > command->most)
        status = report(EXIT_USAGE, "usage: %s %s", command->name, command->args);
    else
        status = command->run(shell, &words);
    if (status != 0)
        shell_failed(shell, status);
    mem_free(words.text);
}

void shell_dot_names(struct str word, struct buf *names)
{
    for (const struct dot_command *c = commands; c->name != NULL; c++)
        if (strncmp(c->name, word.ptr, word.len) == 0)
            buf_append(names, c->name, strlen(c->name) + 1);
}
