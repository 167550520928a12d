/*
 * What MySQL's literals and quoted names hold.
 */
#include "agent/sql/my.h"

/* One escape of a string; \% and \_ keep their backslash, for LIKE. */
static void
unescape(char c, char *out, size_t *n)
{
    static const char from[] = "0bnrtZ", to[] = "\0\b\n\r\t\032";
    const char *simple = memchr(from, c, sizeof(from) - 1);

    if (c == '%' || c == '_')
        out[(*n)++] = '\\';
    out[(*n)++] = simple ? to[simple - from] : c;
}

/* The lexer has checked the quotes. */
bool
ps_sql_my_decode_string(struct ps_sql_parser *p, const struct ps_sql_token *t,
                        struct ps_str *out)
{
    struct ps_str text = ps_sql_token_text(p, t);
    bool backslash = !(p->modes & PS_SQL_NO_BACKSLASH_ESCAPES);
    size_t at = t->ch == 'n', n = 0;
    char quote = text.ptr[at];
    struct ps_str plain = {.ptr = text.ptr + at + 1, .len = text.len - at - 2};

    if (!memchr(plain.ptr, quote, plain.len) &&
        !(backslash && memchr(plain.ptr, '\\', plain.len))) {
        *out = plain;
        return true;
    }
    char *body = ps_sql_new(p, 2 * text.len);
    if (!body)
        return false;
    while (at < text.len) {
        quote = text.ptr[at++];
        for (;;) {
            char c = text.ptr[at++];
            if (c == '\\' && backslash)
                unescape(text.ptr[at++], body, &n);
            else if (c != quote)
                body[n++] = c;
            else if (at < text.len && text.ptr[at] == quote)
                body[n++] = text.ptr[at++];
            else
                break;
        }
        while (at < text.len &&
               ps_sql_is((unsigned char)text.ptr[at], PS_CH_SPACE))
            at++;
    }
    *out = (struct ps_str){.ptr = body, .len = n};
    return true;
}

bool
ps_sql_my_decode_name(struct ps_sql_parser *p, const struct ps_sql_token *t,
                      struct ps_str *out)
{
    struct ps_str text = ps_sql_token_text(p, t);
    struct ps_str body = {.ptr = text.ptr + 1, .len = text.len - 2};
    size_t n = 0;

    if (body.len == 0)
        return false;
    *out = body;
    if (!memchr(body.ptr, text.ptr[0], body.len))
        return true;
    char *name = ps_sql_new(p, body.len);
    if (!name)
        return false;
    for (size_t i = 0; i < body.len; i++) {
        name[n++] = body.ptr[i];
        if (body.ptr[i] == text.ptr[0])
            i++; /* doubled */
    }
    *out = (struct ps_str){.ptr = name, .len = n};
    return true;
}

bool
ps_sql_my_param(struct ps_sql_parser *p, const struct ps_sql_token *t,
                struct ps_sql_value *out)
{
    struct ps_str text = ps_sql_token_text(p, t);

    if (text.len == 1) {
        out->index = (int)t->info;
        return t->info < 65535; /* the protocol's limit */
    }
    out->index = -1;
    out->text = (struct ps_str){.ptr = text.ptr + 1, .len = text.len - 1};
    return true;
}
