#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/rook/commands.h"
#include "src/rook/interrupt.h"
#include "tenants/base/mem.h"

#ifndef ROOKERY_VERSION
#define ROOKERY_VERSION "unknown"
#endif

/* Of the command, where a global one has the same name. */
static bool is_own_option(const struct args *args, const char *name)
{
    const struct option_spec *option = args->command == NULL ? NULL : args->command->options;

    while (option != NULL && option->name != NULL && strcmp(option->name, name) != 0)
        option++;
    return option != NULL && option->name != NULL;
}

static int choose_format(struct client *client, const struct args *args)
{
    static const char *const flags[] = {"json", "jsonl", "csv"};
    const char *name = is_own_option(args, "format") ? NULL : args_get(args, "format");

    if (name != NULL && show_format_parse(name, &client->show.format) < 0)
        return report(EXIT_USAGE, "--format takes auto, table, line, csv, json or jsonl");
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        if (args_get(args, flags[i]) == NULL)
            continue;
        if (name != NULL)
            return report(EXIT_USAGE, "--%s and another format are given", flags[i]);
        name = flags[i];
        if (show_format_parse(name, &client->show.format) < 0)
            return EXIT_USAGE;
    }
    return 0;
}

static int apply_global_options(struct client *client, const struct args *args)
{
    const char *operator_file = args_get(args, "operator-file");
    const char *null_text = args_get(args, "null");
    int64_t timeout_s = client->timeout_s;
    struct err err = ERR_INIT;
    int status;

    status = choose_format(client, args);
    if (status != 0)
        return status;
    if (client->show.format == SHOW_JSON || client->show.format == SHOW_JSONL)
        report_as_json();
    client->url = args_get(args, "url");
    client->profile_name = args_get(args, "profile");
    client->tenant = args_get(args, "tenant");
    client->token_file = args_get(args, "token-file");
    client->quiet = args_get(args, "quiet") != NULL;
    client->show.headers = args_get(args, "no-headers") == NULL;
    if (null_text != NULL)
        client->show.null_text = null_text;
    if (operator_file != NULL && client->token_file != NULL)
        return report(EXIT_USAGE, "--token-file and --operator-file are given");
    if (operator_file != NULL)
        client->token_file = operator_file;
    if (args_integer(args, "timeout", &timeout_s, &err) < 0)
        return report_err(&err);
    client->timeout_s = timeout_s;
    return 0;
}

static int run(struct client *client, const struct args *args)
{
    int status;

    if (args->version) {
        (void)fputs("rook " ROOKERY_VERSION "\n", client->show.out);
        return EXIT_OK;
    }
    if (args->help) {
        if (args->command == NULL)
            return cmd_help(client, args);
        (void)command_help(client->show.out, args->command->name);
        return EXIT_OK;
    }
    if (args->command == NULL) {
        command_help_all(stderr);
        return EXIT_USAGE;
    }
    status = apply_global_options(client, args);
    return status != 0 ? status : args->command->run(client, args);
}

/* What stands in stdout's buffer may not fit the disk, and a program must hear of it. A reader
 * that went away (rook … | head) needs no telling. */
static int close_stdout(int status)
{
    bool failed = fflush(stdout) != 0 || ferror(stdout) != 0;

    if (!failed || status != EXIT_OK)
        return status;
    if (errno != EPIPE)
        (void)report(EXIT_LOCAL, "cannot write standard output: %s", strerror(errno));
    return EXIT_LOCAL;
}

int main(int argc, char **argv)
{
    struct args *args = mem_alloc(sizeof(*args));
    struct err err = ERR_INIT;
    struct client client;
    int status;

    client_init(&client);
    interrupt_init();
    if (command_parse(argc, argv, args, &err) < 0)
        status = report_err(&err);
    else
        status = run(&client, args);
    status = close_stdout(status);
    client_fini(&client);
    mem_free(args);
    return status;
}
