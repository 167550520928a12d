/*
 * A growing byte buffer that is born with a maximum. Appending past the
 * maximum, or without memory, marks it failed; further appends do nothing, so
 * that a writer checks once at the end (ps_buf_rc).
 */
#ifndef PS_COMMON_BUF_H
#define PS_COMMON_BUF_H

#include "common/base.h"
#include "common/err.h"

struct ps_buf {
    char *data; /* owned; NULL until the first byte */
    size_t len;
    size_t cap;
    size_t max;
    enum ps_rc rc; /* PS_OK, PS_TOO_BIG or PS_NO_MEMORY */
};

void ps_buf_init(struct ps_buf *buf, size_t max_bytes);
/* Frees the bytes; the buffer may be used again with the same maximum. */
void ps_buf_done(struct ps_buf *buf);
/* Empties it, keeps the memory, clears a failure. */
void ps_buf_clear(struct ps_buf *buf);
/* Room for at least n more bytes at data + len, NULL on failure. */
char *ps_buf_reserve(struct ps_buf *buf, size_t n);
void ps_buf_append(struct ps_buf *buf, const void *bytes, size_t n);
void ps_buf_append_str(struct ps_buf *buf, struct ps_str s);
void ps_buf_append_c(struct ps_buf *buf, const char *text);
void ps_buf_append_char(struct ps_buf *buf, char c);
void ps_buf_append_u64(struct ps_buf *buf, uint64_t value);
void ps_buf_append_i64(struct ps_buf *buf, int64_t value);
void ps_buf_printf(struct ps_buf *buf, const char *fmt, ...) PS_PRINTF(2, 3);
/* Appends s as a JSON string, quotes included (RFC 8259 section 7). s must be
 * valid UTF-8; bytes that are not come out as U+FFFD. */
void ps_buf_append_json(struct ps_buf *buf, struct ps_str s);
/* Drops n bytes from the front. */
void ps_buf_consume(struct ps_buf *buf, size_t n);
/* Gives the bytes away (to be freed with free()); the buffer is empty then. */
char *ps_buf_take(struct ps_buf *buf, size_t *len);
PS_MUST_USE enum ps_rc ps_buf_rc(const struct ps_buf *buf);
static inline struct ps_str
ps_buf_str(const struct ps_buf *buf)
{
    return (struct ps_str){.ptr = buf->data, .len = buf->len};
}

#endif
