/* Runs a fuzz target over files instead of the fuzzer: each argument is a file or a folder (read
 * recursively). TAP: one point per file, and one for there being any. */
#include <dirent.h>
#include <stdint.h>
#include <sys/stat.h>

#include "tests/fuzz/target.h"
#include "tests/lib/tap.h"

static void run_file(const char *path)
{
    FILE *file = fopen(path, "re");
    static uint8_t bytes[1 << 20];
    uint8_t *exact;
    size_t len;

    if (file == NULL) {
        ok(false, "%s can be read", path);
        return;
    }
    len = fread(bytes, 1, sizeof(bytes), file);
    (void)fclose(file);
    exact = malloc(len == 0 ? 1 : len); /* so that ASan sees what is read beyond */
    memcpy(exact, bytes, len);
    (void)LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    ok(true, "%s", path);
}

static void run_path(const char *path)
{
    struct stat status;
    struct dirent *entry;
    DIR *folder;

    if (stat(path, &status) != 0)
        return;
    if (!S_ISDIR(status.st_mode)) {
        run_file(path);
        return;
    }
    folder = opendir(path);
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char name[4096];

        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        run_path(name);
    }
    if (folder != NULL)
        (void)closedir(folder);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    ok(tap_count > 0, "the corpus is not empty");
    return done_testing();
}
