/* A fuzz target: libFuzzer calls it in a fuzz build (-Dfuzz=true, clang); elsewhere
 * tests/fuzz/replay.c calls it for each file of its corpus, as a test. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
