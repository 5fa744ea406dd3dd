/* Reads the settings: defaults, then the configuration file, then ROOKERY_*, then flags; each
 * overrides the one before. A list given by a later source replaces the earlier one's.
 *
 * Nothing is guessed: an unknown name, a value out of range, a name given twice in one place, a
 * line of the file that INI readers take in different ways (indented, over 190 bytes, " ;" behind
 * a value, quotes) is refused with one line that names source, option and line. Thread: main. */
#ifndef SRC_CONFIG_H
#define SRC_CONFIG_H

#include "src/options.h"

enum config_action {
    CONFIG_RUN,
    CONFIG_HELP,
    CONFIG_VERSION,
    CONFIG_CHECK, /* settings are good; say so and leave */
};

/* Fills `ret_options` (options_fini() it in any case) and says what the command line asks for.
 * `environment` is environ's form. Errors: ERR_BAD_REQUEST, one line. */
int config_load(int argc, char **argv, char **environment, struct options *ret_options,
    enum config_action *ret_action, struct err *ret_err) MUST_CHECK;

/* One source each, for tests. `name` stands for the file in messages. */
int config_read_file(struct options *options, const char *path, struct err *ret_err) MUST_CHECK;
int config_read_text(struct options *options, const char *name, const char *text, size_t len,
    struct err *ret_err) MUST_CHECK;
int config_read_environment(struct options *options, char **environment, struct err *ret_err)
    MUST_CHECK;

#endif
