/* One table decodes both alphabets of base64. */
#include "agent/front/credentials.h"

#include "common/utf8.h"

enum {
    UUID_LEN = 36
};

static int
digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

struct ps_str
ps_base64_decode(struct ps_str text, struct ps_arena *arena)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;
    for (int i = 0; i < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; i++)
        text.len--;
    if (text.len % 4 == 1)
        return PS_STR_NONE;
    char *out = ps_arena_alloc(arena, text.len);
    if (!out)
        return PS_STR_NONE;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.ptr[i]);
        if (digit < 0)
            return PS_STR_NONE;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[n++] = (char)(bits >> have & 0xFF);
        }
    }
    return (struct ps_str){out, n};
}

bool
ps_is_cache_id(struct ps_str text)
{
    if (text.len != UUID_LEN)
        return false;
    for (size_t i = 0; i < UUID_LEN; i++) {
        char c = text.ptr[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
                   (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !hex)
            return false;
    }
    return true;
}

enum ps_rc
ps_credentials_basic(struct ps_str header, struct ps_arena *arena,
                     struct ps_credentials *out, struct ps_err *err)
{
    static const char scheme[] = "Basic ";
    size_t n = sizeof(scheme) - 1;
    if (header.len <= n ||
        !ps_str_eq_nocase((struct ps_str){header.ptr, n}, ps_str_of(scheme)))
        return ps_err_set(err, PS_UNAUTHORIZED,
                          "no valid credentials: send Authorization: Basic");
    header.ptr += n;
    header.len -= n;
    while (header.len > 0 && *header.ptr == ' ') {
        header.ptr++;
        header.len--;
    }
    struct ps_str text = ps_base64_decode(header, arena);
    const char *colon = text.len > 0 ? memchr(text.ptr, ':', text.len) : NULL;
    if (!colon || memchr(text.ptr, '\0', text.len) ||
        ps_utf8_check(text) != text.len)
        return ps_err_set(err, PS_UNAUTHORIZED,
                          "no valid credentials: Authorization: Basic does "
                          "not hold user:password");
    size_t user = (size_t)(colon - text.ptr);
    *out = (struct ps_credentials){
        .user = {text.ptr,  user               },
        .password = {colon + 1, text.len - user - 1},
    };
    return PS_OK;
}

static struct ps_str
behind(struct ps_str text, size_t n)
{
    return (struct ps_str){text.ptr + n, text.len - n};
}

void
ps_credentials_split(struct ps_credentials *credentials)
{
    struct ps_str user = credentials->user;
    if (user.len <= UUID_LEN + 1)
        return;
    struct ps_str id = {user.ptr, UUID_LEN};
    char mark = user.ptr[UUID_LEN];
    struct ps_str rest = behind(user, UUID_LEN + 1);
    if (!ps_is_cache_id(id) || (mark != '-' && mark != '/'))
        return;
    if (mark == '/') {
        const char *slash = memchr(rest.ptr, '/', rest.len);
        if (!slash)
            return;
        size_t n = (size_t)(slash - rest.ptr);
        credentials->database = (struct ps_str){rest.ptr, n};
        rest = behind(rest, n + 1);
    }
    if (rest.len == 0)
        return;
    credentials->cache_id = id;
    credentials->user = rest;
}
