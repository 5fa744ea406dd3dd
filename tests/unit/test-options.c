/* The option table and its three sources: what is read, what is refused, and how it is said. */
#include "src/config.h"
#include "src/policy.h"
#include "tests/lib/tap.h"

static int load(struct options *options, struct err *err, char **argv, char **environment,
    enum config_action *action)
{
    int argc = 0;

    while (argv[argc] != NULL)
        argc++;
    *err = ERR_INIT;
    return config_load(argc, argv, environment, options, action, err);
}

static char *no_environment[] = {NULL};

static void is_refused(const char *name, char **argv, char **environment, const char *wanted)
{
    struct options options;
    enum config_action action;
    struct err err;

    ok(load(&options, &err, argv, environment, &action) < 0, "%s: refused", name);
    ok(strstr(err.msg, wanted) != NULL, "%s: says %s", name, wanted);
    if (strstr(err.msg, wanted) == NULL)
        (void)printf("# got: %s\n", err.msg);
    options_fini(&options);
}

#define ARGS(...)                                                                                  \
    (char *[])                                                                                     \
    {                                                                                              \
        (char[]){"rookeryd"}, __VA_ARGS__, NULL                                                    \
    }
#define A(text)                                                                                    \
    (char[])                                                                                       \
    {                                                                                              \
        text                                                                                       \
    }

static void test_table(void)
{
    struct options options;
    bool sorted_names = true;

    options_init(&options);
    for (unsigned i = 0; i < option_row_count; i++) {
        const struct option_row *row = &option_rows[i];
        const char *end = row->help + strlen(row->help);

        ok(option_find(str_from(row->name)) == row, "--%s is there once", row->name);
        ok(end - row->help > 10 && end[-1] != '.', "--%s has help", row->name);
        for (const char *at = row->name; *at != '\0'; at++)
            sorted_names &= (*at >= 'a' && *at <= 'z') || *at == '-';
    }
    ok(sorted_names, "names are lower case and dashes, so that ROOKERY_* has one spelling each");
    options_fini(&options);
}

static void test_defaults(void)
{
    struct engine_options engine;
    struct options options;
    enum config_action action;
    struct err err;

    ok(load(&options, &err, ARGS(NULL), no_environment, &action) == 0, "no settings at all");
    is_int(action, CONFIG_RUN, "run");
    is_str(options.listen.items[0], "127.0.0.1:8080", "default address");
    ok(options.loops >= 1 && options.loops <= 8, "loops from the cores");
    ok(options.engine.workers >= 2, "workers from the cores");
    is_int(options.surface.delete_grace_ms, 86400000, "a day of grace");
    options_fini(&options);
    options_init(&options);
    memset(&engine, 0, sizeof(engine));
    engine_options_defaults(&engine);
    engine.data_dir = options.engine.data_dir; /* settled later, as are the threads */
    engine.workers = options.engine.workers;
    engine.slow_workers = options.engine.slow_workers;
    engine.slow_cpus = options.engine.slow_cpus;
    ok(memcmp(&engine, &options.engine, sizeof(engine)) == 0,
        "the table's defaults are the engine's own");
    options_fini(&options);
}

