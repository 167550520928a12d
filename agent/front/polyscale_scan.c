/*
 * The scanner: one pass, in place, eight bytes at a time through strings. It
 * knows all of JSON's grammar, so that the usual shape and unknown keys around
 * it cost the same; it gives up (return false) instead of explaining.
 *
 * struct scan's fault: a value was read that our rules refuse. The scan ends
 * there; jansson then tells whether the rest of the body is JSON at all and
 * whether a later key of the same name makes it harmless.
 */
#include "agent/front/js_number.h"
#include "agent/front/json_escape.h"
#include "agent/front/polyscale_body.h"
#include "common/utf8.h"

#include <math.h>
#include <stdlib.h>
#ifdef __SSE2__
#    include <immintrin.h>
#endif

enum {
    MAX_DEPTH = 32,
    MAX_NUMBER_LEN = 512
};

struct scan {
    const char *begin, *p, *end;
    struct ps_arena *arena;
    struct ps_polyscale_body *body;
    struct ps_err *hint; /* may be NULL */
    /* What is being read, for messages. */
    enum ps_polyscale_field_id field;
    size_t number; /* of the binding, from 1; 0: the field itself */
};

/* ---- runs of plain bytes ---- */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static bool
has_zero_byte(uint64_t word)
{
    return ((word - EACH(0x01)) & ~word & EACH(0x80)) != 0;
}

/* Is there a quote, a backslash or a control character in it? */
static bool
has_special(uint64_t word)
{
    return ((word - EACH(0x20)) & ~word & EACH(0x80)) != 0 ||
           has_zero_byte(word ^ EACH('"')) || has_zero_byte(word ^ EACH('\\'));
}

#ifdef __SSE2__
/* One bit for each of the sixteen bytes at p that is such a one. */
static inline unsigned
special_bits(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                               _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
    /* Unsigned: as small as the smaller of itself and 1F. */
    __m128i least = _mm_min_epu8(v, _mm_set1_epi8(0x1F));
    return (unsigned)_mm_movemask_epi8(
        _mm_or_si128(hit, _mm_cmpeq_epi8(least, v)));
}
#endif

/* The first quote, backslash or control character, or end. */
static inline const char *
plain_run(const char *p, const char *end)
{
#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        unsigned bits = special_bits(p);
        if (bits)
            return p + __builtin_ctz(bits);
    }
#endif
    for (; end - p >= 8; p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        if (has_special(word))
            break;
    }
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
        p++;
    return p;
}

