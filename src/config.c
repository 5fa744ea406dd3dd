#include "src/config.h"

#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <stdio.h>
#include <unistd.h>

#include "tenants/base/check.h"
#include "tenants/base/mem.h"

#define LINE_MAX_BYTES 190 /* inih splits lines over 199 bytes */
#define FILE_MAX_BYTES (1024UL * 1024)
#define ENV_PREFIX "ROOKERY_"

/* ROOKERY_* words that belong to the client, the build and the tests, not to the server. */
static const char *const foreign_words[] = {"URL", "TOKEN", "PROFILE", "TENANT", "BUILD", "CACHE",
    "JOBS", "SEED", "VERSION", "TEST_", "BENCH_"};

static bool is_foreign(struct str word)
{
    for (size_t i = 0; i < ARRAY_LEN(foreign_words); i++) {
        size_t len = strlen(foreign_words[i]);

        if (foreign_words[i][len - 1] == '_' ? str_starts_with(word, foreign_words[i])
                                             : str_is(word, foreign_words[i]))
            return true;
    }
    return false;
}

/* ---- the file ---- */

struct reader {
    struct options *options;
    const char *name;
    struct str rest;
    unsigned line;
    bool seen[OPTIONS_MAX];
    struct err *err;
    bool failed;
};

static int refuse_line(struct reader *reader, const char *why)
{
    if (!reader->failed)
        (void)err_set(reader->err, ERR_BAD_REQUEST, "%s:%u: %s", reader->name, reader->line, why);
    reader->failed = true;
    return -1;
}

static int check_line(struct reader *reader, struct str line)
{
    struct str text = str_trim(line);

    if (line.len > LINE_MAX_BYTES)
        return refuse_line(reader, "line is over 190 bytes");
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return refuse_line(reader, "control character");
    }
    if (text.len == 0 || text.ptr[0] == ';' || text.ptr[0] == '#')
        return 0;
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return refuse_line(reader, "line starts with a blank (continued lines are not supported)");
    for (size_t i = 1; i < text.len; i++) {
        if ((text.ptr[i] == ';' || text.ptr[i] == '#') &&
            (text.ptr[i - 1] == ' ' || text.ptr[i - 1] == '\t'))
            return refuse_line(reader, "comment behind a value: put it on a line of its own");
    }
    if (text.ptr[0] != '[' && str_find(text, '=') == text.len)
        return refuse_line(reader, "not of the form name = value");
    return 0;
}

/* inih's fgets: one line, checked, so that inih never sees what it would take apart oddly. */
static char *next_line(char *out, int size, void *stream)
{
    struct reader *reader = stream;
    size_t len;

    if (reader->failed || reader->rest.len == 0 || size < LINE_MAX_BYTES + 3)
        return NULL;
    len = str_find(reader->rest, '\n');
    reader->line++;
    {
        struct str line = str_make(reader->rest.ptr, len);
        size_t taken = MIN(len + 1, reader->rest.len);

        reader->rest = str_make(reader->rest.ptr + taken, reader->rest.len - taken);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (check_line(reader, line) < 0)
            return NULL;
        memcpy(out, line.ptr, line.len);
        out[line.len] = '\n';
        out[line.len + 1] = '\0';
    }
    return out;
}

static int on_pair(void *user, const char *section, const char *name, const char *value)
{
    struct reader *reader = user;
    const struct option_row *row = option_find(str_from(name));
    char source[160];
    char why[160];

    if (reader->failed)
        return 0;
    if (section[0] != '\0' && strcmp(section, "rookeryd") != 0) {
        (void)snprintf(why, sizeof(why), "unknown section [%.60s]; leave it out", section);
        return refuse_line(reader, why) == 0;
    }
    if (row == NULL || strcmp(name, "config") == 0) {
        (void)snprintf(why, sizeof(why), "unknown setting '%.60s'; see rookeryd --help", name);
        return refuse_line(reader, why) == 0;
    }
    if (value[0] == '"' || value[0] == '\'')
        return refuse_line(reader, "quotes are not removed: write the value without them") == 0;
    if (row->kind != OPTION_LIST && reader->seen[row - option_rows]) {
        (void)snprintf(why, sizeof(why), "%.60s is set twice", name);
        return refuse_line(reader, why) == 0;
    }
    if (!reader->seen[row - option_rows])
        option_clear_list(reader->options, row);
    reader->seen[row - option_rows] = true;
    (void)snprintf(source, sizeof(source), "%.120s:%u", reader->name, reader->line);
    if (option_set(reader->options, row, value, source, reader->err) < 0)
        reader->failed = true;
    return !reader->failed;
}

