/*
 * A recursive reader with a bound on depth. Strings without escapes stay where
 * they are; others are decoded into the arena, where they need fewer bytes
 * than as written.
 */
#include "agent/front/json_in.h"

#include "agent/front/js_number.h"
#include "agent/front/json_escape.h"
#include "common/utf8.h"

enum {
    MAX_DEPTH = 64
};

struct reader {
    const char *p, *end;
    struct ps_arena *arena;
    const char *problem;
};

static bool
bad(struct reader *r, const char *problem)
{
    if (!r->problem)
        r->problem = problem;
    return false;
}

static void
skip_space(struct reader *r)
{
    while (r->p < r->end &&
           (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

static bool
take(struct reader *r, char c)
{
    skip_space(r);
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

/* ---- strings ---- */

static const char *
plain_run(const char *p, const char *end)
{
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
        p++;
    return p;
}

/* From the first backslash on; start is where the string began. */
static bool
escaped_string(struct reader *r, const char *start, struct ps_str *out)
{
    const char *close = r->p;
    while (close < r->end && *close != '"')
        close += *close == '\\' ? 2 : 1;
    if (close >= r->end)
        return bad(r, "a string has no end");
    char *text = ps_arena_alloc(r->arena, (size_t)(close - start));
    if (!text)
        return false;
    size_t len = (size_t)(r->p - start);
    memcpy(text, start, len);
    while (r->p < r->end && *r->p == '\\') {
        r->p++;
        int32_t c = ps_json_escape(&r->p, r->end);
        if (c < 0)
            return bad(r, "a string holds an escape that is no character");
        len += ps_utf8_put(text + len, (uint32_t)c);
        const char *run = r->p;
        r->p = plain_run(run, r->end);
        memcpy(text + len, run, (size_t)(r->p - run));
        len += (size_t)(r->p - run);
    }
    *out = (struct ps_str){text, len};
    return true;
}

/* r->p at the opening quote. */
static bool
read_string(struct reader *r, struct ps_str *out)
{
    if (r->p == r->end || *r->p != '"')
        return bad(r, "a key is not a string");
    const char *start = ++r->p;
    r->p = plain_run(start, r->end);
    if (r->p < r->end && *r->p == '\\') {
        if (!escaped_string(r, start, out))
            return false;
    } else {
        *out = (struct ps_str){start, (size_t)(r->p - start)};
    }
    if (r->p == r->end || *r->p != '"')
        return bad(r, "a string has no end or holds a control character");
    r->p++;
    return true;
}

/* ---- values ---- */

static bool read_value(struct reader *r, struct ps_json *out, unsigned depth);

static bool
read_members(struct reader *r, struct ps_json *out, char close, unsigned depth)
{
    struct ps_json **tail = &out->first;
    r->p++;
    if (take(r, close))
        return true;
    do {
        struct ps_json *member = ps_arena_zalloc(r->arena, sizeof(*member));
        if (!member)
            return false;
        skip_space(r);
        if (close == '}' && !read_string(r, &member->key))
            return false;
        if (close == '}' && !take(r, ':'))
            return bad(r, "a key is not followed by a colon");
        skip_space(r);
        if (!read_value(r, member, depth + 1))
            return false;
        *tail = member;
        tail = &member->next;
        out->count++;
    } while (take(r, ','));
    return take(r, close) ||
           bad(r, "a comma or the end of a list or object is missing");
}

static bool
read_word(struct reader *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
        return bad(r, "a value is neither string, number, list, object, true, "
                      "false nor null");
    r->p += n;
    return true;
}

static bool
read_number(struct reader *r, struct ps_json *out)
{
    struct ps_str rest = {r->p, (size_t)(r->end - r->p)};
    rest.len = ps_json_number_len(rest);
    if (rest.len == 0)
        return read_word(r, "null");
    r->p += rest.len;
    out->text = rest;
    return true;
}

static bool
read_kind(struct reader *r, struct ps_json *out, unsigned depth)
{
    switch (*r->p) {
    case '"':
        out->kind = PS_JSON_STRING;
        return read_string(r, &out->text);
    case '[':
        out->kind = PS_JSON_ARRAY;
        return read_members(r, out, ']', depth);
    case '{':
        out->kind = PS_JSON_OBJECT;
        return read_members(r, out, '}', depth);
    case 't':
        out->kind = PS_JSON_BOOL;
        out->boolean = true;
        return read_word(r, "true");
    case 'f':
        out->kind = PS_JSON_BOOL;
        return read_word(r, "false");
    case 'n':
        out->kind = PS_JSON_NULL;
        return read_word(r, "null");
    default:
        out->kind = PS_JSON_NUMBER;
        return read_number(r, out);
    }
}

static bool
read_value(struct reader *r, struct ps_json *out, unsigned depth)
{
    if (depth > MAX_DEPTH)
        return bad(r, "it is nested too deeply");
    if (r->p == r->end)
        return bad(r, "it ends too early");
    const char *at = r->p;
    if (!read_kind(r, out, depth))
        return false;
    out->raw = (struct ps_str){at, (size_t)(r->p - at)};
    return true;
}

enum ps_rc
ps_json_read(struct ps_str text, struct ps_arena *arena, struct ps_json *out,
             struct ps_err *err)
{
    struct reader r = {
        .p = text.ptr, .end = text.ptr + text.len, .arena = arena};
    memset(out, 0, sizeof(*out));
    if (ps_utf8_check(text) != text.len)
        return ps_err_set(err, PS_BAD_UTF8, NULL);
    skip_space(&r);
    bool read = read_value(&r, out, 0);
    skip_space(&r);
    if (read && r.p != r.end)
        read = bad(&r, "something follows behind its end");
    if (read)
        return PS_OK;
    if (!r.problem)
        return ps_err_set(err, PS_BODY_TOO_BIG, NULL);
    return ps_err_set(err, PS_BAD_JSON, "the body is not JSON: %s", r.problem);
}

const struct ps_json *
ps_json_get(const struct ps_json *object, const char *key)
{
    const struct ps_json *found = NULL;
    struct ps_str name = ps_str_of(key);
    if (!object || object->kind != PS_JSON_OBJECT)
        return NULL;
    for (const struct ps_json *m = object->first; m; m = m->next) {
        if (ps_str_eq(m->key, name))
            found = m;
    }
    return found;
}
