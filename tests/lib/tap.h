/* TAP for C tests: ok(), is_int(), is_str(), skip(), done_testing(). One program, one thread. */
#ifndef TESTS_LIB_TAP_H
#define TESTS_LIB_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_count;
static int tap_failures;

__attribute__((unused, format(printf, 4, 5))) static bool tap_ok(
    bool passed, const char *file, int line, const char *format, ...)
{
    char name[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(name, sizeof(name), format, args);
    va_end(args);
    (void)printf("%sok %d - %s\n", passed ? "" : "not ", ++tap_count, name);
    if (!passed) {
        tap_failures++;
        (void)printf("# at %s:%d\n", file, line);
    }
    (void)fflush(stdout);
    return passed;
}

__attribute__((unused)) static bool tap_is_int(
    long long got, long long want, const char *file, int line, const char *name)
{
    bool passed = tap_ok(got == want, file, line, "%s", name);

    if (!passed)
        (void)printf("# got %lld, want %lld\n", got, want);
    return passed;
}

__attribute__((unused)) static bool tap_is_str(
    const char *got, const char *want, const char *file, int line, const char *name)
{
    bool same = got != NULL && want != NULL ? strcmp(got, want) == 0 : got == want;
    bool passed = tap_ok(same, file, line, "%s", name);

    if (!passed)
        (void)printf("# got  \"%s\"\n# want \"%s\"\n", got == NULL ? "(null)" : got,
            want == NULL ? "(null)" : want);
    return passed;
}

#define ok(passed, ...) tap_ok((passed), __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want, name)                                                                    \
    tap_is_int((long long)(got), (long long)(want), __FILE__, __LINE__, name)
#define is_str(got, want, name) tap_is_str((got), (want), __FILE__, __LINE__, name)
#define skip(reason, name) ((void)printf("ok %d - %s # SKIP %s\n", ++tap_count, (name), (reason)))
#define done_testing()                                                                             \
    ((void)printf("1..%d\n", tap_count), tap_failures == 0 && tap_count > 0 ? 0 : 1)

#endif