int config_read_text(
    struct options *options, const char *name, const char *text, size_t len, struct err *ret_err)
{
    struct reader reader = {
        .options = options, .name = name, .rest = str_make(text, len), .err = ret_err};
    int rc;

    if (memchr(text, '\0', len) != NULL)
        return err_set(ret_err, ERR_BAD_REQUEST, "%s: not a text file", name);
    rc = ini_parse_stream(next_line, &reader, on_pair, &reader);
    if (reader.failed)
        return -1;
    if (rc != 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "%s:%d: not of the form name = value", name, rc);
    return 0;
}

int config_read_file(struct options *options, const char *path, struct err *ret_err)
{
    FILE *file = fopen(path, "re");
    char *text;
    size_t len;
    int rc;

    if (file == NULL)
        return err_set(ret_err, ERR_BAD_REQUEST, "config file %s: %m", path);
    text = mem_alloc(FILE_MAX_BYTES + 1);
    len = fread(text, 1, FILE_MAX_BYTES + 1, file);
    if (ferror(file))
        rc = err_set(ret_err, ERR_BAD_REQUEST, "config file %s: cannot be read", path);
    else if (len > FILE_MAX_BYTES)
        rc = err_set(ret_err, ERR_BAD_REQUEST, "config file %s: over 1 MB", path);
    else
        rc = config_read_text(options, path, text, len, ret_err);
    (void)fclose(file);
    mem_free(text);
    return rc;
}

/* ---- the environment ---- */

/* "MAX_BODY" -> "max-body". */
static struct str option_name(struct str word, char out[64])
{
    size_t len = MIN(word.len, 63);

    for (size_t i = 0; i < len; i++) {
        char c = word.ptr[i];

        out[i] = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : '?';
    }
    return str_make(out, len);
}

static int read_variable(struct options *options, struct str pair, struct err *ret_err)
{
    struct str word = str_make(pair.ptr + strlen(ENV_PREFIX), pair.len - strlen(ENV_PREFIX));
    size_t name_len = str_find(word, '=');
    const struct option_row *row;
    char source[96];
    char name[64];

    if (name_len == word.len)
        return 0;
    word.len = name_len;
    (void)snprintf(source, sizeof(source), ENV_PREFIX "%.*s", (int)MIN(word.len, 64), word.ptr);
    if (is_foreign(word))
        return 0;
    row = option_find(option_name(word, name));
    if (row == NULL)
        return err_set(
            ret_err, ERR_BAD_REQUEST, "%s: unknown setting; see rookeryd --help", source);
    if (strcmp(row->name, "config") == 0)
        return 0; /* read first of all, and a flag may have overridden it */
    option_clear_list(options, row);
    return option_set(options, row, word.ptr + name_len + 1, source, ret_err);
}

int config_read_environment(struct options *options, char **environment, struct err *ret_err)
{
    for (char **at = environment; *at != NULL; at++) {
        if (str_starts_with(str_from(*at), ENV_PREFIX) &&
            read_variable(options, str_from(*at), ret_err) < 0)
            return -1;
    }
    return 0;
}

/* ---- flags ---- */

/* A row's flag is FLAG_ROW + its index: below 256 it could be getopt's ':' or '?'. */
enum { FLAG_ROW = 256, FLAG_HELP = 1000, FLAG_VERSION, FLAG_CHECK };

static void fill_long_options(struct option *out)
{
    unsigned at = 0;

    for (; at < option_row_count; at++) {
        bool bare = option_rows[at].kind == OPTION_BOOL;

        out[at] = (struct option){option_rows[at].name,
            bare ? optional_argument : required_argument, NULL, FLAG_ROW + (int)at};
    }
    out[at++] = (struct option){"help", no_argument, NULL, FLAG_HELP};
    out[at++] = (struct option){"version", no_argument, NULL, FLAG_VERSION};
    out[at++] = (struct option){"check-config", no_argument, NULL, FLAG_CHECK};
    out[at] = (struct option){NULL, 0, NULL, 0};
}

