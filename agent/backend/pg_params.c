/*
 * Parameters as node-pg sends them: text without a type, which the server
 * infers; an array becomes one array literal whose elements are all quoted
 * (pg/lib/utils.js arrayString), so that text[] and int[] alike understand
 * it. libpq wants NUL-terminated strings: everything is copied into one
 * buffer, then turned from offsets into pointers.
 */
#include "agent/backend/pg.h"

#include <stdlib.h>

static void
append_quoted(struct ps_buf *out, struct ps_str text)
{
    ps_buf_append_char(out, '"');
    for (size_t at = 0; at < text.len;) {
        size_t first = at;
        while (at < text.len && text.ptr[at] != '"' && text.ptr[at] != '\\')
            at++;
        ps_buf_append(out, text.ptr + first, at - first);
        if (at < text.len) {
            ps_buf_append_char(out, '\\');
            ps_buf_append_char(out, text.ptr[at++]);
        }
    }
    ps_buf_append_char(out, '"');
}

enum {
    DEPTH_MAX = 16 /* PostgreSQL's arrays have at most 6 dimensions */
};

static enum ps_rc
append_array(struct ps_buf *out, const struct ps_param *array, unsigned depth)
{
    if (depth == DEPTH_MAX)
        return PS_BAD_BINDINGS;
    ps_buf_append_char(out, '{');
    for (size_t i = 0; i < array->n_items; i++) {
        const struct ps_param *item = &array->items[i];
        enum ps_rc rc = PS_OK;
        if (i > 0)
            ps_buf_append_char(out, ',');
        if (item->kind == PS_PARAM_NULL)
            ps_buf_append(out, "NULL", 4);
        else if (item->kind == PS_PARAM_ARRAY)
            rc = append_array(out, item, depth + 1);
        else
            append_quoted(out, item->text);
        if (rc != PS_OK)
            return rc;
    }
    ps_buf_append_char(out, '}');
    return PS_OK;
}

enum {
    PARAMS_MAX = 65535 /* Bind counts them in 16 bits */
};

enum ps_rc
ps_pg_params(const struct ps_statement *statement, struct ps_buf *text,
             const char ***values)
{
    size_t n = statement->n_params;
    if (n > PARAMS_MAX)
        return PS_BAD_BINDINGS;
    size_t *offsets = calloc(n + 1, sizeof(*offsets));
    const char **out = calloc(n + 1, sizeof(*out));
    enum ps_rc rc = offsets && out ? PS_OK : PS_NO_MEMORY;
    ps_buf_clear(text);
    ps_buf_append_str(text, statement->sql);
    ps_buf_append_char(text, '\0');
    for (size_t i = 0; rc == PS_OK && i < n; i++) {
        const struct ps_param *param = &statement->params[i];
        offsets[i] = text->len;
        if (param->kind == PS_PARAM_ARRAY)
            rc = append_array(text, param, 0);
        else
            ps_buf_append_str(text, param->text);
        ps_buf_append_char(text, '\0');
    }
    if (rc == PS_OK)
        rc = ps_buf_rc(text);
    for (size_t i = 0; rc == PS_OK && i < n; i++) {
        if (statement->params[i].kind != PS_PARAM_NULL)
            out[i] = text->data + offsets[i];
    }
    free(offsets);
    if (rc == PS_OK)
        *values = out;
    else
        free(out);
    return rc;
}
