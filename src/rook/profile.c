#include "src/rook/profile.h"

#include <stdlib.h>

#include "src/rook/file.h"
#include "tenants/base/buf.h"
#include "tenants/base/check.h"

#define FILE_MAX_BYTES (1U << 20)
#define NAME_MAX_BYTES 64

const char *profile_path(
    struct arena *arena, const char *variable, const char *fallback, const char *leaf)
{
    const char *folder = getenv(variable);
    const char *home = getenv("HOME");

    if (folder != NULL && folder[0] == '/') /* the XDG rules: a relative one does not count */
        return arena_printf(arena, "%s/rookery/%s", folder, leaf);
    if (home == NULL || home[0] == '\0')
        return NULL;
    return arena_printf(arena, "%s/%s/rookery/%s", home, fallback, leaf);
}

bool profile_name_is_valid(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= NAME_MAX_BYTES &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

struct profile *profiles_find(const struct profiles *profiles, const char *name)
{
    for (struct profile *profile = profiles->first; profile != NULL; profile = profile->next)
        if (strcmp(profile->name, name) == 0)
            return profile;
    return NULL;
}

struct profile *profiles_current(const struct profiles *profiles)
{
    struct profile *only = profiles->first;
    struct profile *found = profiles_find(
        profiles, profiles->current != NULL ? profiles->current : PROFILE_DEFAULT_NAME);

    return found == NULL && only != NULL && only->next == NULL ? only : found;
}

struct profile *profiles_put(struct profiles *profiles, const char *name)
{
    struct profile *profile = profiles_find(profiles, name);
    struct profile **end = &profiles->first;

    if (profile != NULL)
        return profile;
    while (*end != NULL)
        end = &(*end)->next;
    profile = arena_zalloc(profiles->arena, sizeof(*profile));
    CHECK(profile != NULL);
    profile->name = arena_cstr(profiles->arena, str_from(name));
    *end = profile;
    return profile;
}

bool profiles_remove(struct profiles *profiles, const char *name)
{
    struct profile **at = &profiles->first;

    while (*at != NULL && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    if (*at == NULL)
        return false;
    *at = (*at)->next;
    if (profiles->current != NULL && strcmp(profiles->current, name) == 0)
        profiles->current = NULL;
    return true;
}

static const char **member(struct profile *profile, struct str key)
{
    if (str_is(key, "url"))
        return &profile->url;
    if (str_is(key, "token"))
        return &profile->token;
    return str_is(key, "tenant") ? &profile->tenant : NULL;
}

static int read_section(
    struct profiles *profiles, struct str line, struct profile **ret_profile, struct err *ret_err)
{
    const char *name;

    if (line.ptr[line.len - 1] != ']')
        return err_set(ret_err, ERR_BAD_REQUEST, "']' is missing");
    name = arena_cstr(profiles->arena, str_trim(str_make(line.ptr + 1, line.len - 2)));
    CHECK(name != NULL);
    if (!profile_name_is_valid(name))
        return err_set(ret_err, ERR_BAD_REQUEST, "'%s' is not a profile's name", name);
    if (profiles_find(profiles, name) != NULL)
        return err_set(ret_err, ERR_BAD_REQUEST, "there are two profiles named '%s'", name);
    *ret_profile = profiles_put(profiles, name);
    return 0;
}

static int read_line(
    struct profiles *profiles, struct str line, struct profile **profile, struct err *ret_err)
{
    struct str key;
    const char **place;

    line = str_trim(line);
    if (line.len == 0 || line.ptr[0] == '#')
        return 0;
    if (line.ptr[0] == '[')
        return read_section(profiles, line, profile, ret_err);
    key = str_trim(str_split(&line, '='));
    line = str_trim(line);
    if (*profile == NULL)
        place = str_is(key, "current") ? &profiles->current : NULL;
    else
        place = member(*profile, key);
    if (place == NULL)
        return err_set(ret_err, ERR_BAD_REQUEST, "unknown setting '%.*s'", STR_ARGS(key));
    if (line.len == 0)
        return err_set(ret_err, ERR_BAD_REQUEST, "'%.*s' has no value", STR_ARGS(key));
    *place = arena_cstr(profiles->arena, line);
    CHECK(*place != NULL);
    return 0;
}

static int parse(struct profiles *profiles, struct str text, struct err *ret_err)
{
    struct profile *profile = NULL;
    struct err err = ERR_INIT;

    for (unsigned number = 1; text.ptr != NULL; number++)
        if (read_line(profiles, str_split(&text, '\n'), &profile, &err) < 0)
            return err_set(
                ret_err, ERR_BAD_REQUEST, "%s, line %u: %s", profiles->path, number, err.msg);
    return 0;
}

int profiles_load(struct profiles *profiles, struct arena *arena, struct err *ret_err)
{
    struct buf text = {.limit_bytes = FILE_MAX_BYTES};
    struct err err = ERR_INIT;
    int result;

    *profiles = (struct profiles){.arena = arena};
    profiles->path = profile_path(arena, "XDG_CONFIG_HOME", ".config", "profiles");
    if (profiles->path == NULL)
        return 0; /* no home, no profiles: the environment still serves */
    result = file_read_private(profiles->path, &text, &err);
    if (result == 0)
        result = parse(profiles, buf_view(&text), &err);
    else if (err.code == ERR_NOT_FOUND)
        result = 0;
    if (result < 0)
        err_copy(ret_err, &err);
    if (text.bytes != NULL)
        explicit_bzero(text.bytes, text.len);
    buf_fini(&text);
    return result;
}

static void write_setting(struct buf *out, const char *key, const char *value)
{
    if (value != NULL)
        buf_printf(out, "%s = %s\n", key, value);
}

int profiles_save(const struct profiles *profiles, struct err *ret_err)
{
    struct buf text = {0};
    int result;

    if (profiles->path == NULL)
        return err_set(ret_err, ERR_IO, "there is no home folder to keep profiles in (set HOME)");
    buf_literal(
        &text, "# Profiles of rook; written by rook login. Keep it to yourself (mode 0600).\n");
    write_setting(&text, "current", profiles->current);
    for (const struct profile *profile = profiles->first; profile != NULL;
         profile = profile->next) {
        buf_printf(&text, "\n[%s]\n", profile->name);
        write_setting(&text, "url", profile->url);
        write_setting(&text, "token", profile->token);
        write_setting(&text, "tenant", profile->tenant);
    }
    result = file_write_private(profiles->path, buf_view(&text), ret_err);
    explicit_bzero(text.bytes, text.len);
    buf_fini(&text);
    return result;
}
