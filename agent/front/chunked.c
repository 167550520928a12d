/* A state per place in the grammar; only chunk data is taken in runs. */
#include "agent/front/chunked.h"

enum {
    MAX_DIGITS = 8,
    MAX_OVERHEAD = 8192
};

enum state {
    SIZE,       /* digits of the size */
    EXTENSION,  /* behind the first ; */
    SIZE_LF,    /* LF behind the size line */
    DATA,       /* bytes of the chunk */
    DATA_CR,    /* CR behind them */
    DATA_LF,    /* LF behind them */
    TRAILER,    /* first byte of a line behind the last chunk */
    IN_TRAILER, /* rest of that line */
    TRAILER_LF, /* its LF */
    LAST_LF     /* LF of the empty line */
};

void
ps_chunked_begin(struct ps_chunked *chunked)
{
    memset(chunked, 0, sizeof(*chunked));
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static enum ps_chunked_result
size_byte(struct ps_chunked *chunked, char c, size_t max)
{
    int digit = hex_digit(c);
    if (digit >= 0) {
        if (++chunked->digits > MAX_DIGITS)
            return PS_CHUNKED_TOO_BIG;
        chunked->left = chunked->left * 16 + (uint64_t)digit;
        return PS_CHUNKED_MORE;
    }
    if (chunked->digits == 0)
        return PS_CHUNKED_BAD;
    if (chunked->left > max - chunked->total)
        return PS_CHUNKED_TOO_BIG;
    if (c == '\r')
        chunked->state = SIZE_LF;
    else if (c == ';' || c == ' ' || c == '\t')
        chunked->state = EXTENSION;
    else
        return PS_CHUNKED_BAD;
    return PS_CHUNKED_MORE;
}

/* Text that is read over: extensions and trailers. */
static enum ps_chunked_result
skip_byte(struct ps_chunked *chunked, char c, enum state at_cr)
{
    if (++chunked->overhead > MAX_OVERHEAD)
        return PS_CHUNKED_TOO_BIG;
    if (c == '\r')
        chunked->state = at_cr;
    else if (c == '\n' || c == '\0')
        return PS_CHUNKED_BAD;
    return PS_CHUNKED_MORE;
}

static enum ps_chunked_result
expect_byte(struct ps_chunked *chunked, char c, char expected, enum state next)
{
    if (c != expected)
        return PS_CHUNKED_BAD;
    chunked->state = next;
    return PS_CHUNKED_MORE;
}

/* Everything but chunk data, a byte at a time. */
static enum ps_chunked_result
framing_byte(struct ps_chunked *chunked, char c, size_t max)
{
    switch ((enum state)chunked->state) {
    case SIZE:
        return size_byte(chunked, c, max);
    case EXTENSION:
        return skip_byte(chunked, c, SIZE_LF);
    case SIZE_LF:
        chunked->digits = 0;
        return expect_byte(chunked, c, '\n', chunked->left ? DATA : TRAILER);
    case DATA_CR:
        return expect_byte(chunked, c, '\r', DATA_LF);
    case DATA_LF:
        return expect_byte(chunked, c, '\n', SIZE);
    case TRAILER:
        chunked->state = IN_TRAILER;
        return skip_byte(chunked, c, LAST_LF);
    case IN_TRAILER:
        return skip_byte(chunked, c, TRAILER_LF);
    case TRAILER_LF:
        return expect_byte(chunked, c, '\n', TRAILER);
    case LAST_LF:
        return c == '\n' ? PS_CHUNKED_DONE : PS_CHUNKED_BAD;
    case DATA:
        break;
    }
    return PS_CHUNKED_BAD;
}

enum ps_chunked_result
ps_chunked_feed(struct ps_chunked *chunked, char *buf, size_t *in, size_t end,
                size_t *out, size_t max)
{
    while (*in < end) {
        if (chunked->state == DATA) {
            size_t n = PS_MIN(chunked->left, end - *in);
            memmove(buf + *out, buf + *in, n);
            *in += n;
            *out += n;
            chunked->total += n;
            chunked->left -= n;
            if (chunked->left == 0)
                chunked->state = DATA_CR;
            continue;
        }
        enum ps_chunked_result result =
            framing_byte(chunked, buf[(*in)++], max);
        if (result != PS_CHUNKED_MORE)
            return result;
    }
    return PS_CHUNKED_MORE;
}
