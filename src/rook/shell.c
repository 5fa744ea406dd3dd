#include "src/rook/shell.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/rook/commands.h"
#include "src/rook/file.h"
#include "src/rook/interrupt.h"
#include "src/rook/sqlscan.h"
#include "tenants/base/mem.h"

void shell_failed(struct shell *shell, int status)
{
    if (shell->status == 0)
        shell->status = status;
    if (shell->edit != NULL) {
        interrupt_clear();
        return;
    }
    /* Going on without a server, or against the user's Ctrl-C, helps nobody. */
    if (!shell->keep_going || status == EXIT_UNREACHABLE || status == EXIT_INTERRUPTED)
        shell->stopped = true;
}

int shell_ask(struct shell *shell, const char *sql, struct answer *ret_answer, ...)
{
    struct statement statement = {str_from(sql), 0};
    json_t *params = json_array();
    const char *param;
    va_list args;

    va_start(args, ret_answer);
    for (param = va_arg(args, const char *); param != NULL; param = va_arg(args, const char *))
        (void)json_array_append_new(params, json_string(param));
    va_end(args);
    return sql_query(shell->client, &shell->target, &statement, params, ret_answer);
}

/* ---- one statement ------------------------------------------------------------------------- */

static void remark(struct shell *shell, const json_t *result, uint64_t elapsed_ns)
{
    struct buf text = {0};
    bool people = show_is_for_people(&shell->client->show) && shell->output == NULL;

    if (shell->edit != NULL && people) {
        sql_remark(&text, result);
        if (shell->timer)
            buf_literal(&text, ", ");
    }
    if (shell->timer)
        buf_printf(&text, "%.1f ms", (double)elapsed_ns / 1e6);
    if (text.len > 0)
        note(shell->client->quiet, "(%.*s)", STR_ARGS(buf_view(&text)));
    buf_fini(&text);
}

static void explain_interruption(const struct shell *shell, int status)
{
    if (status == EXIT_INTERRUPTED && shell->edit != NULL)
        note(false, "The server stops the statement, unless it had finished already.");
    else if (status == EXIT_UNREACHABLE)
        note(false,
            "If it was a write, whether it was done is not known: look before repeating it.");
}

static void run_direct(struct shell *shell, const struct statement *statement)
{
    struct answer answer = {0};
    int status = sql_query(shell->client, &shell->target, statement, NULL, &answer);

    if (status == 0) {
        sql_show(shell->client, answer.data);
        remark(shell, answer.data, answer.elapsed_ns);
        if (sql_kind_of(statement->sql.ptr, statement->sql.len) == SQL_KIND_SCHEMA)
            buf_reset(&shell->names, 0);
    } else {
        explain_interruption(shell, status);
        shell_failed(shell, status);
    }
    answer_fini(&answer);
}

static void drop_held(struct shell *shell)
{
    for (size_t i = 0; i < shell->held_count; i++) {
        union {
            const char *in;
            void *out;
        } cast = {.in = shell->held[i].sql.ptr};
        mem_free(cast.out);
    }
    shell->held_count = 0;
    shell->collecting = false;
}

static void begin(struct shell *shell)
{
    if (shell->collecting) {
        shell_failed(
            shell, report(EXIT_REFUSED, "a transaction is open already: COMMIT or ROLLBACK"));
        return;
    }
    shell->collecting = true;
    if (shell->edit != NULL)
        note(shell->client->quiet,
            "Collecting statements: over HTTP a transaction is sent whole, at COMMIT (at most %d "
            "statements); ROLLBACK drops it.",
            SQL_BATCH_MAX);
}

static void hold(struct shell *shell, const struct statement *statement)
{
    struct statement *held = &shell->held[shell->held_count];

    if (shell->held_count == SQL_BATCH_MAX) {
        shell_failed(shell,
            report(EXIT_REFUSED,
                "a transaction holds at most %d statements over HTTP: this one was not added; "
                "COMMIT or ROLLBACK",
                SQL_BATCH_MAX));
        return;
    }
    held->sql.ptr = mem_strndup(statement->sql.ptr, statement->sql.len);
    held->sql.len = statement->sql.len;
    held->line = statement->line;
    shell->held_count++;
}

