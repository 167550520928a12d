/*
 * An array literal is written in two passes over the tree, the first of which
 * only counts: its size is not bounded by that of the JSON.
 */
#include "agent/front/params.h"

/* Counts, and writes where there is room to. */
struct writer {
    char *out; /* NULL: only count */
    size_t len;
};

static void
put(struct writer *w, const char *bytes, size_t n)
{
    if (w->out && n > 0)
        memcpy(w->out + w->len, bytes, n);
    w->len += n;
}

/* An element between double quotes, which any text may be. */
static void
put_quoted(struct writer *w, struct ps_str text)
{
    put(w, "\"", 1);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            put(w, "\\", 1);
        put(w, text.ptr + i, 1);
    }
    put(w, "\"", 1);
}

/* As deep as the reader of JSON lets arrays be. */
static void
put_array(struct writer *w, const struct ps_json *array)
{
    put(w, "{", 1);
    for (const struct ps_json *m = array->first; m; m = m->next) {
        if (m != array->first)
            put(w, ",", 1);
        if (m->kind == PS_JSON_ARRAY)
            put_array(w, m);
        else if (m->kind == PS_JSON_NULL)
            put(w, "NULL", 4);
        else if (m->kind == PS_JSON_STRING)
            put_quoted(w, m->text);
        else
            put_quoted(w, m->raw);
    }
    put(w, "}", 1);
}

static enum ps_rc
array_literal(const struct ps_json *array, struct ps_arena *arena,
              struct ps_param *out, struct ps_err *err)
{
    struct writer w = {.out = NULL};
    put_array(&w, array);
    char *text = ps_arena_alloc(arena, w.len);
    if (!text)
        return ps_err_set(err, PS_BODY_TOO_BIG, NULL);
    w.out = text;
    w.len = 0;
    put_array(&w, array);
    out->kind = PS_PARAM_TEXT;
    out->text = (struct ps_str){text, w.len};
    return PS_OK;
}

static enum ps_rc
read_kind(const struct ps_json *value, bool literals, struct ps_arena *arena,
          struct ps_param *out, struct ps_err *err)
{
    switch (value->kind) {
    case PS_JSON_STRING:
        *out = (struct ps_param){.kind = PS_PARAM_TEXT, .text = value->text};
        return PS_OK;
    case PS_JSON_NUMBER:
        *out = (struct ps_param){.kind = PS_PARAM_NUMBER, .text = value->text};
        return PS_OK;
    case PS_JSON_BOOL:
        *out = (struct ps_param){.kind = PS_PARAM_BOOL, .text = value->raw};
        return PS_OK;
    case PS_JSON_ARRAY:
        if (literals)
            return array_literal(value, arena, out, err);
        *out = (struct ps_param){.kind = PS_PARAM_TEXT, .text = value->raw};
        return PS_OK;
    case PS_JSON_OBJECT:
        *out = (struct ps_param){.kind = PS_PARAM_TEXT, .text = value->raw};
        return PS_OK;
    case PS_JSON_NULL:
    case PS_JSON_ABSENT:
        break;
    }
    *out = (struct ps_param){.kind = PS_PARAM_NULL};
    return PS_OK;
}

enum ps_rc
ps_param_read(const struct ps_json *value, bool literals,
              struct ps_arena *arena, struct ps_param *out, struct ps_err *err)
{
    enum ps_rc rc = read_kind(value, literals, arena, out, err);
    if (rc != PS_OK)
        return rc;
    if (out->text.len && memchr(out->text.ptr, '\0', out->text.len))
        return ps_err_set(err, PS_BAD_BINDINGS,
                          "a parameter holds the character NUL, which "
                          "databases do not take");
    return PS_OK;
}

enum ps_rc
ps_params_read(const struct ps_json *array, bool literals,
               struct ps_arena *arena, struct ps_params *out,
               struct ps_err *err)
{
    *out = (struct ps_params){.n = 0};
    if (!array || array->count == 0)
        return PS_OK;
    if (array->count > PS_PARAMS_MAX)
        return ps_err_set(err, PS_BAD_BINDINGS,
                          "there are more than %d parameters", PS_PARAMS_MAX);
    struct ps_param *list = ps_arena_alloc(arena, array->count * sizeof(*list));
    if (!list)
        return ps_err_set(err, PS_BODY_TOO_BIG, NULL);
    size_t n = 0;
    for (const struct ps_json *m = array->first; m; m = m->next, n++) {
        enum ps_rc rc = ps_param_read(m, literals, arena, &list[n], err);
        if (rc != PS_OK)
            return rc;
    }
    *out = (struct ps_params){.list = list, .n = n};
    return PS_OK;
}

struct ps_str
ps_params_key(const struct ps_params *params, char mark, struct ps_arena *arena)
{
    size_t len = 1;
    for (size_t i = 0; i < params->n; i++)
        len += 1 + sizeof(uint32_t) + params->list[i].text.len;
    char *out = ps_arena_alloc(arena, len), *at = out;
    if (!out)
        return PS_STR_NONE;
    *at++ = mark;
    for (size_t i = 0; i < params->n; i++) {
        const struct ps_param *p = &params->list[i];
        uint32_t n = (uint32_t)p->text.len;
        *at++ = (char)('0' + p->kind);
        memcpy(at, &n, sizeof(n));
        at += sizeof(n);
        if (n > 0)
            memcpy(at, p->text.ptr, n);
        at += n;
    }
    return (struct ps_str){out, len};
}
