/*
 * A value of a PostgreSQL server, of every kind and in every array: JSON comes
 * out, or an error. (Bytes that are no UTF-8 come out as U+FFFD.)
 *
 * Input: the kind, then the value's text.
 */
#include "agent/result/pg_values.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

enum {
    OUT_MAX = 16 << 20,
    ARRAY = 128
};

/* json must be one JSON value, where the text it was made from is UTF-8. */
static void
check_json(struct ps_str json)
{
    json_error_t error;
    json_t *value = json_loadb(json.ptr, json.len,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    /* What JavaScript holds and jansson does not: large numbers, deep
     * nesting, halves of surrogate pairs. */
    if (!value && json_error_code(&error) == json_error_invalid_syntax) {
        bool surrogate =
            strstr(error.text, "Unicode") || strstr(error.text, "escape");
        FUZZ_CHECK(surrogate || strstr(error.text, "too big"));
    }
    json_decref(value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    unsigned kind = fuzz_byte(&in);
    struct ps_pg_type type = {.kind = (kind & 127) % PS_PG_KIND_COUNT,
                              .array = kind & ARRAY};
    struct ps_str text = fuzz_rest(&in);
    struct ps_buf out, scratch;
    ps_buf_init(&out, OUT_MAX);
    ps_buf_init(&scratch, OUT_MAX);
    enum ps_rc rc = ps_pg_value_json(&out, type, text, &scratch);
    FUZZ_CHECK(ps_buf_rc(&out) == PS_OK && ps_buf_rc(&scratch) == PS_OK);
    if (rc == PS_OK && ps_utf8_check(text) == text.len)
        check_json(ps_buf_str(&out));
    ps_buf_done(&out);
    ps_buf_done(&scratch);
    return 0;
}