static void commit(struct shell *shell)
{
    struct answer answer = {0};
    int status;
    size_t i;
    json_t *result;

    if (!shell->collecting) {
        shell_failed(shell, report(EXIT_REFUSED, "no transaction is open"));
        return;
    }
    if (shell->held_count == 0) {
        drop_held(shell);
        return;
    }
    status =
        sql_transaction(shell->client, &shell->target, shell->held, shell->held_count, &answer);
    if (status == 0) {
        json_array_foreach(answer.data, i, result)
            sql_show(shell->client, result);
        if (shell->edit != NULL)
            note(shell->client->quiet, "(committed %zu statement%s, %.1f ms)", shell->held_count,
                shell->held_count == 1 ? "" : "s", (double)answer.elapsed_ns / 1e6);
        buf_reset(&shell->names, 0);
    } else {
        if (status == EXIT_REFUSED || status == EXIT_AUTH)
            note(false, "The transaction was undone as a whole.");
        explain_interruption(shell, status);
        shell_failed(shell, status);
    }
    drop_held(shell);
    answer_fini(&answer);
}

static void roll_back(struct shell *shell)
{
    if (!shell->collecting)
        shell_failed(shell, report(EXIT_REFUSED, "no transaction is open"));
    else if (shell->edit != NULL)
        note(shell->client->quiet, "(dropped %zu statement%s)", shell->held_count,
            shell->held_count == 1 ? "" : "s");
    drop_held(shell);
}

static void run_statement(struct shell *shell, struct statement statement)
{
    switch (sql_kind_of(statement.sql.ptr, statement.sql.len)) {
    case SQL_KIND_BEGIN:
        begin(shell);
        break;
    case SQL_KIND_COMMIT:
        commit(shell);
        break;
    case SQL_KIND_ROLLBACK:
        roll_back(shell);
        break;
    case SQL_KIND_OTHER:
    case SQL_KIND_SCHEMA:
        if (shell->collecting)
            hold(shell, &statement);
        else
            run_direct(shell, &statement);
        break;
    }
    (void)fflush(shell->client->show.out);
}

/* ---- lines --------------------------------------------------------------------------------- */

static unsigned count_lines(const char *text, size_t len)
{
    unsigned lines = 0;

    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    return lines;
}

static void remember(struct shell *shell, struct str text)
{
    char *flat;

    if (shell->edit == NULL || text.len == 0)
        return;
    flat = mem_alloc(text.len + 1);
    if (!sql_flatten(text.ptr, text.len, flat)) {
        memcpy(flat, text.ptr, text.len);
        flat[text.len] = '\0';
    }
    edit_remember(shell->edit, flat);
    mem_free(flat);
}

static bool ends(const struct shell *shell)
{
    return shell->quit || shell->stopped;
}

/* Runs every statement of `pending` that is complete, keeps the rest. */
static void run_pending(struct shell *shell)
{
    struct buf *text = &shell->pending;
    struct sql_piece piece;
    size_t at = 0;

    while (!ends(shell) && sql_next(text->bytes, text->len, at, &piece) == SQL_COMPLETE) {
        struct str sql = str_make(text->bytes + piece.start, piece.end - piece.start);
        unsigned line = shell->pending_line + count_lines(text->bytes, piece.start);

        remember(shell, sql);
        run_statement(shell, (struct statement){sql, shell->edit == NULL ? line : 0});
        at = piece.end;
    }
    if (sql_next(text->bytes, text->len, at, &piece) == SQL_NOTHING && piece.open == SQL_OPEN_NONE)
        at = text->len;
    shell->pending_line += count_lines(text->bytes, at);
    buf_consume(text, at);
}

