/* Profiles: which server, with which token, under a name. Kept in
 * $XDG_CONFIG_HOME/rookery/profiles (~/.config/rookery/profiles), mode 0600:
 *
 *     current = prod
 *
 *     [prod]
 *     url = https://db.example.com
 *     token = psql_live_…
 *     tenant = acme
 *
 * Lines are `key = value`, `[name]`, empty, or begin with '#'. Unknown keys are kept by no one:
 * they are an error, so that a misspelled one is found.
 *
 * Threads: main.   Limits: names are 1-64 characters of [A-Za-z0-9._-], the file up to 1 MiB. */
#ifndef SRC_ROOK_PROFILE_H
#define SRC_ROOK_PROFILE_H

#include "tenants/base/arena.h"
#include "tenants/base/err.h"

#define PROFILE_DEFAULT_NAME "default"

struct profile {
    struct profile *next; /* in the order of the file */
    const char *name;
    const char *url;
    const char *token;  /* NULL: none */
    const char *tenant; /* the one an operator's commands mean; NULL: none */
};

struct profiles {
    struct arena *arena; /* borrowed; everything below is in it */
    const char *path;
    struct profile *first;
    const char *current; /* NULL: none chosen */
};

/* Reads the file; a missing one is no error. Errors: ERR_FORBIDDEN others may read it,
 * ERR_BAD_REQUEST with the line that is wrong, ERR_IO. */
int profiles_load(struct profiles *profiles, struct arena *arena, struct err *ret_err) MUST_CHECK;
/* Writes it whole. Errors: ERR_IO. */
int profiles_save(const struct profiles *profiles, struct err *ret_err) MUST_CHECK;

bool profile_name_is_valid(const char *name);
/* NULL when there is none of that name. */
struct profile *profiles_find(const struct profiles *profiles, const char *name);
/* The one to use when none is named: `current`, or the one called "default", or the only one. */
struct profile *profiles_current(const struct profiles *profiles);
/* Finds it or adds an empty one at the end. */
struct profile *profiles_put(struct profiles *profiles, const char *name) MUST_CHECK;
/* False when there is none of that name. */
bool profiles_remove(struct profiles *profiles, const char *name);

/* "$variable/rookery/leaf", or "~/fallback/rookery/leaf". In the arena. NULL without a home. */
const char *profile_path(
    struct arena *arena, const char *variable, const char *fallback, const char *leaf);

#endif
