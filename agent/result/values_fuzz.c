/*
 * One value of one column, of every type, from MySQL or MariaDB
 * (my_values_fuzz) or from SQL Server (tds_values_fuzz, which PS_FUZZ_TDS makes
 * of this file): JSON comes out, where the text was UTF-8, or an error.
 *
 * Input: the column's type, for MySQL whether it is of bytes, then the value's
 * text. For SQL Server the type is ODBC's number as a signed byte; the lowest
 * mean FreeTDS's own.
 */
#include "agent/result/my_values.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

#include <string.h>

enum {
    FUZZ_OUT_MAX = 16 << 20
};

/* json must be one JSON value. */
static void
fuzz_check_json(struct ps_str json)
{
    json_error_t error;
    json_t *value = json_loadb(json.ptr, json.len,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    /* What JavaScript holds and jansson does not: large numbers, deep
     * nesting, halves of surrogate pairs. */
    if (!value && json_error_code(&error) == json_error_invalid_syntax)
        FUZZ_CHECK(strstr(error.text, "Unicode") ||
                   strstr(error.text, "escape") ||
                   strstr(error.text, "too big"));
    json_decref(value);
}

static void
fuzz_value(const struct ps_values *values, const struct ps_column *column,
           struct ps_str text)
{
    uint32_t kind = values->kind_of(column);
    struct ps_buf out, scratch;
    ps_buf_init(&out, FUZZ_OUT_MAX);
    ps_buf_init(&scratch, FUZZ_OUT_MAX);
    enum ps_rc rc = values->json(&out, kind, text, &scratch);
    FUZZ_CHECK(rc == PS_OK || rc == PS_ORIGIN_PROTOCOL);
    FUZZ_CHECK(ps_buf_rc(&out) == PS_OK && ps_buf_rc(&scratch) == PS_OK);
    if (rc == PS_OK && ps_utf8_check(text) == text.len)
        fuzz_check_json(ps_buf_str(&out));
    if (values->is_true)
        values->is_true(kind, text);
    ps_buf_done(&out);
    ps_buf_done(&scratch);
}

#ifdef PS_FUZZ_TDS
static const struct ps_values *
read_column(struct fuzz_input *in, struct ps_column *column)
{
    int type = (int8_t)fuzz_byte(in);
    if (type < -100)
        type -= 50; /* -151 ... -178: odbcss.h */
    column->type = (uint32_t)type;
    return &ps_tds_values;
}
#else
static const struct ps_values *
read_column(struct fuzz_input *in, struct ps_column *column)
{
    column->type = fuzz_byte(in);
    column->type_modifier = fuzz_byte(in) & 1 ? PS_MY_CHARSET_BINARY : 45;
    return &ps_my_values;
}
#endif

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    struct ps_column column = {.type = 0};
    const struct ps_values *values = read_column(&in, &column);
    fuzz_value(values, &column, fuzz_rest(&in));
    return 0;
}