static void run_line(struct shell *shell, struct str line)
{
    if (shell->pending.len == 0) {
        shell->pending_line = shell->line;
        if (line.len > 0 && line.ptr[0] == '.') {
            char *command = mem_strndup(line.ptr, line.len);
            if (shell->edit != NULL)
                edit_remember(shell->edit, command);
            shell_dot(shell, command);
            mem_free(command);
            return;
        }
    }
    buf_str(&shell->pending, line);
    buf_char(&shell->pending, '\n');
    /* A script's long statement is looked at once it can have ended, not at each of its lines. */
    if (shell->edit != NULL || memchr(line.ptr, ';', line.len) != NULL || shell->pending.len < 4096)
        run_pending(shell);
}

/* The end of a script: its last statement needs no semicolon. */
static void end_pending(struct shell *shell)
{
    static const char *const inside[] = {
        [SQL_OPEN_NONE] = "",
        [SQL_OPEN_STRING] = "a string",
        [SQL_OPEN_NAME] = "a quoted name",
        [SQL_OPEN_COMMENT] = "a comment",
        [SQL_OPEN_TRIGGER] = "a trigger (END; is missing)",
    };
    struct sql_piece piece;
    enum sql_found found;

    run_pending(shell);
    found = sql_next(shell->pending.bytes, shell->pending.len, 0, &piece);
    if (!ends(shell) && piece.open != SQL_OPEN_NONE) {
        shell_failed(
            shell, report(EXIT_REFUSED, "the input ends inside %s; the statement begins at line %u",
                       inside[piece.open],
                       shell->pending_line + count_lines(shell->pending.bytes, piece.start)));
    } else if (!ends(shell) && found == SQL_PARTIAL) {
        struct str sql = str_make(shell->pending.bytes + piece.start, piece.end - piece.start);
        while (sql.ptr[sql.len - 1] == '\n')
            sql.len--;
        run_statement(
            shell, (struct statement){
                       sql, shell->pending_line + count_lines(shell->pending.bytes, piece.start)});
    }
    buf_reset(&shell->pending, 0);
}

void shell_run_file(struct shell *shell, FILE *in)
{
    struct buf outer_pending = shell->pending;
    struct edit *outer_edit = shell->edit;
    unsigned outer_line = shell->line;
    char *line = NULL;
    size_t room = 0;
    ssize_t got;

    /* What a file says is a script's: it stops at its first error, and is not remembered. */
    shell->pending = (struct buf){0};
    shell->edit = NULL;
    shell->line = 0;
    while (!ends(shell) && (got = getline(&line, &room, in)) >= 0) {
        struct str text = str_make(line, (size_t)got);

        shell->line++;
        if (text.len > 0 && text.ptr[text.len - 1] == '\n')
            text.len--;
        if (text.len > 0 && text.ptr[text.len - 1] == '\r')
            text.len--;
        if (shell->line == 1 && str_starts_with(text, "\xef\xbb\xbf")) {
            text.ptr += 3; /* a byte order mark */
            text.len -= 3;
        }
        run_line(shell, text);
        if (interrupt_pending())
            shell_failed(shell, EXIT_INTERRUPTED);
    }
    if (!ends(shell) && ferror(in) != 0)
        shell_failed(shell, report(EXIT_LOCAL, "cannot read the input: %s", strerror(errno)));
    end_pending(shell);
    mem_free(line);
    buf_fini(&shell->pending);
    shell->pending = outer_pending;
    shell->edit = outer_edit;
    shell->line = outer_line;
}

/* ---- at a terminal ------------------------------------------------------------------------- */

