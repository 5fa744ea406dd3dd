#include "tests/crash/names.h"

#include <stdio.h>
#include <string.h>

#include "tenants/base/mem.h"

struct entry *names_find(struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (!names->entries[i].gone && strcmp(names->entries[i].name, name) == 0)
            return &names->entries[i];
    return NULL;
}

void names_put(struct names *names, const char *name, int file)
{
    struct entry *entry = names_find(names, name);

    if (entry != NULL) {
        entry->file = file;
        return;
    }
    for (size_t i = 0; i < names->count && entry == NULL; i++)
        if (names->entries[i].gone)
            entry = &names->entries[i];
    if (entry == NULL) {
        if (names->count == names->capacity) {
            names->capacity = names->capacity * 2 + 16;
            names->entries = mem_realloc(names->entries, names->capacity * sizeof(*names->entries));
        }
        entry = &names->entries[names->count++];
    } else {
        mem_free(entry->name);
    }
    *entry = (struct entry){.name = mem_strdup(name), .file = file};
}

void names_drop(struct names *names, const char *name)
{
    struct entry *entry = names_find(names, name);

    if (entry != NULL)
        entry->gone = true;
}

void names_copy(struct names *to, const struct names *from)
{
    for (size_t i = 0; i < from->count; i++)
        if (!from->entries[i].gone)
            names_put(to, from->entries[i].name, from->entries[i].file);
}

void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        mem_free(names->entries[i].name);
    mem_free(names->entries);
    *names = (struct names){.count = 0};
}

void names_move(struct names *names, const char *name, const char *to)
{
    const struct entry *entry = names_find(names, name);
    size_t len = strlen(name);
    size_t count = names->count; /* what is added below is not looked at again */

    if (entry == NULL)
        return;
    names_put(names, to, entry->file);
    names_drop(names, name);
    for (size_t i = 0; i < count; i++) {
        char path[400];

        if (names->entries[i].gone || strncmp(names->entries[i].name, name, len) != 0 ||
            names->entries[i].name[len] != '/')
            continue;
        (void)snprintf(path, sizeof(path), "%s%s", to, names->entries[i].name + len);
        names->entries[i].gone = true;
        names_put(names, path, names->entries[i].file);
    }
}
