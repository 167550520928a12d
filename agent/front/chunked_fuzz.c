/*
 * The chunked decoder: the same bytes out however they come in, never more
 * than the limit, and nothing written beyond what was read.
 *
 * Input: the size of the pieces, then the coded bytes.
 */
#include "agent/front/chunked.h"
#include "tests/fuzz/fuzz.h"

enum {
    MAX_DECODED = 4096
};

struct outcome {
    enum ps_chunked_result result;
    size_t in, out;
    char *data; /* out decoded bytes */
};

static struct outcome
decode(struct ps_str text, size_t piece)
{
    struct outcome o = {.result = PS_CHUNKED_MORE};
    struct ps_chunked chunked;
    o.data = malloc(text.len ? text.len : 1);
    FUZZ_CHECK(o.data);
    memcpy(o.data, text.ptr, text.len);
    ps_chunked_begin(&chunked);
    for (size_t end = 0; o.result == PS_CHUNKED_MORE && end < text.len;) {
        end += PS_MIN(piece, text.len - end);
        o.result =
            ps_chunked_feed(&chunked, o.data, &o.in, end, &o.out, MAX_DECODED);
        FUZZ_CHECK(o.out <= o.in && o.in <= end);
        FUZZ_CHECK(o.result != PS_CHUNKED_MORE || o.in == end);
        FUZZ_CHECK(chunked.total == o.out && o.out <= MAX_DECODED);
    }
    return o;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    size_t piece = fuzz_byte(&in);
    struct ps_str text = fuzz_rest(&in);
    struct outcome whole = decode(text, SIZE_MAX);
    struct outcome parts = decode(text, piece ? piece : 1);
    FUZZ_CHECK(whole.result == parts.result);
    FUZZ_CHECK(whole.in == parts.in && whole.out == parts.out);
    FUZZ_CHECK(memcmp(whole.data, parts.data, whole.out) == 0);
    free(whole.data);
    free(parts.data);
    return 0;
}