static void test_precedence(void)
{
    static const char file[] = "# comment\n; comment\n\nworkers = 3\nmax-body=2m\n"
                               "idle-timeout = 90s\nlisten = 127.0.0.1:1\nlisten = 127.0.0.1:2\n";
    char *environment[] = {A("ROOKERY_MAX_BODY=3m"), A("ROOKERY_IDLE_TIMEOUT=91"),
        A("ROOKERY_URL=http://x"), A("HOME=/"), NULL};
    struct options options;
    struct err err = ERR_INIT;
    enum config_action action;

    options_init(&options);
    ok(config_read_text(&options, "file", file, sizeof(file) - 1, &err) == 0, "a file");
    is_int(options.engine.workers, 3, "the file's number");
    is_int(options.surface.max_body_bytes, 2 << 20, "the file's size");
    is_int(options.listen.count, 2, "a list of the file replaces the default");
    ok(config_read_environment(&options, environment, &err) == 0, "the environment");
    is_int(options.surface.max_body_bytes, 3 << 20, "the environment beats the file");
    is_int(options.idle_timeout_ms, 91000, "a bare time is seconds");
    options_fini(&options);
    ok(load(&options, &err,
           ARGS(A("--max-body"), A("4m"), A("--listen=[::1]:0"), A("--listen=unix:/x"),
               A("--metrics-public")),
           environment, &action) == 0,
        "flags");
    is_int(options.surface.max_body_bytes, 4 << 20, "a flag beats the environment");
    is_int(options.listen.count, 2, "flags repeat");
    ok(options.metrics_public, "a bare switch means on");
    options_fini(&options);
    ok(load(&options, &err,
           ARGS(A("--metrics-public"), A("on"), A("--config"), A("/dev/null"), A("--loops=3")),
           no_environment, &action) == 0,
        "a switch and its word, as --help writes it");
    ok(options.metrics_public && options.loops == 3, "... means the word, and what follows counts");
    options_fini(&options);
    ok(load(&options, &err, ARGS(A("--metrics-public"), A("off")), no_environment, &action) == 0,
        "a switch and off");
    ok(!options.metrics_public, "... means off");
    options_fini(&options);
}

static void test_refusals(void)
{
    is_refused("unknown flag", ARGS(A("--nope")), no_environment, "--nope: unknown option");
    is_refused("no value", ARGS(A("--workers")), no_environment, "--workers: needs a value");
    is_refused("stray word", ARGS(A("serve")), no_environment, "serve: unexpected");
    is_refused("not a number", ARGS(A("--workers=x")), no_environment, "not a number");
    is_refused("out of range", ARGS(A("--workers=257")), no_environment, "from 0 to 256");
    is_refused("not a size", ARGS(A("--max-body=1q")), no_environment, "not a size");
    is_refused("overflow", ARGS(A("--max-body=99999999999g")), no_environment, "not a size");
    is_refused("negative", ARGS(A("--max-body=-1")), no_environment, "not a size");
    is_refused("not a time", ARGS(A("--idle-timeout=1w")), no_environment, "not a time");
    is_refused("not a choice", ARGS(A("--commit=fast")), no_environment, "pipelined|inline");
    is_refused("not a switch", ARGS(A("--metrics-public=maybe")), no_environment, "on or off");
    is_refused("not a switch's word", ARGS(A("--metrics-public"), A("maybe")), no_environment,
        "on or off");
    is_refused("twice", ARGS(A("--workers=1"), A("--workers=2")), no_environment, "given twice");
    is_refused("contradiction", ARGS(A("--wal-soft=65m")), no_environment, "contradict");
    is_refused("no address", ARGS(A("--listen=")), no_environment, "at least one address");
    is_refused("unknown variable", ARGS(NULL), ((char *[]){A("ROOKERY_WORKER=1"), NULL}),
        "ROOKERY_WORKER: unknown setting");
    is_refused("bad variable", ARGS(NULL), ((char *[]){A("ROOKERY_WORKERS=many"), NULL}),
        "ROOKERY_WORKERS: 'many'");
    is_refused("no such file", ARGS(A("--config=/nonexistent/x")), no_environment,
        "/nonexistent/x: No such file");
}

