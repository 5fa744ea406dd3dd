/* query, stats: one question, one answer. */
#include <unistd.h>

#include "src/rook/commands.h"
#include "src/rook/file.h"
#include "src/rook/sqlcall.h"
#include "src/rook/value.h"

#define SQL_FILE_MAX_BYTES (64U << 20)

/* The statement from the command line, --file, or standard input. */
static int read_sql(const struct args *args, struct buf *out, size_t *ret_first_param)
{
    const char *path = args_get(args, "file");
    const char *word = args_word(args, 1);
    struct err err = ERR_INIT;

    *ret_first_param = path != NULL ? 1 : 2;
    if (path == NULL && word != NULL && strcmp(word, "-") != 0) {
        buf_cstr(out, word);
        return 0;
    }
    if (path == NULL && word == NULL && isatty(STDIN_FILENO) != 0)
        return report(
            EXIT_USAGE, "no SQL was given; for a shell: rook db shell %s", args_word(args, 0));
    if (file_read(path != NULL ? path : "-", out, &err) < 0)
        return report_err(&err);
    return 0;
}

static int params_from_json(const char *text, json_t **ret_params)
{
    struct buf bytes = {.limit_bytes = SQL_FILE_MAX_BYTES};
    struct err err = ERR_INIT;

    if (text[0] != '@')
        buf_cstr(&bytes, text);
    else if (file_read(text + 1, &bytes, &err) < 0)
        return report_err(&err);
    *ret_params = json_read(buf_view(&bytes), &err);
    buf_fini(&bytes);
    if (*ret_params == NULL)
        return report(EXIT_USAGE, "--params-json: %s", err.msg);
    if (!json_is_array(*ret_params) && !json_is_object(*ret_params))
        return report(EXIT_USAGE, "--params-json takes an array or an object");
    return 0;
}

static int read_params(const struct args *args, size_t first, json_t **ret_params)
{
    const char *json = args_get(args, "params-json");
    struct err err = ERR_INIT;

    if (json != NULL && args->word_count > first)
        return report(EXIT_USAGE, "parameters are given twice: as arguments and by --params-json");
    if (json != NULL)
        return params_from_json(json, ret_params);
    for (size_t i = first; i < args->word_count; i++)
        if (value_add_param(ret_params, args->words[i], &err) < 0)
            return report_err(&err);
    return 0;
}

/* A write prints no rows: say what it did. */
static void print_remark(const struct client *client, const json_t *result)
{
    struct buf remark = {0};

    sql_remark(&remark, result);
    note(client->quiet, "%.*s", STR_ARGS(buf_view(&remark)));
    buf_fini(&remark);
}

int cmd_query(struct client *client, const struct args *args)
{
    struct buf sql = {.limit_bytes = SQL_FILE_MAX_BYTES};
    struct answer answer = {0};
    struct target target;
    json_t *params = NULL;
    size_t first_param;
    int status = read_sql(args, &sql, &first_param);

    if (status == 0)
        status = read_params(args, first_param, &params);
    if (status == 0)
        status = client_target(client, args_word(args, 0), &target);
    if (status == 0) {
        struct statement statement = {buf_view(&sql), 0};
        status = sql_query(client, &target, &statement, params, &answer);
        params = NULL;
    }
    if (status == 0) {
        sql_show(client, answer.data);
        if (json_array_size(json_object_get(answer.data, "columns")) == 0)
            print_remark(client, answer.data);
    }
    json_decref(params);
    answer_fini(&answer);
    buf_fini(&sql);
    return status;
}

int cmd_stats(struct client *client, const struct args *args)
{
    static const struct show_column columns[] = {
        {"bytes", "Size", SHOW_BYTES},
        {"walBytes", "WAL", SHOW_BYTES},
        {"requests", "Requests", SHOW_PLAIN},
        {"rowsRead", "Rows read", SHOW_PLAIN},
        {"rowsWritten", "Rows written", SHOW_PLAIN},
        {"lastUsedAt", "Last used", SHOW_TIME},
        {0},
    };
    const char *name = args_word(args, 0);
    const char *path = "/v1/admin/stats";
    struct answer answer = {0};
    struct target target;
    int status = 0;

    if (name != NULL)
        status = client_use_target(client, name, &target);
    if (status == 0 && name != NULL)
        path = client_path(client, "/v1/databases", target.database, "usage", NULL);
    if (status == 0)
        status = client_call(client, "GET", path, NULL, NULL, 0, &answer);
    if (status == EXIT_AUTH && name == NULL && client->answer.status == 403)
        note(client->quiet, "hint: the server's figures are the operator's; rook stats DATABASE "
                            "shows those of a database");
    if (status != 0)
        return status;
    if (name != NULL)
        show_object(&client->show, answer.data, columns);
    else
        show_tree(&client->show, answer.data);
    answer_fini(&answer);
    return EXIT_OK;
}
