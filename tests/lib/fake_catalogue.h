/* A catalogue on the fake engine, in a folder that holds nothing but operator.token. */
#ifndef TESTS_LIB_FAKE_CATALOGUE_H
#define TESTS_LIB_FAKE_CATALOGUE_H

#include "tests/lib/catalogue_calls.h"
#include "tests/lib/fake_engine.h"

static char folder[] = "/tmp/rookery-catalogue-XXXXXX";
static char bootstrap[CATALOGUE_BOOTSTRAP_BYTES];

static void open_catalogue(void)
{
    struct err err = ERR_INIT;

    if (catalogue_open(NULL, folder, &made.catalogue, bootstrap, &err) < 0) {
        (void)printf("Bail out! %s\n", err.msg);
        exit(1);
    }
}

/* Folder, database, arena; not the catalogue. */
static void fake_catalogue_begin(void)
{
    if (mkdtemp(folder) == NULL)
        exit(1);
    fake_open();
    arena_init(&made.arena, 0);
}

static void fake_catalogue_end(void)
{
    char path[128];

    catalogue_close(made.catalogue);
    arena_fini(&made.arena);
    fake_close();
    (void)snprintf(path, sizeof(path), "%s/operator.token", folder);
    ok(remove(path) == 0 && remove(folder) == 0, "nothing but operator.token is in the folder");
}

#endif
