/* Split first, decode after: a decoded part may hold any of the marks. */
#include "agent/front/connection_url.h"

#include "common/utf8.h"

static enum ps_rc
bad(struct ps_err *err)
{
    return ps_err_set(err, PS_BAD_FIELD,
                      "Neon-Connection-String is not "
                      "postgresql://user:password@host/database with its "
                      "parts percent-encoded");
}

/* Takes what stands before mark off text, or all of it. True: mark was there.
 */
static bool
cut(struct ps_str *text, char mark, struct ps_str *before)
{
    const char *at = text->len ? memchr(text->ptr, mark, text->len) : NULL;
    size_t n = at ? (size_t)(at - text->ptr) : text->len;
    *before = (struct ps_str){text->ptr, n};
    size_t used = at ? n + 1 : n;
    text->ptr += used;
    text->len -= used;
    return at != NULL;
}

static int
hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False: an escape that is none, or no text. */
static bool
decode(struct ps_str text, struct ps_arena *arena, struct ps_str *out)
{
    char *to = ps_arena_alloc(arena, text.len);
    size_t n = 0;
    if (!to)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex(text.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex(text.ptr[i + 2]) : -1;
            if (low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        to[n++] = c;
    }
    *out = (struct ps_str){to, n};
    return ps_utf8_check(*out) == n && (n == 0 || !memchr(to, '\0', n));
}

static bool
skip_scheme(struct ps_str *url)
{
    static const char *const schemes[] = {"postgresql://", "postgres://"};
    for (size_t i = 0; i < PS_ARRAY_LEN(schemes); i++) {
        struct ps_str scheme = ps_str_of(schemes[i]);
        if (url->len >= scheme.len &&
            ps_str_eq_nocase((struct ps_str){url->ptr, scheme.len}, scheme)) {
            url->ptr += scheme.len;
            url->len -= scheme.len;
            return true;
        }
    }
    return false;
}

/* The value of ?cache=, which needs no decoding. */
static struct ps_str
cache_of(struct ps_str query)
{
    struct ps_str pair, key;
    while (query.len > 0) {
        cut(&query, '&', &pair);
        cut(&pair, '=', &key);
        if (ps_str_eq(key, PS_STR("cache")) && ps_is_cache_id(pair))
            return pair;
    }
    return PS_STR_NONE;
}

/* "user:password@" in front of the host; the last @ counts, as WHATWG has it.
 */
static struct ps_str
user_info(struct ps_str *authority)
{
    const char *at = NULL;
    for (size_t i = authority->len; i > 0 && !at; i--)
        at = authority->ptr[i - 1] == '@' ? authority->ptr + i - 1 : NULL;
    if (!at)
        return PS_STR("");
    size_t n = (size_t)(at - authority->ptr);
    struct ps_str info = {authority->ptr, n};
    authority->ptr += n + 1;
    authority->len -= n + 1;
    return info;
}

enum ps_rc
ps_connection_url(struct ps_str url, struct ps_arena *arena,
                  struct ps_credentials *out, struct ps_err *err)
{
    struct ps_str authority, path, user, label;
    struct ps_credentials c = {.cache_id = PS_STR_NONE};
    if (!skip_scheme(&url))
        return bad(err);
    struct ps_str rest, query = url;
    cut(&query, '?', &rest);
    cut(&rest, '/', &authority);
    path = rest;
    struct ps_str info = user_info(&authority);
    cut(&info, ':', &user);
    if (!decode(user, arena, &c.user) || !decode(info, arena, &c.password) ||
        !decode(path, arena, &c.database) || !c.user.len || !c.database.len)
        return bad(err);
    struct ps_str database = c.database;
    ps_credentials_split(&c);
    c.database = database;
    struct ps_str named = cache_of(query);
    cut(&authority, '.', &label);
    if (named.ptr)
        c.cache_id = named;
    else if (!c.cache_id.ptr && ps_is_cache_id(label))
        c.cache_id = label;
    *out = c;
    return PS_OK;
}
