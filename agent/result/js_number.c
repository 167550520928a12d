/*
 * A decimal text is taken apart into sign, significant digits and the
 * position of its point; JavaScript's form is put together from these. A
 * decimal of at most 15 significant digits survives the way through a double
 * unchanged, so nothing is converted there; longer ones go through strtod()
 * and the shortest form that reads back as the same double.
 */
#include "agent/result/js_number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* Beyond the 768th digit only "is there a further non-zero one" can
     * matter to a double. */
    DIGITS_MAX = 780,
    EXACT_DIGITS = 15,
    SHORTEST_DIGITS = 17,
    POINT_LIMIT = 100000
};

struct decimal {
    bool negative;
    int n;     /* significant digits, no zero at either end */
    int point; /* value = 0.d1d2d3... * 10^point */
    char digits[DIGITS_MAX + 1];
};

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One more digit behind the ones there are; `whole` when before the point. */
static void
add_digit(struct decimal *d, char c, bool whole)
{
    if (d->n == 0 && c == '0') {
        if (!whole && d->point > -POINT_LIMIT)
            d->point--;
        return;
    }
    if (whole && d->point < POINT_LIMIT)
        d->point++;
    if (d->n < DIGITS_MAX)
        d->digits[d->n++] = c;
    else if (c != '0')
        d->digits[DIGITS_MAX - 1] = '1'; /* sticky */
}

/* Reads [eE][+-]digits if it is all there. */
static void
read_exponent(struct decimal *d, const char *at, const char *end)
{
    if (at == end || (*at != 'e' && *at != 'E'))
        return;
    at++;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    int exponent = 0;
    for (; at < end && is_digit(*at); at++) {
        if (exponent < POINT_LIMIT)
            exponent = exponent * 10 + (*at - '0');
    }
    d->point += negative ? -exponent : exponent;
}

/* The longest prefix of text that is a decimal literal; false: NaN, or
 * Infinity, which JSON writes alike. */
static bool
read_decimal(struct ps_str text, struct decimal *d)
{
    const char *at = text.ptr, *end = text.ptr + text.len;
    d->negative = false;
    d->n = d->point = 0;
    while (at < end && (*at == ' ' || (*at >= '\t' && *at <= '\r')))
        at++;
    if (at < end && (*at == '-' || *at == '+'))
        d->negative = *at++ == '-';
    const char *first = at;
    for (; at < end && is_digit(*at); at++)
        add_digit(d, *at, true);
    bool any = at > first;
    if (at < end && *at == '.') {
        const char *point = at++;
        for (; at < end && is_digit(*at); at++)
            add_digit(d, *at, false);
        any = any || at > point + 1;
    }
    if (!any)
        return false;
    read_exponent(d, at, end);
    while (d->n > 0 && d->digits[d->n - 1] == '0')
        d->n--;
    return true;
}

/* Replaces the digits by the fewest that give the same double; false when it
 * is infinite. */
static bool
shorten(struct decimal *d)
{
    char text[DIGITS_MAX + 32];
    snprintf(text, sizeof(text), "0.%.*se%d", d->n, d->digits, d->point);
    double value = strtod(text, NULL);
    if (!isfinite(value))
        return false;
    if (value == 0) {
        d->n = 0;
        return true;
    }
    /* A subnormal number has fewer bits, down to one. */
    int least = fabs(value) < DBL_MIN ? 1 : EXACT_DIGITS;
    for (int n = least; n <= SHORTEST_DIGITS; n++) {
        snprintf(text, sizeof(text), "%.*e", n - 1, value);
        if (n == SHORTEST_DIGITS || strtod(text, NULL) == value)
            break;
    }
    bool negative = d->negative;
    bool good = read_decimal(ps_str_of(text), d);
    d->negative = negative;
    return good;
}

static char *
put(char *to, const char *bytes, int n)
{
    memcpy(to, bytes, (size_t)n);
    return to + n;
}

static char *
put_zeros(char *to, int n)
{
    memset(to, '0', (size_t)n);
    return to + n;
}

/* Number::toString of ECMA-262 for a finite value that is not 0. */
static size_t
write_decimal(const struct decimal *d, char out[PS_JS_NUMBER_MAX])
{
    char *to = out;
    if (d->negative)
        *to++ = '-';
    if (d->n <= d->point && d->point <= 21) {
        to = put(to, d->digits, d->n);
        to = put_zeros(to, d->point - d->n);
    } else if (d->point > 0 && d->point <= 21) {
        to = put(to, d->digits, d->point);
        *to++ = '.';
        to = put(to, d->digits + d->point, d->n - d->point);
    } else if (d->point > -6 && d->point <= 0) {
        to = put(to, "0.", 2);
        to = put_zeros(to, -d->point);
        to = put(to, d->digits, d->n);
    } else {
        *to++ = d->digits[0];
        if (d->n > 1) {
            *to++ = '.';
            to = put(to, d->digits + 1, d->n - 1);
        }
        to += snprintf(to, 8, "e%+d", d->point - 1);
    }
    return (size_t)(to - out);
}

size_t
ps_js_number(struct ps_str text, bool exact, char out[PS_JS_NUMBER_MAX])
{
    struct decimal d;
    bool finite = read_decimal(text, &d);
    bool safe = d.n <= (exact ? SHORTEST_DIGITS : EXACT_DIGITS) &&
                d.point < 300 && d.point > -300;
    if (finite && d.n > 0 && !safe)
        finite = shorten(&d);
    if (!finite) {
        memcpy(out, "null", 4);
        return 4;
    }
    if (d.n == 0) {
        out[0] = '0';
        return 1;
    }
    return write_decimal(&d, out);
}
