/*
 * Growth doubles, never past the maximum. JSON escaping is on the path of
 * every row of a miss: runs of bytes that need nothing are found eight at a
 * time and copied at once.
 */
#include "common/buf.h"

#include "common/check.h"
#include "common/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FIRST_CAPACITY = 256
};

void
ps_buf_init(struct ps_buf *buf, size_t max_bytes)
{
    *buf = (struct ps_buf){.max = max_bytes, .rc = PS_OK};
}

void
ps_buf_done(struct ps_buf *buf)
{
    free(buf->data);
    ps_buf_init(buf, buf->max);
}

void
ps_buf_clear(struct ps_buf *buf)
{
    buf->len = 0;
    buf->rc = PS_OK;
}

static bool
grow(struct ps_buf *buf, size_t n)
{
    if (buf->rc != PS_OK)
        return false;
    if (n > buf->max - buf->len) {
        buf->rc = PS_TOO_BIG;
        return false;
    }
    size_t need = buf->len + n;
    size_t cap = PS_MAX(buf->cap, (size_t)FIRST_CAPACITY);
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    cap = PS_MIN(cap, buf->max);
    char *data = realloc(buf->data, cap);
    if (!data) {
        buf->rc = PS_NO_MEMORY;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

char *
ps_buf_reserve(struct ps_buf *buf, size_t n)
{
    /* The first byte's memory is made here even for n = 0: not NULL. */
    bool fits = buf->rc == PS_OK && buf->data && n <= buf->cap - buf->len;
    if (PS_UNLIKELY(!fits) && !grow(buf, n))
        return NULL;
    return buf->data + buf->len;
}

void
ps_buf_append(struct ps_buf *buf, const void *bytes, size_t n)
{
    if (n == 0)
        return;
    char *to = ps_buf_reserve(buf, n);
    if (!to)
        return;
    memcpy(to, bytes, n);
    buf->len += n;
}

void
ps_buf_append_str(struct ps_buf *buf, struct ps_str s)
{
    ps_buf_append(buf, s.ptr, s.len);
}

void
ps_buf_append_c(struct ps_buf *buf, const char *text)
{
    ps_buf_append(buf, text, strlen(text));
}

void
ps_buf_append_char(struct ps_buf *buf, char c)
{
    char *to = ps_buf_reserve(buf, 1);
    if (!to)
        return;
    *to = c;
    buf->len++;
}

void
ps_buf_append_u64(struct ps_buf *buf, uint64_t value)
{
    char text[20];
    char *at = text + sizeof(text);
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    ps_buf_append(buf, at, (size_t)(text + sizeof(text) - at));
}

void
ps_buf_append_i64(struct ps_buf *buf, int64_t value)
{
    if (value >= 0) {
        ps_buf_append_u64(buf, (uint64_t)value);
        return;
    }
    ps_buf_append_char(buf, '-');
    ps_buf_append_u64(buf, 0 - (uint64_t)value);
}

void
ps_buf_printf(struct ps_buf *buf, const char *fmt, ...)
{
    if (buf->rc != PS_OK)
        return;
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    size_t room = buf->cap - buf->len;
    int n = vsnprintf(buf->data ? buf->data + buf->len : NULL, room, fmt, args);
    va_end(args);
    PS_CHECK(n >= 0);
    size_t size = (size_t)n;
    if (size < room) {
        buf->len += size;
    } else if (size == buf->max - buf->len) {
        /* Fits exactly, but for the NUL that vsnprintf() wants. */
        char *text = malloc(size + 1);
        if (text) {
            vsnprintf(text, size + 1, fmt, again);
            ps_buf_append(buf, text, size);
            free(text);
        } else {
            buf->rc = PS_NO_MEMORY;
        }
    } else if (ps_buf_reserve(buf, size + 1)) {
        vsnprintf(buf->data + buf->len, size + 1, fmt, again);
        buf->len += size;
    }
    va_end(again);
}

/* What a byte becomes inside a JSON string: 0 itself, 1 a \u00XX escape, 2
 * the start of a UTF-8 sequence (or not), else the letter after a
 * backslash. */
static unsigned char
json_class(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return c < 0x20 ? 1 : c >= 0x80 ? 2 : 0;
    }
}

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* Length of the prefix that needs neither escape nor a look at its UTF-8. */
static size_t
json_plain(const char *p, size_t len)
{
    size_t at = 0;
    uint64_t w;
    while (len - at >= sizeof(w)) {
        memcpy(&w, p + at, sizeof(w));
        /* High bit set in each byte that is zero after the xor, or below
         * 0x20, or not ASCII; false alarms only send us to the loop below. */
        uint64_t quote = (w ^ EACH_BYTE('"')) - EACH_BYTE(1);
        uint64_t slash = (w ^ EACH_BYTE('\\')) - EACH_BYTE(1);
        uint64_t control = w - EACH_BYTE(0x20);
        if ((quote | slash | control | w) & EACH_BYTE(0x80))
            break;
        at += sizeof(w);
    }
    while (at < len && json_class((unsigned char)p[at]) == 0)
        at++;
    return at;
}

/* Appends the one character, or the run of characters beyond ASCII, at p,
 * which is not plain; returns how many bytes it took. */
static size_t
json_special(struct ps_buf *buf, const char *p, size_t len)
{
    unsigned char c = (unsigned char)*p, class = json_class(c);
    if (class == 1) {
        static const char hex[] = "0123456789abcdef";
        char text[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        ps_buf_append(buf, text, sizeof(text));
        return 1;
    }
    if (class != 2) {
        char text[] = {'\\', (char)class};
        ps_buf_append(buf, text, sizeof(text));
        return 1;
    }
    size_t run = 1;
    while (run < len && (p[run] & 0x80))
        run++;
    size_t valid = ps_utf8_check((struct ps_str){p, run});
    ps_buf_append(buf, p, valid);
    if (valid == run)
        return run;
    ps_buf_append(buf, "\xEF\xBF\xBD", 3);
    return valid + 1;
}

void
ps_buf_append_json(struct ps_buf *buf, struct ps_str s)
{
    ps_buf_append_char(buf, '"');
    for (size_t at = 0; at < s.len;) {
        size_t plain = json_plain(s.ptr + at, s.len - at);
        ps_buf_append(buf, s.ptr + at, plain);
        at += plain;
        if (at < s.len)
            at += json_special(buf, s.ptr + at, s.len - at);
    }
    ps_buf_append_char(buf, '"');
}

void
ps_buf_consume(struct ps_buf *buf, size_t n)
{
    PS_CHECK(n <= buf->len);
    if (n == 0)
        return;
    buf->len -= n;
    memmove(buf->data, buf->data + n, buf->len);
}

char *
ps_buf_take(struct ps_buf *buf, size_t *len)
{
    char *data = buf->data;
    if (len)
        *len = buf->len;
    ps_buf_init(buf, buf->max);
    return data;
}

enum ps_rc
ps_buf_rc(const struct ps_buf *buf)
{
    return buf->rc;
}
