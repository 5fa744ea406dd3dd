/* Runs a fuzz target over every file of the folders named on the command line, one test each, and
 * over each file's prefixes, so that a corpus of good inputs also tests cut-off ones. */
#include <dirent.h>
#include <stdio.h>

#include "tenants/base/mem.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/tap.h"

#define INPUT_MAX (1024UL * 1024)

static void replay(const char *folder, const char *name)
{
    char path[1024];
    uint8_t *bytes;
    size_t len;
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "re");
    if (file == NULL)
        return;
    bytes = mem_alloc(INPUT_MAX);
    len = fread(bytes, 1, INPUT_MAX, file);
    (void)fclose(file);
    for (size_t cut = 0; cut <= len && len < 8192; cut++) {
        uint8_t *copy = mem_alloc(cut + 1); /* its own block: sanitizers see an overrun */

        if (cut > 0)
            memcpy(copy, bytes, cut);
        (void)LLVMFuzzerTestOneInput(copy, cut);
        mem_free(copy);
    }
    (void)LLVMFuzzerTestOneInput(bytes, len);
    mem_free(bytes);
    ok(true, "%s (%zu bytes and every prefix)", name, len);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        struct dirent *entry;

        while (folder != NULL && (entry = readdir(folder)) != NULL) {
            if (entry->d_name[0] != '.')
                replay(argv[i], entry->d_name);
        }
        if (folder != NULL)
            (void)closedir(folder);
    }
    ok(tap_count > 0, "the corpus is not empty");
    return done_testing();
}
