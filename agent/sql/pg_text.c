/*
 * What PostgreSQL's literals and quoted names hold. The escape character of
 * U&'..' can be changed behind the literal (UESCAPE); U&".." is decoded where
 * it holds no escape and refused otherwise.
 */
#include "agent/sql/pg.h"
#include "common/utf8.h"

static int
digit(unsigned char c, int base)
{
    int value = 99;
    if (c >= '0' && c <= '9')
        value = c - '0';
    else if (ps_sql_lower(c) >= 'a' && ps_sql_lower(c) <= 'f')
        value = ps_sql_lower(c) - 'a' + 10;
    return value < base ? value : -1;
}

/* Up to max digits; how many there were. */
static size_t
digits(const char *at, const char *end, int base, size_t max, uint32_t *value)
{
    size_t n = 0;
    *value = 0;
    while (n < max && at + n < end && digit((unsigned char)at[n], base) >= 0) {
        *value = *value * (uint32_t)base +
                 (uint32_t)digit((unsigned char)at[n], base);
        n++;
    }
    return n;
}

/* One escape of E'..'; at is behind the backslash. NULL: malformed. */
static const char *
unescape(const char *at, const char *end, char *out, size_t *n)
{
    static const char from[] = "bfnrtv", to[] = "\b\f\n\r\t\v";
    uint32_t value;
    size_t used;

    if (at == end)
        return NULL;
    char c = *at++;
    const char *simple = memchr(from, c, sizeof(from) - 1);
    if (simple) {
        out[(*n)++] = to[simple - from];
        return at;
    }
    if (c == 'u' || c == 'U') {
        size_t wanted = c == 'u' ? 4 : 8;
        if (digits(at, end, 16, wanted, &value) != wanted || value == 0 ||
            value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
            return NULL; /* surrogate pairs too: not worth the code */
        *n += ps_utf8_put(out + *n, value);
        return at + wanted;
    }
    if (c == 'x' && (used = digits(at, end, 16, 2, &value)) > 0) {
        out[(*n)++] = (char)value;
        return at + used;
    }
    if (digit((unsigned char)c, 8) >= 0) {
        used = digits(at - 1, end, 8, 3, &value);
        out[(*n)++] = (char)value;
        return at - 1 + used;
    }
    out[(*n)++] = c;
    return at;
}

/* The body between quotes, segment by segment; at is behind the first quote.
 * What lies between segments is skipped (the lexer has checked it). */
static bool
decode_segments(const char *at, const char *end, bool backslash, char *out,
                size_t *n)
{
    while (at < end) {
        if (*at == '\\' && backslash) {
            at = unescape(at + 1, end, out, n);
            if (!at)
                return false;
        } else if (*at != '\'') {
            out[(*n)++] = *at++;
        } else if (at + 1 < end && at[1] == '\'') {
            out[(*n)++] = '\'';
            at += 2;
        } else {
            for (at++; at < end && *at != '\''; at++)
                if (*at == '-') /* a comment, which may hold quotes */
                    while (at < end && *at != '\n' && *at != '\r')
                        at++;
            at++;
        }
    }
    return true;
}

static bool
plain_body(struct ps_str text, size_t prefix, struct ps_str *out)
{
    const char *body = text.ptr + prefix + 1;
    size_t len = text.len - prefix - 2;
    if (memchr(body, '\'', len))
        return false;
    *out = (struct ps_str){.ptr = body, .len = len};
    return true;
}

static bool
dollar_body(struct ps_str text, struct ps_str *out)
{
    const char *tag = memchr(text.ptr + 1, '$', text.len - 1);
    if (!tag)
        return false;
    size_t n = (size_t)(tag - text.ptr) + 1;
    *out = (struct ps_str){.ptr = text.ptr + n, .len = text.len - 2 * n};
    return true;
}

/* The escape character of the U&'..' at t, 0 when it cannot be told. */
static char
unicode_escape(const struct ps_sql_parser *p, const struct ps_sql_token *t)
{
    if (t[1].word != PS_W_UESCAPE) /* t is not END: there is one behind it */
        return '\\';
    struct ps_str text = ps_sql_token_text(p, &t[2]);
    if (t[2].kind != PS_TOK_STRING || t[2].ch != '\'' || text.len != 3)
        return 0;
    return text.ptr[1];
}

/* Resolves escapes in place: \XXXX, \+XXXXXX, and the character doubled. */
static bool
resolve_unicode(char *text, size_t *len, char escape)
{
    size_t n = 0;
    const char *at = text, *end = text + *len;
    while (at < end) {
        uint32_t value;
        if (*at != escape) {
            text[n++] = *at++;
            continue;
        }
        if (++at < end && *at == escape) {
            text[n++] = *at++;
            continue;
        }
        size_t wanted = 4;
        if (at < end && *at == '+') {
            at++;
            wanted = 6;
        }
        if (digits(at, end, 16, wanted, &value) != wanted || value == 0 ||
            value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
            return false;
        at += wanted;
        n += ps_utf8_put(text + n, value); /* shorter than its escape */
    }
    *len = n;
    return true;
}

bool
ps_sql_pg_decode_string(struct ps_sql_parser *p, const struct ps_sql_token *t,
                        struct ps_str *out)
{
    struct ps_str text = ps_sql_token_text(p, t);
    size_t prefix = t->ch == 'u' ? 2 : t->ch == '\'' ? 0 : 1, n = 0;

    if (t->ch == '$')
        return dollar_body(text, out);
    bool backslash =
        t->ch == 'e' || (t->ch != 'u' && p->modes & PS_SQL_NONSTANDARD_STRINGS);
    char escape = t->ch == 'u' ? unicode_escape(p, t) : 0;
    bool resolve = t->ch == 'u' && memchr(text.ptr, escape, text.len);
    if (t->ch == 'u' && escape == 0)
        return false;
    if (!resolve && !(backslash && memchr(text.ptr, '\\', text.len)) &&
        plain_body(text, prefix, out))
        return true;
    char *body = ps_sql_new(p, text.len);
    if (!body ||
        !decode_segments(text.ptr + prefix + 1, text.ptr + text.len - 1,
                         backslash, body, &n) ||
        (resolve && !resolve_unicode(body, &n, escape)))
        return false;
    *out = (struct ps_str){.ptr = body, .len = n};
    return true;
}

bool
ps_sql_pg_decode_name(struct ps_sql_parser *p, const struct ps_sql_token *t,
                      struct ps_str *out)
{
    struct ps_str text = ps_sql_token_text(p, t);
    size_t prefix = t->ch == 'u' ? 2 : 0, n = 0;
    struct ps_str body = {.ptr = text.ptr + prefix + 1,
                          .len = text.len - prefix - 2};

    if (body.len == 0 || (t->ch == 'u' && memchr(body.ptr, '\\', body.len)))
        return false;
    *out = body;
    if (!memchr(body.ptr, '"', body.len))
        return true;
    char *name = ps_sql_new(p, body.len);
    if (!name)
        return false;
    for (size_t i = 0; i < body.len; i++) {
        name[n++] = body.ptr[i];
        if (body.ptr[i] == '"')
            i++; /* doubled: the lexer has checked it */
    }
    *out = (struct ps_str){.ptr = name, .len = n};
    return true;
}

bool
ps_sql_pg_param(struct ps_sql_parser *p, const struct ps_sql_token *t,
                struct ps_sql_value *out)
{
    struct ps_str text = ps_sql_token_text(p, t);
    int value = 0;
    for (size_t i = 1; i < text.len; i++) {
        value = value * 10 + (text.ptr[i] - '0');
        if (value > 65535) /* the protocol's limit */
            return false;
    }
    out->index = value - 1;
    return value > 0;
}

/* A letter run is one of the words that date and time input takes from the
 * clock (datetktbl in datetime.c). */
static bool
is_clock_word(const char *word, size_t len)
{
    static const struct ps_str words[] = {PS_STR("now"), PS_STR("today"),
                                          PS_STR("tomorrow"),
                                          PS_STR("yesterday")};
    struct ps_str s = {.ptr = word, .len = len};
    for (size_t i = 0; i < PS_ARRAY_LEN(words); i++)
        if (len == words[i].len && ps_str_eq_nocase(s, words[i]))
            return true;
    return false;
}

static bool
is_letter(unsigned char c)
{
    return (unsigned char)(ps_sql_lower(c) - 'a') < 26;
}

/* Any place of the text counts: 'now', ' today 10:00', '{now,infinity}',
 * '[2020-01-01,tomorrow)', '"Now"'. */
bool
ps_sql_pg_text_is_clock(struct ps_str text)
{
    bool escapes = false;
    for (size_t i = 0; i < text.len;) {
        size_t start = i;
        while (i < text.len && is_letter((unsigned char)text.ptr[i]))
            i++;
        if (i - start >= 3 && is_clock_word(text.ptr + start, i - start))
            return true;
        if (i == start) {
            escapes = escapes || text.ptr[i] == '\\' || text.ptr[i] == '"';
            i++;
        }
    }
    if (!escapes)
        return false;
    /* Quotes and backslashes in the text of an array or a record may stand
     * inside a word: {n\ow}, (n"ow"). Look again without them. */
    char word[16];
    size_t n = 0;
    for (size_t i = 0; i <= text.len; i++) {
        unsigned char c = i < text.len ? (unsigned char)text.ptr[i] : 0;
        if (c == '\\' || c == '"')
            continue;
        if (is_letter(c)) {
            if (n < sizeof(word))
                word[n] = (char)c;
            n++;
        } else {
            if (n < sizeof(word) && is_clock_word(word, n))
                return true;
            n = 0;
        }
    }
    return false;
}
