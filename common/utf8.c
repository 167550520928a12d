/*
 * Validation of UTF-8 by the table of RFC 3629 section 4 (Unicode table 3-7):
 * what the second byte may be depends on the first; all later ones are
 * 80..BF. Runs of ASCII, nearly all that is ever seen, go 32 bytes, then
 * eight at a time.
 */
#include "common/utf8.h"

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* Length of the valid sequence of two or more bytes at p, or 0. */
static size_t
sequence(const unsigned char *p, size_t len)
{
    unsigned char lead = p[0], low = 0x80, high = 0xBF;
    size_t n;
    if (lead >= 0xC2 && lead <= 0xDF)
        n = 2;
    else if (lead >= 0xE0 && lead <= 0xEF)
        n = 3;
    else if (lead >= 0xF0 && lead <= 0xF4)
        n = 4;
    else
        return 0;
    if (n > len)
        return 0;
    if (lead == 0xE0)
        low = 0xA0; /* overlong below */
    else if (lead == 0xED)
        high = 0x9F; /* surrogates above */
    else if (lead == 0xF0)
        low = 0x90; /* overlong below */
    else if (lead == 0xF4)
        high = 0x8F; /* beyond U+10FFFF above */
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    return n;
}

size_t
ps_utf8_check(struct ps_str text)
{
    const unsigned char *p = (const unsigned char *)text.ptr;
    size_t at = 0;
    while (at < text.len) {
        uint64_t word, words[4];
        while (text.len - at >= sizeof(words)) {
            memcpy(words, p + at, sizeof(words));
            if ((words[0] | words[1] | words[2] | words[3]) & HIGH_BITS)
                break;
            at += sizeof(words);
        }
        while (text.len - at >= sizeof(word)) {
            memcpy(&word, p + at, sizeof(word));
            if (word & HIGH_BITS)
                break;
            at += sizeof(word);
        }
        while (at < text.len && p[at] < 0x80)
            at++;
        if (at == text.len)
            break;
        size_t n = sequence(p + at, text.len - at);
        if (n == 0)
            return at;
        at += n;
    }
    return at;
}

size_t
ps_utf8_put(char out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}
