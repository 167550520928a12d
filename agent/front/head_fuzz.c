/*
 * The head of a request: read the same however it comes in, spans within what
 * was read, and no request with two meanings: a length and a chunked body
 * never go together. What the memo of known heads recognises is what the
 * parser reads, also when a byte of it is another one.
 *
 * Input: the size of the pieces, then the bytes.
 */
#include "agent/front/head_memo.h"
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

static void
check_same(const struct ps_head *a, const struct ps_head *b)
{
    FUZZ_CHECK(a->method == b->method);
    FUZZ_CHECK(a->target.at == b->target.at && a->target.len == b->target.len);
    FUZZ_CHECK(a->http_1_0 == b->http_1_0);
    FUZZ_CHECK(a->has_length == b->has_length && a->chunked == b->chunked);
    FUZZ_CHECK(a->content_length == b->content_length);
    FUZZ_CHECK(a->keep_alive == b->keep_alive);
    FUZZ_CHECK(a->expect_continue == b->expect_continue);
    FUZZ_CHECK(a->no_cache == b->no_cache && a->no_store == b->no_store);
    FUZZ_CHECK(a->only_if_cached == b->only_if_cached);
    FUZZ_CHECK(a->has_max_age == b->has_max_age);
    FUZZ_CHECK(a->max_age_s == b->max_age_s);
    FUZZ_CHECK(a->stale_if_error_s == b->stale_if_error_s);
    for (int i = 0; i < PS_HEAD_KEPT_COUNT; i++)
        FUZZ_CHECK(a->kept[i].at == b->kept[i].at &&
                   a->kept[i].len == b->kept[i].len);
}

/* other: like text, which is a whole good head, or nearly so. */
static void
check_memo(struct ps_str text, const struct ps_head *head, struct ps_str other)
{
    static struct ps_head_memo memo; /* too large for the stack */
    struct ps_head known, parsed;
    size_t end = 0, parsed_end = 0;
    unsigned place = 0;
    memset(&memo, 0, sizeof(memo));
    ps_head_memo_keep(&memo, &place, text, head);
    if (ps_head_memo_find(&memo, &place, text, &known, &end)) {
        FUZZ_CHECK(end == text.len);
        check_same(&known, head);
    } else {
        FUZZ_CHECK(text.len > PS_HEAD_MEMO_BYTES);
    }
    if (!ps_head_memo_find(&memo, &place, other, &known, &end))
        return;
    FUZZ_CHECK(read_head(&parsed, other, SIZE_MAX, &parsed_end) ==
               PS_HEAD_DONE);
    FUZZ_CHECK(end == parsed_end);
    check_same(&known, &parsed);
}

/* With one byte replaced, moved or put in, at a place that the data chooses. */
static void
check_memo_near(struct ps_str text, const struct ps_head *head, uint8_t choice)
{
    char near[PS_HEAD_MEMO_BYTES + 1];
    if (text.len == 0 || text.len > PS_HEAD_MEMO_BYTES)
        return;
    size_t at = head->has_length && choice & 1 ? head->length.at + choice / 64
                                               : choice * text.len / 256;
    at = PS_MIN(at, text.len - 1);
    memcpy(near, text.ptr, text.len);
    near[at] = (char)(choice & 2 ? '0' + choice / 4 % 10 : choice);
    check_memo(text, head, (struct ps_str){near, text.len});
    memmove(near + at + 1, text.ptr + at, text.len - at);
    check_memo(text, head, (struct ps_str){near, text.len + 1});
    memcpy(near, text.ptr, at);
    memcpy(near + at, text.ptr + at + 1, text.len - at - 1);
    check_memo(text, head, (struct ps_str){near, text.len - 1});
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
    check_same(&head, &other);
    FUZZ_CHECK(head.target.at + head.target.len <= end);
    check_memo_near((struct ps_str){text.ptr, end}, &head, (uint8_t)piece);
    FUZZ_CHECK(!(head.chunked && head.has_length));
    FUZZ_CHECK(!(head.chunked && head.http_1_0));
    struct ps_str path = ps_head_path(&head, text.ptr);
    FUZZ_CHECK(ps_str_eq(path, PS_STR("/")) ||
               (path.ptr >= text.ptr && path.ptr + path.len <= text.ptr + end));
    return 0;
}