static void
skip_space(struct scan *s)
{
    while (s->p < s->end &&
           (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

static bool
take(struct scan *s, char c)
{
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

/* White space, then c, then white space. */
static bool
take_mark(struct scan *s, char c)
{
    skip_space(s);
    if (!take(s, c))
        return false;
    skip_space(s);
    return true;
}

static bool
take_word(struct scan *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return false;
    s->p += n;
    return true;
}

/* ---- strings ---- */

/* How a string is to be read. */
enum text_use {
    TEXT_SKIPPED, /* of no interest: checked only */
    TEXT_KEY,     /* decoded */
    TEXT_VALUE    /* decoded; NUL is a fault */
};

static bool
bad_text(struct scan *s, bool surrogate)
{
    if (s->hint)
        ps_polyscale_bad_text(s->field, s->number, surrogate, s->hint);
    return false;
}

/* The rest of a string from its first backslash on; start is where it began.
 * The decoded bytes are fewer than the raw ones. Kept out of scan_string, which
 * is twice as long with it. */
static __attribute__((noinline)) bool
scan_escaped(struct scan *s, const char *start, enum text_use use,
             struct ps_str *out)
{
    const char *close = s->p;
    char skipped[4], *text = NULL;
    size_t len = (size_t)(s->p - start);
    if (use != TEXT_SKIPPED) {
        while (close < s->end && *close != '"')
            close += *close == '\\' ? 2 : 1;
        if (close >= s->end)
            return false;
        text = ps_arena_alloc(s->arena, (size_t)(close - start));
        if (!text)
            return false;
        memcpy(text, start, len);
    }
    while (take(s, '\\')) {
        int32_t c = ps_json_escape(&s->p, s->end);
        if (c < 0)
            return c == PS_JSON_ESCAPE_HALF && use == TEXT_VALUE
                       ? bad_text(s, true)
                       : false;
        if (c == 0 && use != TEXT_SKIPPED)
            return use == TEXT_VALUE ? bad_text(s, false) : false;
        len += ps_utf8_put(text ? text + len : skipped, (uint32_t)c);
        const char *run = s->p;
        s->p = plain_run(s->p, s->end);
        if (text)
            memcpy(text + len, run, (size_t)(s->p - run));
        len += (size_t)(s->p - run);
    }
    *out = (struct ps_str){text, len};
    return take(s, '"');
}

/* A string, s->p at its opening quote. Nearly all are without escapes. */
static inline bool
scan_string(struct scan *s, enum text_use use, struct ps_str *out)
{
    if (!take(s, '"'))
        return false;
    const char *start = s->p;
    s->p = plain_run(start, s->end);
    if (PS_UNLIKELY(s->p < s->end && *s->p == '\\'))
        return scan_escaped(s, start, use, out);
    *out = (struct ps_str){start, (size_t)(s->p - start)};
    return take(s, '"');
}

/* ---- numbers ---- */

static bool
scan_number(struct scan *s, struct ps_str *out)
{
    struct ps_str rest = {s->p, (size_t)(s->end - s->p)};
    rest.len = ps_json_number_len(rest);
    if (rest.len == 0)
        return false;
    s->p += rest.len;
    *out = rest;
    return true;
}

/* Its value; false when it is beyond a double (jansson refuses it). */
static bool
to_double(struct ps_str number, double *value)
{
    char copy[MAX_NUMBER_LEN];
    if (number.len >= sizeof(copy))
        return false;
    memcpy(copy, number.ptr, number.len);
    copy[number.len] = '\0';
    *value = strtod(copy, NULL);
    return isfinite(*value);
}

static bool
number_value(struct scan *s, struct ps_str number, struct ps_str *out)
{
    char printed[PS_JS_NUMBER_MAX];
    double value;
    if (ps_js_number_is_canonical(number)) {
        *out = number;
        return true;
    }
    if (!to_double(number, &value))
        return false;
    *out = ps_arena_str(
        s->arena, (struct ps_str){printed, ps_js_number_print(value, printed)});
    return out->ptr != NULL;
}

/* ---- values nobody asked for ---- */

static bool skip_value(struct scan *s, unsigned depth);

static bool
skip_members(struct scan *s, char close, unsigned depth)
{
    struct ps_str key;
    s->p++;
    skip_space(s);
    if (take(s, close))
        return true;
    do {
        skip_space(s);
        if (close == '}' &&
            !(scan_string(s, TEXT_KEY, &key) && take_mark(s, ':')))
            return false;
        if (!skip_value(s, depth + 1))
            return false;
        skip_space(s);
    } while (take(s, ','));
    return take(s, close);
}

static bool
skip_value(struct scan *s, unsigned depth)
{
    struct ps_str text;
    double number;
    if (s->p == s->end || depth > MAX_DEPTH)
        return false;
    switch (*s->p) {
    case '"':
        return scan_string(s, TEXT_SKIPPED, &text);
    case '[':
        return skip_members(s, ']', depth);
    case '{':
        return skip_members(s, '}', depth);
    case 't':
        return take_word(s, "true");
    case 'f':
        return take_word(s, "false");
    case 'n':
        return take_word(s, "null");
    default:
        return scan_number(s, &text) &&
               (ps_js_number_is_canonical(text) || to_double(text, &number));
    }
}

/* ---- bindings ---- */

static bool scan_items(struct scan *s, struct ps_param *out);

/* One value of bindings; nested: it is a member of an array. */
static bool
scan_binding(struct scan *s, bool nested, struct ps_param *out)
{
    struct ps_str number;
    if (s->p == s->end)
        return false;
    switch (*s->p) {
    case '"':
        out->kind = PS_PARAM_TEXT;
        return scan_string(s, TEXT_VALUE, &out->text);
    case 't':
        out->kind = PS_PARAM_BOOL;
        out->text = PS_STR("true");
        return take_word(s, "true");
    case 'f':
        out->kind = PS_PARAM_BOOL;
        out->text = PS_STR("false");
        return take_word(s, "false");
    case 'n':
        out->kind = PS_PARAM_NULL;
        return take_word(s, "null");
    case '[':
        if (nested) {
            out->kind = PS_PARAM_ARRAY;
            ps_polyscale_bad_value(s->number, "an array within an array",
                                   s->hint);
            return false;
        }
        return scan_items(s, out);
    case '{':
        ps_polyscale_bad_value(s->number, "an object", s->hint);
        return false;
    default:
        out->kind = PS_PARAM_NUMBER;
        return scan_number(s, &number) && number_value(s, number, &out->text);
    }
}

static bool
scan_items(struct scan *s, struct ps_param *out)
{
    struct ps_polyscale_items items = {.kind = PS_PARAM_NULL};
    out->kind = PS_PARAM_ARRAY;
    s->p++;
    skip_space(s);
    if (take(s, ']'))
        return true;
    do {
        struct ps_param item = {.kind = PS_PARAM_NULL};
        skip_space(s);
        if (!scan_binding(s, true, &item) ||
            ps_polyscale_add_item(s->body, s->arena, &items, &item, s->number,
                                  s->hint) != PS_OK)
            return false;
        skip_space(s);
    } while (take(s, ','));
    out->items = items.list;
    out->n_items = items.count;
    return take(s, ']');
}

static bool
scan_bindings(struct scan *s, char close)
{
    s->p++;
    skip_space(s);
    if (take(s, close))
        return true;
    do {
        struct ps_str name = PS_STR_NONE;
        struct ps_param value = {.kind = PS_PARAM_NULL};
        skip_space(s);
        s->number = s->body->bindings.count + 1;
        if (close == '}' &&
            !(scan_string(s, TEXT_KEY, &name) && take_mark(s, ':')))
            return false;
        if (!scan_binding(s, false, &value))
            return false;
        struct ps_knex_binding *b =
            ps_polyscale_add(s->body, s->arena, s->hint);
        if (!b)
            return false;
        b->name = name;
        b->value = value;
        skip_space(s);
    } while (take(s, ','));
    return take(s, close);
}

/* ---- the body ---- */

static enum ps_json_kind
kind_at(const struct scan *s)
{
    switch (s->p < s->end ? *s->p : '\0') {
    case '"':
        return PS_JSON_STRING;
    case '[':
        return PS_JSON_ARRAY;
    case '{':
        return PS_JSON_OBJECT;
    case 't':
    case 'f':
        return PS_JSON_BOOL;
    case 'n':
        return PS_JSON_NULL;
    default:
        return PS_JSON_NUMBER;
    }
}

static bool
scan_field(struct scan *s, enum ps_polyscale_field_id id)
{
    struct ps_polyscale_field *field = &s->body->fields[id];
    const char *at = s->p;
    bool ok;
    s->field = id;
    s->number = 0;
    ps_polyscale_set(s->body, id, kind_at(s));
    if (id == PS_POLYSCALE_BINDINGS && field->kind == PS_JSON_ARRAY)
        ok = scan_bindings(s, ']');
    else if (id == PS_POLYSCALE_BINDINGS && field->kind == PS_JSON_OBJECT)
        ok = scan_bindings(s, '}');
    else if (id != PS_POLYSCALE_BINDINGS && field->kind == PS_JSON_STRING)
        ok = scan_string(s, TEXT_VALUE, &field->text);
    else
        ok = skip_value(s, 0);
    field->at = (size_t)(at - s->begin);
    field->end = (size_t)(s->p - s->begin);
    return ok;
}

bool
ps_polyscale_body_scan(struct ps_str body, struct ps_arena *arena,
                       struct ps_polyscale_body *out, struct ps_err *hint)
{
    struct scan s = {.begin = body.ptr,
                     .p = body.ptr,
                     .end = body.ptr + body.len,
                     .arena = arena,
                     .body = out,
                     .hint = hint};
    struct ps_str key;
    memset(out, 0, sizeof(*out));
    if (!take_mark(&s, '{'))
        return false;
    if (!take(&s, '}')) {
        do {
            skip_space(&s);
            if (!scan_string(&s, TEXT_KEY, &key) || !take_mark(&s, ':'))
                return false;
            enum ps_polyscale_field_id id = ps_polyscale_find(key);
            if (id < PS_POLYSCALE_FIELD_COUNT ? !scan_field(&s, id)
                                              : !skip_value(&s, 0))
                return false;
            skip_space(&s);
        } while (take(&s, ','));
        if (!take(&s, '}'))
            return false;
    }
    skip_space(&s);
    return s.p == s.end;
}
