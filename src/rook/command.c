#include "src/rook/command.h"
#include "tenants/base/buf.h"

/* Old habits: what people type, and what it stands for. */
static const struct {
    const char *alias;
    const char *name;
} aliases[] = {
    {"shell", "db shell"},
    {"sql", "query"},
    {"databases", "db list"},
    {"db ls", "db list"},
    {"db rm", "db delete"},
    {"db mv", "db rename"},
    {"token ls", "token list"},
    {"token rm", "token revoke"},
    {"token delete", "token revoke"},
    {"tenant ls", "tenant list"},
    {"tenant rm", "tenant delete"},
    {"whoami", "me"},
};

/* ---- guessing what was meant --------------------------------------------------------------- */

static size_t distance(const char *a, const char *b)
{
    size_t row[64];
    size_t b_len = strlen(b);

    if (b_len >= ARRAY_LEN(row))
        return SIZE_MAX;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t above = row[j];
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            row[j] = MIN(MIN(above, row[j - 1]) + 1, change);
            diagonal = above;
        }
    }
    return row[b_len];
}

struct guess {
    const char *text;
    size_t distance;
};

/* Nearer than the guess so far, and most of the word is right. */
static void guess_from(struct guess *guess, const char *typed, const char *candidate)
{
    size_t d = distance(typed, candidate);

    if (d < guess->distance && d < (strlen(typed) + 1) / 2)
        *guess = (struct guess){candidate, d};
}

