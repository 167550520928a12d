/*
 * The form of POST /v1/query. Values are those of the provider's Node driver,
 * as in the PolyScale format.
 */
#include "agent/result/styles.h"
#include "agent/result/type_names.h"
#include "common/utf8.h"

enum {
    /* enum ps_provider */
    PROVIDER_MYSQL = 1,
    PROVIDER_MARIADB = 2
};

void
ps_origin_text_json(struct ps_buf *out, const char *text)
{
    char clean[4096];
    if (!text) {
        ps_buf_append(out, "null", 4);
        return;
    }
    struct ps_str s = {clean, strnlen(text, sizeof(clean))};
    memcpy(clean, text, s.len);
    /* A character that was cut is no character. */
    for (size_t at = ps_utf8_check(s); at < s.len;
         at += ps_utf8_check((struct ps_str){clean + at, s.len - at}))
        clean[at] = '?';
    ps_buf_append_json(out, s);
}

/* Only MySQL's columns tell it. */
static void
nullable_json(struct ps_buf *out, int provider, const struct ps_column *column)
{
    if (provider != PROVIDER_MYSQL && provider != PROVIDER_MARIADB)
        ps_buf_append_c(out, "null");
    else
        ps_buf_append_c(out,
                        column->flags & PS_MY_FLAG_NOT_NULL ? "false" : "true");
}

static void
columns_json(struct ps_buf *out, int provider, const struct ps_column *columns,
             size_t n)
{
    ps_buf_append_c(out, "{\"columns\":[");
    for (size_t i = 0; i < n; i++) {
        ps_buf_append_c(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        ps_buf_append_json(out, columns[i].name);
        ps_buf_append_c(out, ",\"type\":");
        ps_type_name_json(out, provider, &columns[i]);
        ps_buf_append_c(out, ",\"nullable\":");
        nullable_json(out, provider, &columns[i]);
        ps_buf_append_char(out, '}');
    }
    ps_buf_append_char(out, ']');
}

static void
begin(struct ps_buf *out, int provider, const struct ps_column *columns,
      size_t n)
{
    columns_json(out, provider, columns, n);
    ps_buf_append_c(out, ",\"rows\":[");
}

static void
count_json(struct ps_buf *out, const struct ps_result_end *end, bool any_set,
           uint64_t n_rows)
{
    ps_buf_append_c(out, "\"row_count\":");
    ps_buf_append_u64(out, any_set ? n_rows : end->rows);
    ps_buf_append_c(out, ",\"command\":");
    ps_buf_append_json(out, end->command);
    if (end->insert_id) {
        ps_buf_append_c(out, ",\"insert_id\":\"");
        ps_buf_append_u64(out, end->insert_id);
        ps_buf_append_char(out, '"');
    }
    ps_buf_printf(out, ",\"cache\":{\"template\":\"%016llx\"",
                  (unsigned long long)end->fingerprint);
}

static void
end(struct ps_buf *out, const struct ps_result_end *end, bool any_set,
    uint64_t n_rows)
{
    ps_buf_append_c(out, "],");
    count_json(out, end, any_set, n_rows);
}

static void
lines_begin(struct ps_buf *out, int provider, const struct ps_column *columns,
            size_t n)
{
    columns_json(out, provider, columns, n);
    ps_buf_append_c(out, "}\n");
}

static void
lines_end(struct ps_buf *out, const struct ps_result_end *end, bool any_set,
          uint64_t n_rows)
{
    ps_buf_append_char(out, '{');
    count_json(out, end, any_set, n_rows);
}

/* An object of what the origin said. */
static void
error(struct ps_buf *out, const struct ps_origin_error *error)
{
    static const char *const keys[] = {
#define X(name, key) "\"" key "\":",
        PS_ORIGIN_ERROR_TABLE(X)
#undef X
    };
    char mark = '{';
    for (size_t i = 0; i < PS_ORIGIN_ERROR_COUNT; i++) {
        if (!error->fields[i])
            continue;
        ps_buf_append_char(out, mark);
        ps_buf_append_c(out, keys[i]);
        ps_origin_text_json(out, error->fields[i]);
        mark = ',';
    }
    if (error->number) {
        ps_buf_append_char(out, mark);
        ps_buf_append_c(out, "\"number\":");
        ps_buf_append_u64(out, error->number);
        mark = ',';
    }
    ps_buf_append_c(out, mark == '{' ? "{}" : "}");
}

#define JSON(array)                                                    \
    {                                                                  \
        .begin = begin, .between = ",", .end = end, .arrays = (array), \
        .error = error                                                 \
    }
#define LINES(array)                                                           \
    {                                                                          \
        .begin = lines_begin, .between = "", .behind = "\n", .end = lines_end, \
        .arrays = (array), .error = error                                      \
    }

const struct ps_rows_style ps_query_style[2][2] = {
    {JSON(false), LINES(false)},
    {JSON(true),  LINES(true) }
};