static int set_flag(
    struct options *options, unsigned index, bool *seen, const char *value, struct err *ret_err)
{
    const struct option_row *row = &option_rows[index];
    char source[80];

    (void)snprintf(source, sizeof(source), "--%s", row->name);
    if (!seen[index])
        option_clear_list(options, row);
    else if (row->kind != OPTION_LIST)
        return err_set(ret_err, ERR_BAD_REQUEST, "%s is given twice", source);
    seen[index] = true;
    return option_set(options, row, value == NULL ? "on" : value, source, ret_err);
}

/* A switch takes its word as --name=on, as --help writes it (--name on), or none: no argument
 * stands alone here, so a word behind a switch is the switch's. */
static const char *switch_word(unsigned index, int argc, char **argv)
{
    if (option_rows[index].kind != OPTION_BOOL || optarg != NULL)
        return optarg;
    return optind < argc && argv[optind][0] != '-' ? argv[optind++] : NULL;
}

/* With `only_config`, looks for --config, --help and --version alone: the file comes first. */
static int read_flags(struct options *options, int argc, char **argv, bool only_config,
    enum config_action *ret_action, struct err *ret_err)
{
    struct option longs[OPTIONS_MAX + 4];
    bool seen[OPTIONS_MAX] = {false};
    const char *value;
    int flag;

    fill_long_options(longs);
    optind = 0; /* GNU: start anew */
    opterr = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): only the main thread reads settings */
    while ((flag = getopt_long(argc, argv, ":hV", longs, NULL)) != -1) {
        if (flag == '?' || flag == ':')
            return err_set(ret_err, ERR_BAD_REQUEST,
                flag == ':' ? "%s: needs a value" : "%s: unknown option; see rookeryd --help",
                argv[optind - 1]);
        value = flag >= FLAG_ROW && flag < FLAG_HELP
                    ? switch_word((unsigned)(flag - FLAG_ROW), argc, argv)
                    : NULL;
        if (flag == FLAG_HELP || flag == 'h')
            *ret_action = CONFIG_HELP;
        else if (flag == FLAG_VERSION || flag == 'V')
            *ret_action = CONFIG_VERSION;
        else if (flag == FLAG_CHECK)
            *ret_action = CONFIG_CHECK;
        else if ((strcmp(option_rows[flag - FLAG_ROW].name, "config") == 0) == only_config &&
                 set_flag(options, (unsigned)(flag - FLAG_ROW), seen, value, ret_err) < 0)
            return -1;
    }
    if (optind < argc)
        return err_set(ret_err, ERR_BAD_REQUEST,
            "%s: unexpected; options start with --, see "
            "rookeryd --help",
            argv[optind]);
    return 0;
}

/* The value behind "NAME=", or NULL. */
static const char *find_variable(char **environment, struct str name_and_equals)
{
    for (char **at = environment; *at != NULL; at++) {
        if (str_starts_with(str_from(*at), name_and_equals.ptr))
            return *at + name_and_equals.len;
    }
    return NULL;
}

int config_load(int argc, char **argv, char **environment, struct options *ret_options,
    enum config_action *ret_action, struct err *ret_err)
{
    const struct option_row *config = option_find(STR_LITERAL("config"));
    const char *from_environment = find_variable(environment, STR_LITERAL(ENV_PREFIX "CONFIG="));

    options_init(ret_options);
    *ret_action = CONFIG_RUN;
    if (from_environment != NULL &&
        option_set(ret_options, config, from_environment, ENV_PREFIX "CONFIG", ret_err) < 0)
        return -1;
    if (read_flags(ret_options, argc, argv, true, ret_action, ret_err) < 0)
        return -1;
    if (*ret_action == CONFIG_HELP || *ret_action == CONFIG_VERSION)
        return 0;
    if (ret_options->config_file[0] != '\0' &&
        config_read_file(ret_options, ret_options->config_file, ret_err) < 0)
        return -1;
    if (config_read_environment(ret_options, environment, ret_err) < 0)
        return -1;
    if (read_flags(ret_options, argc, argv, false, ret_action, ret_err) < 0)
        return -1;
    return options_settle(ret_options, ret_err);
}