static const char *prompt(const struct shell *shell, struct buf *out)
{
    static const char *const marks[] = {
        [SQL_OPEN_NONE] = "...",
        [SQL_OPEN_STRING] = "'..",
        [SQL_OPEN_NAME] = "\"..",
        [SQL_OPEN_COMMENT] = "/*.",
        [SQL_OPEN_TRIGGER] = "END",
    };
    size_t width;

    buf_reset(out, 4096);
    buf_printf(
        out, "%s/%s%s", shell->target.tenant, shell->target.database, shell->collecting ? "*" : "");
    width = out->len;
    if (shell->pending.len > 0) {
        struct sql_piece piece;
        (void)sql_next(shell->pending.bytes, shell->pending.len, 0, &piece);
        buf_reset(out, 4096);
        buf_printf(out, "%*s", (int)MAX(width, 3), marks[piece.open]);
    }
    buf_literal(out, "> ");
    buf_char(out, '\0');
    return out->bytes;
}

static int greet(struct shell *shell)
{
    struct answer answer = {0};
    int status = shell_ask(shell, "SELECT sqlite_version()", &answer, NULL);
    const json_t *row;

    if (status != 0)
        return status;
    row = json_array_get(json_object_get(answer.data, "rows"), 0);
    note(shell->client->quiet, "%s/%s at %s, SQLite %s. Type .help for help, Ctrl-D to leave.",
        shell->target.tenant, shell->target.database, shell->client->opened_url,
        json_string_value(json_array_get(row, 0)) != NULL
            ? json_string_value(json_array_get(row, 0))
            : "?");
    answer_fini(&answer);
    return 0;
}

static void forget_line(struct shell *shell)
{
    buf_reset(&shell->pending, 0);
}

static void run_terminal(struct shell *shell)
{
    struct buf line = {0};
    struct buf prompt_text = {0};

    while (!shell->quit) {
        enum edit_result result = edit_line(shell->edit, prompt(shell, &prompt_text), &line);

        if (result == EDIT_INTERRUPTED) {
            forget_line(shell);
            continue;
        }
        if (result == EDIT_END)
            break;
        shell->line++;
        shell->stopped = false; /* by the script of a .read */
        run_line(shell, buf_view(&line));
    }
    buf_fini(&line);
    buf_fini(&prompt_text);
}

static int run_interactively(struct shell *shell)
{
    struct client *client = shell->client;
    const char *history = profile_path(&client->arena, "XDG_STATE_HOME", ".local/state", "history");
    struct err err = ERR_INIT;
    int status = greet(shell);

    if (status != 0)
        return status;
    if (history != NULL && file_make_folder_of(history, &err) < 0) {
        note(client->quiet, "no history is kept: %s", err.msg);
        history = NULL;
    }
    shell->edit = edit_new(history, shell_complete, shell);
    run_terminal(shell);
    edit_free(shell->edit);
    if (shell->collecting && shell->held_count > 0)
        note(false, "The open transaction was dropped; nothing of it was sent.");
    return EXIT_OK;
}

int shell_run(struct shell *shell)
{
    int status;

    if (isatty(STDIN_FILENO) != 0) {
        status = run_interactively(shell);
    } else {
        shell_run_file(shell, stdin);
        if (shell->collecting && shell->status == 0)
            shell->status = report(EXIT_REFUSED,
                "the script ends inside a transaction (BEGIN without COMMIT): it was not sent");
        status = shell->status;
    }
    drop_held(shell);
    buf_fini(&shell->pending);
    buf_fini(&shell->names);
    return status;
}

int cmd_db_shell(struct client *client, const struct args *args)
{
    struct shell *shell = mem_zalloc(sizeof(*shell));
    int status = client_target(client, args_word(args, 0), &shell->target);

    shell->client = client;
    shell->keep_going = args_get(args, "keep-going") != NULL;
    shell->timer = args_get(args, "timer") != NULL || isatty(STDIN_FILENO) != 0;
    if (status == 0)
        status = shell_run(shell);
    if (shell->output != NULL && fclose(shell->output) != 0 && status == 0)
        status = report(EXIT_LOCAL, "cannot write the output file: %s", strerror(errno));
    client->show.out = stdout;
    mem_free(shell);
    return status;
}