static void test_files(void)
{
    static const struct {
        const char *name;
        const char *text;
        const char *wanted; /* NULL: good */
    } files[] = {
        {"section of our name", "[rookeryd]\nworkers = 2\n", NULL},
        {"no newline at the end", "workers = 2", NULL},
        {"CR LF", "workers = 2\r\n", NULL},
        {"semicolon inside a value", "region = a;b\n", NULL},
        {"unknown name", "\nworker = 2\n", "f:2: unknown setting 'worker'"},
        {"other section", "[x]\nworkers = 2\n", "f:2: unknown section [x]"},
        {"twice", "workers = 2\nworkers = 2\n", "f:2: workers is set twice"},
        {"indented", "workers = 2\n  readers = 2\n", "f:2: line starts with a blank"},
        {"comment behind", "workers = 2 ; two\n", "f:1: comment behind a value"},
        {"hash behind", "workers = 2 # two\n", "f:1: comment behind a value"},
        {"quotes", "region = \"x\"\n", "f:1: quotes are not removed"},
        {"no equals sign", "workers\n", "f:1: not of the form"},
        {"control character", "region = \x01\n", "f:1: control character"},
        {"bad value", "\n\nworkers = x\n", "f:3: 'x' for workers"},
        {"long line",
            "region = xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
            "f:1: line is over 190 bytes"},
    };

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct options options;
        struct err err = ERR_INIT;
        int rc;

        options_init(&options);
        rc = config_read_text(&options, "f", files[i].text, strlen(files[i].text), &err);
        ok(files[i].wanted == NULL ? rc == 0 : rc < 0 && strstr(err.msg, files[i].wanted) != NULL,
            "file: %s", files[i].name);
        if (rc < 0 && (files[i].wanted == NULL || strstr(err.msg, files[i].wanted) == NULL))
            (void)printf("# got: %s\n", err.msg);
        options_fini(&options);
    }
}

static unsigned applied_count;
static unsigned refused_count;

static void on_changed(const struct option_row *row, const char *text, bool applied)
{
    (void)row;
    (void)text;
    applied ? applied_count++ : refused_count++;
}

static void test_reload(void)
{
    struct options old;
    struct options fresh;
    struct err err = ERR_INIT;

    options_init(&old);
    options_init(&fresh);
    ok(option_set(&fresh, option_find(STR_LITERAL("log-level")), "debug", "t", &err) == 0 &&
            option_set(&fresh, option_find(STR_LITERAL("loops")), "3", "t", &err) == 0,
        "two new values");
    options_reload(&old, &fresh, on_changed);
    is_int(old.log_level, LOG_DEBUG, "the reloadable one is taken");
    is_int(old.loops, 0, "the other one is not");
    is_int(applied_count, 1, "one applied");
    is_int(refused_count, 1, "one needs a restart");
    options_fini(&fresh);
    is_str(old.text[option_find(STR_LITERAL("log-level")) - option_rows], "debug",
        "its text outlives the fresh settings");
    options_fini(&old);
}

static struct str forwarded(const struct policy *policy, const char *list)
{
    struct http_header header = {STR_LITERAL("X-Forwarded-For"), str_from(list)};
    struct http_request request = {
        .headers = &header, .header_count = 1, .remote = STR_LITERAL("peer")};

    policy_forwarded(policy, &request);
    return request.remote;
}

static void test_policy(void)
{
    struct options options;
    enum config_action action;
    struct policy policy;
    struct err err;

    ok(load(&options, &err,
           ARGS(A("--trusted-proxy=10.0.0.0/8,192.168.1.1"), A("--trusted-proxy=fd00::/8"),
               A("--cors-origin=https://a.example")),
           no_environment, &action) == 0 &&
            policy_init(&policy, &options, &err) == 0,
        "proxies and origins");
    ok(str_is(forwarded(&policy, "1.2.3.4"), "1.2.3.4"), "the client behind one proxy");
    ok(str_is(forwarded(&policy, "6.6.6.6, 1.2.3.4, 10.1.1.1"), "1.2.3.4"),
        "what a client made up on the left is not believed");
    ok(str_is(forwarded(&policy, "10.1.1.1"), "10.1.1.1"), "only proxies: the first of them");
    ok(str_is(forwarded(&policy, "1.2.3.4:55, [fd00::1]:80"), "1.2.3.4"), "ports are cut off");
    ok(str_is(forwarded(&policy, "1.2.3.4, nonsense"), "peer"), "nonsense: the peer stays");
    ok(str_is(forwarded(&policy, "2001:db8::1"), "2001:db8::1"), "IPv6");
    options_fini(&options);
    is_int(load(&options, &err, ARGS(A("--trusted-proxy=10.0.0.0/33")), no_environment, &action), 0,
        "a range is judged later");
    ok(policy_init(&policy, &options, &err) < 0, "and refused");
    options_fini(&options);
}

int main(void)
{
    test_table();
    test_defaults();
    test_precedence();
    test_refusals();
    test_files();
    test_reload();
    test_policy();
    return done_testing();
}
