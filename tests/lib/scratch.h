/* Folders and programs that a test needs for a while. */
#ifndef TESTS_LIB_SCRATCH_H
#define TESTS_LIB_SCRATCH_H

#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Makes <where>/rookery-XXXXXX. -1 on failure. */
__attribute__((unused)) static int scratch_make(char *path, size_t size, const char *where)
{
    if (snprintf(path, size, "%s/rookery-XXXXXX", where) >= (int)size)
        return -1;
    return mkdtemp(path) == NULL ? -1 : 0;
}

__attribute__((unused)) static int scratch_remove_one(
    const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

/* The folder and everything in it. */
__attribute__((unused)) static int scratch_remove(const char *path)
{
    return nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Runs a program found in PATH; `out` gets what it prints on both streams. Its exit status, or -1
 * when it cannot be run. */
__attribute__((unused)) static int scratch_run(char *const words[], char *out, size_t size)
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    int ends[2], status = -1;
    size_t len = 0;
    pid_t pid;
    ssize_t n;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    if (posix_spawnp(&pid, words[0], &actions, NULL, words, environ) != 0)
        pid = -1;
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    while (pid > 0 && len + 1 < size && (n = read(ends[0], out + len, size - 1 - len)) > 0)
        len += (size_t)n;
    out[len] = '\0';
    (void)close(ends[0]);
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) == 127)
        return -1;
    return WEXITSTATUS(status);
}

#endif
