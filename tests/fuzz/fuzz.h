/*
 * For every NAME_fuzz.c: the entry point that libFuzzer and replay.c call,
 * and what a broken promise does.
 */
#ifndef PS_TESTS_FUZZ_FUZZ_H
#define PS_TESTS_FUZZ_FUZZ_H

#include "common/base.h"

#include <stdio.h>
#include <stdlib.h>

/* Always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Stays on in every build: the fuzzer and the replay look for nothing else. */
#define FUZZ_CHECK(condition)                                            \
    do {                                                                 \
        if (!(condition)) {                                              \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, \
                    #condition);                                         \
            abort();                                                     \
        }                                                                \
    } while (0)

/* The bytes of an input, taken from the front. */
struct fuzz_input {
    const uint8_t *at, *end;
};

static inline uint8_t
fuzz_byte(struct fuzz_input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

/* What is left, as text. Not NULL. */
static inline struct ps_str
fuzz_rest(const struct fuzz_input *in)
{
    return (struct ps_str){in->at == in->end ? "" : (const char *)in->at,
                           (size_t)(in->end - in->at)};
}

#endif
