/*
 * The array literal as postgres-array 2 reads it: optional bounds up to '=',
 * braces nest, elements are separated by commas, quoted ones may hold
 * anything with backslashes, an unquoted NULL is null. White space is not
 * skipped; PostgreSQL writes none. One pass, no recursion.
 */
#include "agent/result/pg_values.h"

enum {
    DEPTH_MAX = 64 /* PostgreSQL's own limit is 6 */
};

struct reader {
    struct ps_buf *out;
    struct ps_buf *element; /* what is read of the current one */
    struct ps_pg_type type;
    const char *at, *end;
    unsigned depth;
    bool comma; /* the next item needs one before it */
    enum ps_rc rc;
};

static void
begin_item(struct reader *r)
{
    if (r->comma)
        ps_buf_append_char(r->out, ',');
    r->comma = true;
}

/* The element ends; a quoted one counts even when empty. */
static void
end_element(struct reader *r, bool quoted)
{
    struct ps_str text = ps_buf_str(r->element);
    if (text.len == 0 && !quoted)
        return;
    begin_item(r);
    if (!quoted && ps_str_eq(text, PS_STR("NULL"))) {
        ps_buf_append(r->out, "null", 4);
    } else {
        if (!text.ptr)
            text = PS_STR("");
        enum ps_rc rc = ps_pg_value_json(r->out, r->type, text, NULL);
        if (rc != PS_OK)
            r->rc = rc;
    }
    ps_buf_clear(r->element);
}

static bool
is_special(char c)
{
    return c == '{' || c == '}' || c == ',' || c == '"';
}

/* Collects the rest of an element up to what ends it, backslashes resolved. */
static void
collect(struct reader *r, bool quoted)
{
    while (r->at < r->end && !(quoted ? *r->at == '"' : is_special(*r->at))) {
        const char *first = r->at;
        while (r->at < r->end && *r->at != '\\' &&
               !(quoted ? *r->at == '"' : is_special(*r->at)))
            r->at++;
        ps_buf_append(r->element, first, (size_t)(r->at - first));
        if (r->at < r->end && *r->at == '\\') {
            r->at++;
            if (r->at < r->end)
                ps_buf_append_char(r->element, *r->at++);
        }
    }
}

static void
open_brace(struct reader *r)
{
    if (r->depth == DEPTH_MAX) {
        r->rc = PS_ORIGIN_PROTOCOL;
        return;
    }
    begin_item(r);
    r->depth++;
    r->comma = false;
    ps_buf_append_char(r->out, '[');
}

static void
close_brace(struct reader *r)
{
    if (r->depth == 0) {
        r->rc = PS_ORIGIN_PROTOCOL;
        return;
    }
    end_element(r, false);
    r->depth--;
    r->comma = true;
    ps_buf_append_char(r->out, ']');
}

static void
read_token(struct reader *r)
{
    switch (*r->at) {
    case '{':
        r->at++;
        open_brace(r);
        break;
    case '}':
        r->at++;
        close_brace(r);
        break;
    case ',':
        r->at++;
        end_element(r, false);
        break;
    case '"':
        r->at++;
        collect(r, true);
        if (r->at < r->end)
            r->at++;
        else
            r->rc = PS_ORIGIN_PROTOCOL;
        end_element(r, true);
        break;
    default:
        collect(r, false);
        break;
    }
}

enum ps_rc
ps_pg_array_json(struct ps_buf *out, enum ps_pg_kind element,
                 struct ps_str text, struct ps_buf *scratch)
{
    struct reader r = {
        .out = out,
        .element = scratch,
        .type = {(unsigned char)element, false},
        .at = text.ptr,
        .end = text.ptr + text.len,
    };
    ps_buf_clear(scratch);
    if (text.len && *text.ptr == '[') {
        const char *equals = memchr(text.ptr, '=', text.len);
        r.at = equals ? equals + 1 : r.end;
    }
    if (r.at == r.end || *r.at != '{')
        return PS_ORIGIN_PROTOCOL;
    do {
        read_token(&r);
    } while (r.rc == PS_OK && r.depth > 0 && r.at < r.end);
    if (r.rc == PS_OK && (r.depth != 0 || r.at != r.end))
        r.rc = PS_ORIGIN_PROTOCOL;
    if (r.rc == PS_OK)
        r.rc = ps_buf_rc(scratch);
    return r.rc;
}
