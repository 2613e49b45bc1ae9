/* test/fuzz/fuzz.h — the one function that every fuzz target defines and libFuzzer or replay.c calls. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Returns 0; aborts when a property is broken. `data` has exactly `size` bytes. */
