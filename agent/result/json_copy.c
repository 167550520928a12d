/*
 * A state machine over tokens with a stack of bits (object or array), so that
 * depth costs no recursion. The origin has checked the text already; it is
 * checked again because what goes out becomes part of a larger JSON text,
 * which a broken value would break.
 */
#include "agent/result/json_copy.h"

#include "agent/result/js_number.h"

enum {
    DEPTH_MAX = 10000
};

enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_CLOSE, /* behind [ */
    EXPECT_KEY,
    EXPECT_KEY_OR_CLOSE, /* behind { */
    EXPECT_COLON,
    EXPECT_COMMA_OR_CLOSE,
    EXPECT_END
};

struct copier {
    struct ps_buf *out;
    const char *at, *end;
    enum expect expect;
    unsigned depth;
    unsigned char is_object[DEPTH_MAX / 8 + 1];
};

static bool
in_object(const struct copier *c)
{
    unsigned top = c->depth - 1;
    return c->is_object[top / 8] >> (top % 8) & 1;
}

static void
value_done(struct copier *c)
{
    c->expect = c->depth ? EXPECT_COMMA_OR_CLOSE : EXPECT_END;
}

static bool
open_nest(struct copier *c, bool object)
{
    if (c->depth == DEPTH_MAX)
        return false;
    unsigned char bit = (unsigned char)(1u << (c->depth % 8));
    if (object)
        c->is_object[c->depth / 8] |= bit;
    else
        c->is_object[c->depth / 8] &= (unsigned char)~bit;
    c->depth++;
    c->expect = object ? EXPECT_KEY_OR_CLOSE : EXPECT_VALUE_OR_CLOSE;
    ps_buf_append_char(c->out, *c->at++);
    return true;
}

static bool
close_nest(struct copier *c, bool object)
{
    bool allowed =
        c->expect == EXPECT_COMMA_OR_CLOSE ||
        c->expect == (object ? EXPECT_KEY_OR_CLOSE : EXPECT_VALUE_OR_CLOSE);
    if (!allowed || in_object(c) != object)
        return false;
    c->depth--;
    ps_buf_append_char(c->out, *c->at++);
    value_done(c);
    return true;
}

static bool
is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
           (c >= 'A' && c <= 'F');
}

/* Behind the backslash; the length of the escape's rest, 0 when bad. */
static size_t
escape_length(const char *at, const char *end)
{
    if (at == end)
        return 0;
    if (*at != 'u')
        return strchr("\"\\/bfnrt", *at) && *at ? 1 : 0;
    if (end - at < 5)
        return 0;
    for (int i = 1; i <= 4; i++) {
        if (!is_hex(at[i]))
            return 0;
    }
    return 5;
}

static bool
copy_string(struct copier *c)
{
    const char *first = c->at++;
    while (c->at < c->end && *c->at != '"') {
        if ((unsigned char)*c->at < 0x20)
            return false;
        if (*c->at++ != '\\')
            continue;
        size_t len = escape_length(c->at, c->end);
        if (len == 0)
            return false;
        c->at += len;
    }
    if (c->at == c->end)
        return false;
    c->at++;
    ps_buf_append(c->out, first, (size_t)(c->at - first));
    return true;
}

static size_t
count_digits(const char *at, const char *end)
{
    const char *first = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return (size_t)(at - first);
}

/* Length of the number at `at` (RFC 8259 section 6), 0 when bad; *plain: a
 * short integer, as JavaScript would write it too. */
static size_t
number_length(const char *at, const char *end, bool *plain)
{
    const char *first = at;
    bool negative = at < end && *at == '-';
    at += negative;
    size_t whole = count_digits(at, end);
    bool zero = whole == 1 && *at == '0';
    if (whole == 0 || (whole > 1 && *at == '0'))
        return 0;
    at += whole;
    *plain = whole <= 15 && !(negative && zero);
    if (at < end && *at == '.') {
        size_t n = count_digits(at + 1, end);
        if (n == 0)
            return 0;
        at += 1 + n;
        *plain = false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        size_t n = count_digits(at, end);
        if (n == 0)
            return 0;
        at += n;
        *plain = false;
    }
    return (size_t)(at - first);
}

static bool
copy_number(struct copier *c)
{
    bool plain = false;
    size_t len = number_length(c->at, c->end, &plain);
    if (len == 0)
        return false;
    if (plain) {
        ps_buf_append(c->out, c->at, len);
    } else {
        char text[PS_JS_NUMBER_MAX];
        struct ps_str number = {c->at, len};
        ps_buf_append(c->out, text, ps_js_number(number, false, text));
    }
    c->at += len;
    return true;
}

static bool
copy_word(struct copier *c, struct ps_str word)
{
    if ((size_t)(c->end - c->at) < word.len ||
        memcmp(c->at, word.ptr, word.len) != 0)
        return false;
    ps_buf_append_str(c->out, word);
    c->at += word.len;
    return true;
}

static bool
copy_value(struct copier *c)
{
    if (c->expect != EXPECT_VALUE && c->expect != EXPECT_VALUE_OR_CLOSE)
        return false;
    bool good;
    switch (*c->at) {
    case '{':
        return open_nest(c, true);
    case '[':
        return open_nest(c, false);
    case '"':
        good = copy_string(c);
        break;
    case 't':
        good = copy_word(c, PS_STR("true"));
        break;
    case 'f':
        good = copy_word(c, PS_STR("false"));
        break;
    case 'n':
        good = copy_word(c, PS_STR("null"));
        break;
    default:
        good = copy_number(c);
        break;
    }
    value_done(c);
    return good;
}

static bool
copy_separator(struct copier *c, enum expect expected, enum expect next)
{
    if (c->expect != expected)
        return false;
    c->expect = next;
    ps_buf_append_char(c->out, *c->at++);
    return true;
}

static bool
copy_token(struct copier *c)
{
    bool key = c->expect == EXPECT_KEY || c->expect == EXPECT_KEY_OR_CLOSE;
    switch (*c->at) {
    case ' ':
    case '\t':
    case '\n':
    case '\r':
        c->at++;
        return true;
    case '}':
        return close_nest(c, true);
    case ']':
        return close_nest(c, false);
    case ':':
        return copy_separator(c, EXPECT_COLON, EXPECT_VALUE);
    case ',':
        return copy_separator(c, EXPECT_COMMA_OR_CLOSE,
                              c->depth && in_object(c) ? EXPECT_KEY
                                                       : EXPECT_VALUE);
    default:
        if (!key)
            return copy_value(c);
        c->expect = EXPECT_COLON;
        return *c->at == '"' && copy_string(c);
    }
}

enum ps_rc
ps_json_copy(struct ps_buf *out, struct ps_str text)
{
    struct copier c;
    c.out = out;
    c.at = text.ptr;
    c.end = text.ptr + text.len;
    c.expect = EXPECT_VALUE;
    c.depth = 0;
    while (c.at < c.end) {
        if (!copy_token(&c))
            return PS_BAD_JSON;
    }
    return c.expect == EXPECT_END ? PS_OK : PS_BAD_JSON;
}
