/*
 * The JSON copier against jansson: what is accepted has the same meaning, and
 * a copy of a copy is the copy.
 */
#include "agent/result/json_copy.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

enum {
    OUT_MAX = 64 << 20
};

/* Numbers may differ in form (JavaScript's), in value they may not beyond a
 * double's. */
static bool
same(const json_t *a, const json_t *b)
{
    const json_t *member;
    const char *key;
    size_t i;
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_object(a)) {
        union {
            const json_t *in;
            json_t *out;
        } object = {.in = a};
        json_object_foreach(object.out, key, member)
        {
            const json_t *other = json_object_get(b, key);
            if (!other || !same(member, other))
                return false;
        }
        return json_object_size(a) == json_object_size(b);
    }
    if (!json_is_array(a))
        return json_equal(a, b);
    if (json_array_size(a) != json_array_size(b))
        return false;
    json_array_foreach(a, i, member)
    {
        if (!same(member, json_array_get(b, i)))
            return false;
    }
    return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_str text = {size ? (const char *)data : "", size};
    struct ps_buf once, twice;
    ps_buf_init(&once, OUT_MAX);
    ps_buf_init(&twice, OUT_MAX);
    bool copied = ps_json_copy(&once, text) == PS_OK;
    if (copied && ps_utf8_check(text) == text.len) {
        struct ps_str copy = ps_buf_str(&once);
        const size_t flags =
            JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
        json_t *a = json_loadb(text.ptr, text.len, flags, NULL);
        json_t *b = json_loadb(copy.ptr, copy.len, flags, NULL);
        FUZZ_CHECK(ps_json_copy(&twice, copy) == PS_OK);
        FUZZ_CHECK(ps_str_eq(ps_buf_str(&twice), copy));
        if (a)
            FUZZ_CHECK(b && same(a, b));
        json_decref(a);
        json_decref(b);
    }
    /* (jansson passes over some NUL bytes.) */
    if (!copied && !memchr(text.ptr, 0, text.len)) {
        json_t *a = json_loadb(text.ptr, text.len, JSON_DECODE_ANY, NULL);
        FUZZ_CHECK(!a);
        json_decref(a);
    }
    ps_buf_done(&once);
    ps_buf_done(&twice);
    return 0;
}
