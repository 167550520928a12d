#include "agent/front/json_escape.h"

/* Four hexadecimal digits at p, or -1. */
static int
hex4(const char *p, const char *end)
{
    int value = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* The character of a \u escape whose digits begin at *p; moves *p behind it. */
static int32_t
unicode_escape(const char **p, const char *end)
{
    int32_t c = hex4(*p, end), low;
    if (c < 0)
        return PS_JSON_ESCAPE_BAD;
    *p += 4;
    if (c < 0xD800 || c > 0xDFFF)
        return c;
    if (c > 0xDBFF || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
        return PS_JSON_ESCAPE_HALF;
    low = hex4(*p + 2, end);
    if (low < 0xDC00 || low > 0xDFFF)
        return low < 0 ? PS_JSON_ESCAPE_BAD : PS_JSON_ESCAPE_HALF;
    *p += 6;
    return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
}

static int32_t
short_escape(char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
        return c;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return PS_JSON_ESCAPE_BAD;
    }
}

int32_t
ps_json_escape(const char **p, const char *end)
{
    if (*p == end)
        return PS_JSON_ESCAPE_BAD;
    char c = *(*p)++;
    return c == 'u' ? unicode_escape(p, end) : short_escape(c);
}
