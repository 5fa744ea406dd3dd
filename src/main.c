/* rookeryd: settings, then the server. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/config.h"
#include "src/listener.h"
#include "src/process_routes.h"

struct command_line {
    int argc;
    char **argv;
};

static int complain(const struct err *err)
{
    (void)fprintf(stderr, "rookeryd: %s\n", err->msg);
    return EXIT_CONFIG;
}

static void print(struct buf *text)
{
    (void)fwrite(text->bytes, 1, text->len, stdout);
    buf_fini(text);
}

static void print_help(void)
{
    struct buf text = {0};

    buf_literal(&text,
        "rookeryd serves thousands of SQLite databases over HTTP.\n\n"
        "usage: rookeryd [options]\n"
        "       rookeryd --check-config [options] | --help | --version\n\n"
        "Every option is also a line of the file given with --config (name = value) and a "
        "variable\n"
        "of the environment (--max-body is ROOKERY_MAX_BODY). A flag beats the environment, which\n"
        "beats the file. Sizes take k, m, g; times take ms, s, m, h, d (a bare number is "
        "seconds).\n");
    options_help(&text);
    buf_literal(&text,
        "\nSignals: SIGTERM and SIGINT finish what runs, then stop; a second one stops at once.\n"
        "SIGHUP reads the settings again and reopens the log.\n"
        "Exit codes: 0 stopped, 1 failure, 2 bad setting, 3 data folder unusable, 4 data folder "
        "in\n"
        "use by another rookeryd, 5 cannot listen, 130 stopped at once by a second signal.\n");
    print(&text);
}

static void print_version(void)
{
    struct buf text = {0};

    process_version_text(&text);
    buf_char(&text, '\n');
    print(&text);
}

static int reload(void *argument, struct options *ret_fresh, struct err *ret_err)
{
    const struct command_line *line = argument;
    enum config_action action;

    return config_load(line->argc, line->argv, environ, ret_fresh, &action, ret_err);
}

/* Everything settings can say wrong, without touching the machine. */
static int check(struct options *options)
{
    struct policy policy;
    struct err err = ERR_INIT;

    if (policy_init(&policy, options, &err) < 0 || listener_check(options, &err) < 0)
        return complain(&err);
    (void)puts("rookeryd: the settings are good");
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    struct command_line line = {argc, argv};
    static struct options options;
    enum config_action action;
    struct err err = ERR_INIT;
    sigset_t ours;
    int code = EXIT_OK;

    (void)sigemptyset(&ours);
    (void)sigaddset(&ours, SIGTERM);
    (void)sigaddset(&ours, SIGINT);
    (void)sigaddset(&ours, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &ours, NULL);
    if (config_load(argc, argv, environ, &options, &action, &err) < 0)
        code = complain(&err);
    else if (action == CONFIG_HELP)
        print_help();
    else if (action == CONFIG_VERSION)
        print_version();
    else if (action == CONFIG_CHECK)
        code = check(&options);
    else
        code = server_run(&options, reload, &line);
    options_fini(&options);
    return code;
}