/* ---- looking up ---------------------------------------------------------------------------- */

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        if (strcmp(aliases[i].alias, name) == 0)
            name = aliases[i].name;
    for (const struct command *c = command_table; c->name != NULL; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

static bool in_group(const struct command *command, const char *group)
{
    size_t len = strlen(group);

    return strncmp(command->name, group, len) == 0 && command->name[len] == ' ';
}

static bool is_group(const char *word)
{
    for (const struct command *c = command_table; c->name != NULL; c++)
        if (in_group(c, word))
            return true;
    return false;
}

static const struct option_spec *find_option(const struct option_spec *specs, struct str name)
{
    for (; specs != NULL && specs->name != NULL; specs++)
        if (str_is(name, specs->name))
            return specs;
    return NULL;
}

/* ---- parsing ------------------------------------------------------------------------------- */

static int unknown_option(const struct args *args, struct str name, struct err *ret_err)
{
    struct guess guess = {NULL, 3};
    char typed[64];

    (void)snprintf(typed, sizeof(typed), "%.*s", STR_ARGS(name));
    for (const struct option_spec *s = global_options; s->name != NULL; s++)
        guess_from(&guess, typed, s->name);
    for (const struct option_spec *s = args->command != NULL ? args->command->options : NULL;
         s != NULL && s->name != NULL; s++)
        guess_from(&guess, typed, s->name);
    if (strcmp(typed, "token") == 0)
        return err_set(ret_err, ERR_BAD_REQUEST,
            "a token is never an argument (others could see it): use --token-file FILE, "
            "ROOKERY_TOKEN or rook login");
    return err_set(ret_err, ERR_BAD_REQUEST, "unknown option --%s%s%s%s%s%s", typed,
        guess.text != NULL ? "; did you mean --" : "", guess.text != NULL ? guess.text : "",
        guess.text != NULL ? "?" : "", args->command != NULL ? "; see rook help " : "",
        args->command != NULL ? args->command->name : "");
}

static int add_option(
    struct args *args, const struct option_spec *spec, const char *value, struct err *ret_err)
{
    if (args->option_count == ARRAY_LEN(args->options))
        return err_set(ret_err, ERR_BAD_REQUEST, "too many options");
    args->options[args->option_count++] = (struct given_option){spec, value};
    return 0;
}

/* argv[*at] begins with "--". */
static int parse_option(char **argv, int *at, struct args *args, struct err *ret_err)
{
    struct str value = str_from(argv[*at] + 2);
    struct str name = str_split(&value, '=');
    const struct option_spec *spec;

    if (str_is(name, "help") || str_is(name, "version")) {
        *(str_is(name, "help") ? &args->help : &args->version) = true;
        return 0;
    }
    spec = args->command != NULL ? find_option(args->command->options, name) : NULL;
    if (spec == NULL)
        spec = find_option(global_options, name);
    if (spec == NULL)
        return unknown_option(args, name, ret_err);
    if (spec->value == NULL) {
        if (value.ptr != NULL)
            return err_set(ret_err, ERR_BAD_REQUEST, "--%s takes no value", spec->name);
        return add_option(args, spec, "", ret_err);
    }
    if (value.ptr != NULL)
        return add_option(args, spec, value.ptr, ret_err);
    if (argv[*at + 1] == NULL)
        return err_set(ret_err, ERR_BAD_REQUEST, "--%s needs a value: --%s %s", spec->name,
            spec->name, spec->value);
    *at += 1;
    return add_option(args, spec, argv[*at], ret_err);
}

static int unknown_command(const char *typed, const char *group, struct err *ret_err)
{
    struct guess guess = {NULL, 4};

    for (const struct command *c = command_table; c->name != NULL; c++)
        guess_from(&guess, typed, c->name);
    if (group != NULL && strcmp(typed, group) == 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "rook %s needs one more word; see rook help %s",
            group, group);
    return err_set(ret_err, ERR_BAD_REQUEST, "unknown command '%s'%s%s%s", typed,
        guess.text != NULL ? "; did you mean '" : "; see rook --help",
        guess.text != NULL ? guess.text : "", guess.text != NULL ? "'?" : "");
}

/* Takes one word or two as the command's name. */
static int parse_command(char **argv, int *at, struct args *args, struct err *ret_err)
{
    const char *word = argv[*at];
    const char *follows = argv[*at + 1];
    char name[64];

    if (is_group(word) && follows != NULL && follows[0] != '-') {
        (void)snprintf(name, sizeof(name), "%s %s", word, follows);
        args->command = find_command(name);
        if (args->command == NULL)
            return unknown_command(name, NULL, ret_err);
        *at += 1;
        return 0;
    }
    args->command = find_command(word);
    if (args->command == NULL && is_group(word)) {
        /* `rook db --help`: as `rook help db` */
        args->words[args->word_count++] = word;
        if (follows != NULL && (strcmp(follows, "--help") == 0 || strcmp(follows, "-h") == 0)) {
            args->help = true;
            *at += 1;
            return 0;
        }
    }
    return args->command == NULL ? unknown_command(word, is_group(word) ? word : NULL, ret_err) : 0;
}

static bool is_number_word(const char *word)
{
    return (word[1] >= '0' && word[1] <= '9') || (word[1] == '.' && word[2] != '\0');
}

/* -o FILE, of commands that have --output: the one short option, for hands that know it from
 * everywhere else. NULL: it is not that. */
static const struct option_spec *output_option(const char *word, const struct args *args)
{
    return strcmp(word, "-o") != 0 || args->command == NULL
               ? NULL
               : find_option(args->command->options, STR_LITERAL("output"));
}

static int parse_word(
    char **argv, int *at, bool *options_ended, struct args *args, struct err *ret_err)
{
    const char *word = argv[*at];

    if (!*options_ended && strcmp(word, "--") == 0) {
        *options_ended = true;
        return 0;
    }
    if (!*options_ended && word[0] == '-' && word[1] == '-')
        return parse_option(argv, at, args, ret_err);
    if (!*options_ended && strcmp(word, "-h") == 0) {
        args->help = true;
        return 0;
    }
    if (!*options_ended && output_option(word, args) != NULL) {
        if (argv[*at + 1] == NULL)
            return err_set(ret_err, ERR_BAD_REQUEST, "-o needs a value: -o FILE");
        *at += 1;
        return add_option(args, output_option(word, args), argv[*at], ret_err);
    }
    if (!*options_ended && word[0] == '-' && word[1] != '\0' && !is_number_word(word))
        return err_set(ret_err, ERR_BAD_REQUEST,
            "unknown option %s (options are spelt out: --name; -- ends them)", word);
    if (args->command == NULL && !args->help)
        return parse_command(argv, at, args, ret_err);
    if (args->word_count == ARRAY_LEN(args->words))
        return err_set(ret_err, ERR_BAD_REQUEST, "more than %d arguments", COMMAND_ARGS_MAX);
    args->words[args->word_count++] = word;
    return 0;
}

/* Counts the words of "A [B] [C...]" and "A B...". */
static int check_word_count(const struct args *args, struct err *ret_err)
{
    struct str rest = str_from(args->command->args);
    size_t least = 0;
    size_t most = 0;

    while (rest.len > 0) {
        struct str word = str_split(&rest, ' ');
        bool optional = word.ptr[0] == '[';
        struct str end = str_make(word.ptr + word.len - (optional ? 1 : 0), 0);

        least += !optional;
        most += 1;
        if (end.ptr - word.ptr > 3 && memcmp(end.ptr - 3, "...", 3) == 0)
            most = SIZE_MAX / 2;
    }
    if (args->word_count >= least && args->word_count <= most)
        return 0;
    return err_set(ret_err, ERR_BAD_REQUEST, "%s; usage: rook %s %s",
        args->word_count < least ? "too few arguments" : "too many arguments", args->command->name,
        args->command->args);
}

int command_parse(int argc, char **argv, struct args *ret_args, struct err *ret_err)
{
    bool options_ended = false;

    *ret_args = (struct args){0};
    for (int at = 1; at < argc; at++)
        if (parse_word(argv, &at, &options_ended, ret_args, ret_err) < 0)
            return -1;
    if (ret_args->command == NULL || ret_args->help || ret_args->version)
        return 0;
    return check_word_count(ret_args, ret_err);
}

const char *args_get(const struct args *args, const char *name)
{
    const char *found = NULL;
    size_t at = 0;

    for (const char *value = args_next(args, name, &at); value != NULL;
         value = args_next(args, name, &at))
        found = value;
    return found;
}

const char *args_next(const struct args *args, const char *name, size_t *at)
{
    while (*at < args->option_count) {
        const struct given_option *option = &args->options[(*at)++];
        if (strcmp(option->spec->name, name) == 0)
            return option->value;
    }
    return NULL;
}

const char *args_word(const struct args *args, size_t i)
{
    return i < args->word_count ? args->words[i] : NULL;
}

int args_integer(const struct args *args, const char *name, int64_t *ret_value, struct err *ret_err)
{
    const char *text = args_get(args, name);
    uint64_t value;

    if (text == NULL)
        return 0;
    if (str_to_u64(str_from(text), &value) < 0 || value > INT64_MAX)
        return err_set(ret_err, ERR_BAD_REQUEST, "--%s takes a whole number, not '%s'", name, text);
    *ret_value = (int64_t)value;
    return 0;
}

/* ---- help ---------------------------------------------------------------------------------- */

static const char help_head[] =
    "rook talks to a Rookery server: SQLite databases, one per name, over HTTP.\n"
    "\n"
    "usage: rook COMMAND [ARGUMENTS] [OPTIONS]\n"
    "\n"
    "A DATABASE is TENANT/NAME, or NAME alone where the token tells the tenant; @BRANCH may\n"
    "follow. Start with: rook login http://127.0.0.1:8080\n";

static const char help_tail[] =
    "\n"
    "Environment\n"
    "  ROOKERY_URL       the server                 (--url beats it)\n"
    "  ROOKERY_TOKEN     the token                  (--token-file beats it)\n"
    "  ROOKERY_PROFILE   the profile                (--profile beats it)\n"
    "Both of the first two beat the profile, whose token goes to its own URL only.\n"
    "\n"
    "Exit status\n"
    "  0  done\n"
    "  1  the server refused: an SQL error, an unknown name, a limit\n"
    "  2  the command line is wrong\n"
    "  3  the server cannot be reached, or is not a Rookery server\n"
    "  4  no token, a bad one, or one without the right to this\n"
    "  5  a local file could not be read or written\n"
    "  130  interrupted\n"
    "\n"
    "Data goes to standard output, everything else to standard error.\n"
    "rook help COMMAND says more: rook help query, rook help db.\n";

static void print_options(FILE *out, const char *title, const struct option_spec *options)
{
    (void)fprintf(out, "\n%s\n", title);
    for (; options->name != NULL; options++) {
        char left[64];
        (void)snprintf(left, sizeof(left), "--%s%s%s", options->name,
            options->value != NULL ? " " : "", options->value != NULL ? options->value : "");
        (void)fprintf(out, "  %-22s  %s\n", left, options->help);
    }
}

static void print_commands(FILE *out, const char *group)
{
    const char *last = NULL;

    for (const struct command *c = command_table; c->name != NULL; c++) {
        char left[96];
        if (group != NULL && !in_group(c, group))
            continue;
        /* A group stands apart from what is around it. */
        if (group == NULL && last != NULL && strchr(last, ' ') != NULL &&
            strncmp(last, c->name, strcspn(last, " ") + 1) != 0)
            (void)fputc('\n', out);
        last = c->name;
        (void)snprintf(left, sizeof(left), "%s %s", c->name, c->args);
        (void)fprintf(out, "  %-36s  %s\n", left, c->summary);
    }
}

void command_help_all(FILE *out)
{
    (void)fputs(help_head, out);
    (void)fputs("\nCommands\n", out);
    print_commands(out, NULL);
    print_options(out, "Options of every command", global_options);
    (void)fputs(help_tail, out);
}

bool command_help(FILE *out, const char *name)
{
    const struct command *command = find_command(name);

    if (command == NULL) {
        if (!is_group(name))
            return false;
        (void)fprintf(out, "usage: rook %s COMMAND [ARGUMENTS] [OPTIONS]\n\n", name);
        print_commands(out, name);
        (void)fprintf(out, "\nrook help %s COMMAND says more.\n", name);
        return true;
    }
    (void)fprintf(out, "usage: rook %s%s%s%s\n\n%c%s.\n", command->name,
        command->args[0] != '\0' ? " " : "", command->args,
        command->options != NULL ? " [OPTIONS]" : "", command->summary[0] & ~0x20,
        command->summary + 1);
    if (command->details != NULL)
        (void)fprintf(out, "\n%s", command->details);
    if (command->options != NULL)
        print_options(out, "Options", command->options);
    (void)fputs("\nrook --help lists the options of every command.\n", out);
    return true;
}
