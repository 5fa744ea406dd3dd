/* Where there is no libFuzzer: runs a target over the files of the folders it is given, each whole,
 * cut at every length, and changed at random (the seed is printed). */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "tenants/base/random.h"
#include "tenants/base/str.h"

#define INPUT_MAX 65536
#define CUTS_MAX 512
#define MUTATIONS 500

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static uint64_t state;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* From a block of exactly `len` bytes, so that ASan sees a read behind it. */
static void run(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);

    if (copy == NULL)
        abort();
    memcpy(copy, bytes, len);
    (void)LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static void mutate(const uint8_t *bytes, size_t len)
{
    static uint8_t changed[INPUT_MAX];

    for (int i = 0; i < MUTATIONS && len > 0; i++) {
        memcpy(changed, bytes, len);
        for (uint64_t times = 1 + next() % 4; times > 0; times--)
            changed[next() % len] = (uint8_t)next();
        run(changed, len);
    }
}

static int replay(const char *path)
{
    static uint8_t bytes[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    size_t len;

    if (file == NULL)
        return -1;
    len = fread(bytes, 1, sizeof(bytes), file);
    (void)fclose(file);
    run(bytes, len);
    for (size_t cut = 0; cut < len && cut < CUTS_MAX; cut++)
        run(bytes, cut);
    mutate(bytes, len);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned files = 0;

    state = random_u64() | 1;
    (void)printf("seed %llu\n", (unsigned long long)state);
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        struct dirent *entry;

        while (folder != NULL && (entry = readdir(folder)) != NULL) {
            char path[4096];

            (void)snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
            if (entry->d_name[0] == '.')
                continue;
            (void)printf("%s\n", path);
            (void)fflush(stdout);
            if (replay(path) < 0)
                return 1;
            files++;
        }
        if (folder != NULL)
            (void)closedir(folder);
    }
    (void)printf("%u files\n", files);
    return files > 0 ? 0 : 1;
}
