/*
 * What T-SQL's literals and quoted names hold, and when two names are one.
 *
 * Names are kept as written. Whether `ID` and `id` are the same is decided by
 * the collation of the database, which the text does not tell. So there are two
 * questions, and each caller asks the one whose wrong answer does no harm.
 */
#include "agent/sql/ts.h"

/* Copies body, of a doubled quote one, of a backslash at a line's end (of
 * strings) nothing. */
static bool
unquote(struct ps_sql_parser *p, struct ps_str body, char quote,
        struct ps_str *out)
{
    *out = body;
    if (body.len == 0 || (!memchr(body.ptr, quote, body.len) &&
                          !(quote == '\'' && memchr(body.ptr, '\\', body.len))))
        return true;
    char *copy = ps_sql_new(p, body.len);
    size_t n = 0;
    if (!copy)
        return false;
    for (size_t i = 0; i < body.len; i++) {
        char c = body.ptr[i];
        size_t left = body.len - i;
        if (quote == '\'' && c == '\\' && left > 1 && body.ptr[i + 1] == '\n') {
            i++;
            continue;
        }
        if (quote == '\'' && c == '\\' && left > 2 && body.ptr[i + 1] == '\r' &&
            body.ptr[i + 2] == '\n') {
            i += 2;
            continue;
        }
        copy[n++] = c;
        if (c == quote)
            i++; /* doubled: the lexer has checked it */
    }
    *out = (struct ps_str){.ptr = copy, .len = n};
    return true;
}

static struct ps_str
body_of(struct ps_str text, size_t prefix)
{
    return (struct ps_str){.ptr = text.ptr + prefix + 1,
                           .len = text.len - prefix - 2};
}

bool
ps_sql_ts_decode_string(struct ps_sql_parser *p, const struct ps_sql_token *t,
                        struct ps_str *out)
{
    return unquote(p, body_of(ps_sql_token_text(p, t), t->ch == 'n'), '\'',
                   out);
}

bool
ps_sql_ts_decode_name(struct ps_sql_parser *p, const struct ps_sql_token *t,
                      struct ps_str *out)
{
    struct ps_str body = body_of(ps_sql_token_text(p, t), 0);
    return body.len > 0 && unquote(p, body, t->ch == '[' ? ']' : '"', out);
}

bool
ps_sql_ts_param(struct ps_sql_parser *p, const struct ps_sql_token *t,
                struct ps_sql_value *out)
{
    struct ps_str text = ps_sql_token_text(p, t);
    out->text = (struct ps_str){.ptr = text.ptr + 1, .len = text.len - 1};
    return out->text.len > 0;
}

/* ---- words that words.def does not know ---- */

bool
ps_sql_ts_on_list(struct ps_str name, const char *list)
{
    char needle[40];
    if (name.len > sizeof(needle) - 2)
        return false;
    needle[0] = ' ';
    for (size_t i = 0; i < name.len; i++)
        needle[i + 1] = (char)ps_sql_lower((unsigned char)name.ptr[i]);
    needle[name.len + 1] = ' ';
    return !memchr(needle + 1, ' ', name.len) &&
           memmem(list, strlen(list), needle, name.len + 2);
}

bool
ps_sql_ts_is_any(const struct ps_sql_parser *p, const struct ps_sql_token *t,
                 const char *list)
{
    return t->kind == PS_TOK_WORD &&
           ps_sql_ts_on_list(ps_sql_token_text(p, t), list);
}

bool
ps_sql_ts_is(const struct ps_sql_parser *p, const struct ps_sql_token *t,
             const char *word)
{
    return t->kind == PS_TOK_WORD &&
           ps_str_eq_nocase(ps_sql_token_text(p, t), ps_str_of(word));
}

bool
ps_sql_ts_accept(struct ps_sql_parser *p, const char *word)
{
    if (!ps_sql_ts_is(p, ps_sql_peek(p), word))
        return false;
    p->pos++;
    return true;
}

/* ---- names ---- */

/* Without what collations may ignore at the end. */
static struct ps_str
trimmed(struct ps_str s)
{
    while (s.len && s.ptr[s.len - 1] == ' ')
        s.len--;
    return s;
}

/* Collations compare these characters by their letter and case only; what
 * they make of others (accents, widths, ignorable ones) is not known. */
static bool
is_plain(struct ps_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool letter = (unsigned char)(ps_sql_lower(c) - 'a') < 26;
        if (!letter && !ps_sql_is(c, PS_CH_DIGIT) &&
            (c == 0 || !memchr("_@#$ ", c, 5)))
            return false;
    }
    return true;
}

bool
ps_sql_ts_maybe_same(struct ps_str a, struct ps_str b)
{
    if (!is_plain(a) || !is_plain(b))
        return true;
    return ps_str_eq_nocase(trimmed(a), trimmed(b));
}

bool
ps_sql_ts_surely_same(struct ps_str a, struct ps_str b)
{
    return ps_str_eq(a, b);
}
