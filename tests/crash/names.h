/* Names in folders: paths from a root, each a file's number or a folder. */
#ifndef TESTS_CRASH_NAMES_H
#define TESTS_CRASH_NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct entry {
    char *name; /* owned */
    int file;   /* -1: a folder */
    bool gone;  /* free to be used again */
};

struct names {
    struct entry *entries; /* owned */
    size_t count, capacity;
};

/* NULL when there is none. */
struct entry *names_find(struct names *names, const char *name);
void names_put(struct names *names, const char *name, int file);
void names_drop(struct names *names, const char *name);
/* A rename; a folder takes what is in it along. Nothing when there is no such name. */
void names_move(struct names *names, const char *name, const char *to);
void names_copy(struct names *to, const struct names *from);
void names_free(struct names *names);

#endif
