/*
 * The head of a request: read the same however it comes in, spans within what
 * was read, and no request with two meanings: a length and a chunked body
 * never go together.
 *
 * Input: the size of the pieces, then the bytes.
 */
#include "agent/front/head.h"
#include "tests/fuzz/fuzz.h"

static enum ps_head_result
read_head(struct ps_head *head, struct ps_str text, size_t piece, size_t *end)
{
    enum ps_head_result result = PS_HEAD_MORE;
    ps_head_begin(head);
    for (size_t to = 0; result == PS_HEAD_MORE && to < text.len;) {
        size_t from = to;
        to += PS_MIN(piece, text.len - to);
        result = ps_head_feed(head, text.ptr, from, to, end);
        if (result == PS_HEAD_DONE)
            FUZZ_CHECK(*end <= to);
    }
    return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    size_t piece = fuzz_byte(&in), end = 0, other_end = 0;
    struct ps_str text = fuzz_rest(&in);
    struct ps_head head, other;
    enum ps_head_result result = read_head(&head, text, SIZE_MAX, &end);
    FUZZ_CHECK(read_head(&other, text, piece ? piece : 1, &other_end) ==
               result);
    if (result == PS_HEAD_BAD)
        FUZZ_CHECK(head.problem && head.problem[0]);
    if (result != PS_HEAD_DONE)
        return 0;
    FUZZ_CHECK(end == other_end && end <= text.len);
    FUZZ_CHECK(head.method == other.method);
    FUZZ_CHECK(head.target.at == other.target.at &&
               head.target.len == other.target.len);
    FUZZ_CHECK(head.target.at + head.target.len <= end);
    FUZZ_CHECK(head.chunked == other.chunked);
    FUZZ_CHECK(head.content_length == other.content_length);
    FUZZ_CHECK(head.keep_alive == other.keep_alive);
    FUZZ_CHECK(!(head.chunked && head.has_length));
    FUZZ_CHECK(!(head.chunked && head.http_1_0));
    struct ps_str path = ps_head_path(&head, text.ptr);
    FUZZ_CHECK(ps_str_eq(path, PS_STR("/")) ||
               (path.ptr >= text.ptr && path.ptr + path.len <= text.ptr + end));
    return 0;
}
