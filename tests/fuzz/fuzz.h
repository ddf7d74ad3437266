/* fuzz.h - what every target shares. A target is one file, fuzz_<name>.c, with one function that
 * takes any bytes; it checks properties and stops the process (SHERD_ASSERT) where one is broken.
 * libFuzzer calls it in the preset `fuzz`, replay.c in every other. */
#ifndef SHERD_TESTS_FUZZ_H
#define SHERD_TESTS_FUZZ_H

#include <stdlib.h>

#include "coord/assert.h"
#include "coord/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly that size, for free(): the sanitizer sees a single byte read beyond it. */
static inline uint8_t *fuzz_copy(struct sherd_bytes b)
{
    uint8_t *copy = malloc(b.size != 0 ? b.size : 1);

    SHERD_ASSERT(copy != NULL);
    sherd_bytes_put(copy, b);
    return copy;
}

/* The bytes as a text with a closing zero, for free(). */
static inline char *fuzz_text(struct sherd_bytes b)
{
    char *text = malloc(b.size + 1);

    SHERD_ASSERT(text != NULL);
    if (b.size != 0) memcpy(text, b.data, b.size);
    text[b.size] = '\0';
    return text;
}

static inline void fuzz_same(struct sherd_bytes a, struct sherd_bytes b)
{
    SHERD_ASSERT(a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0));
}

#endif
