/*
 * The shortest digits that read back as the same double are found by trying
 * precisions from 1 on; numbers that need this are rare in bindings (short
 * integers never come here).
 */
#include "agent/front/js_number.h"

#include "common/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static size_t
digits_len(struct ps_str text, size_t at)
{
    size_t n = 0;
    while (at + n < text.len && text.ptr[at + n] >= '0' &&
           text.ptr[at + n] <= '9')
        n++;
    return n;
}

size_t
ps_json_number_len(struct ps_str text)
{
    size_t at = 0, n;
    if (at < text.len && text.ptr[at] == '-')
        at++;
    n = digits_len(text, at);
    if (n == 0 || (n > 1 && text.ptr[at] == '0'))
        return 0;
    at += n;
    if (at < text.len && text.ptr[at] == '.') {
        n = digits_len(text, at + 1);
        if (n == 0)
            return 0;
        at += 1 + n;
    }
    if (at < text.len && (text.ptr[at] == 'e' || text.ptr[at] == 'E')) {
        at++;
        if (at < text.len && (text.ptr[at] == '+' || text.ptr[at] == '-'))
            at++;
        n = digits_len(text, at);
        if (n == 0)
            return 0;
        at += n;
    }
    return at;
}

bool
ps_js_number_is_canonical(struct ps_str number)
{
    size_t sign = number.len > 0 && number.ptr[0] == '-';
    size_t digits = number.len - sign;
    if (digits == 0 || digits > 15)
        return false;
    if (sign && number.ptr[1] == '0')
        return false; /* -0 prints as 0 */
    return digits_len(number, sign) == digits;
}

/* The shortest "d.ddde[+-]xx" that reads back as value: its digits without
 * the point in digits, their count, and the decimal exponent. */
static int
shortest_digits(double value, char digits[24], int *exponent)
{
    char text[40];
    for (int precision = 0; precision < 17; precision++) {
        int len = snprintf(text, sizeof(text), "%.*e", precision, value);
        PS_CHECK(len > 0 && (size_t)len < sizeof(text));
        if (strtod(text, NULL) == value)
            break;
    }
    int n = 1;
    char *p = text + 1;
    digits[0] = text[0];
    for (; *p != 'e'; p++) {
        if (*p != '.')
            digits[n++] = *p;
    }
    *exponent = (int)strtol(p + 1, NULL, 10);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    return n;
}

struct writer {
    char *at;
};

static void
put(struct writer *w, const char *bytes, int n)
{
    if (n > 0) {
        memcpy(w->at, bytes, (size_t)n);
        w->at += n;
    }
}

static void
put_zeros(struct writer *w, int n)
{
    for (; n > 0; n--)
        *w->at++ = '0';
}

/* ECMA-262 Number::toString, steps 6 to 12; point is its n. */
static void
put_number(struct writer *w, const char *digits, int count, int point)
{
    if (count <= point && point <= 21) {
        put(w, digits, count);
        put_zeros(w, point - count);
    } else if (0 < point && point <= 21) {
        put(w, digits, point);
        put(w, ".", 1);
        put(w, digits + point, count - point);
    } else if (-6 < point && point <= 0) {
        put(w, "0.", 2);
        put_zeros(w, -point);
        put(w, digits, count);
    } else {
        put(w, digits, 1);
        if (count > 1) {
            put(w, ".", 1);
            put(w, digits + 1, count - 1);
        }
        put(w, point > 0 ? "e+" : "e-", 2);
        w->at += snprintf(w->at, 5, "%d", abs(point - 1));
    }
}

size_t
ps_js_number_print(double value, char out[PS_JS_NUMBER_MAX])
{
    struct writer w = {out};
    PS_CHECK(isfinite(value));
    if (value == 0) {
        put(&w, "0", 1);
    } else {
        char digits[24];
        int exponent;
        if (value < 0)
            put(&w, "-", 1);
        int count = shortest_digits(fabs(value), digits, &exponent);
        put_number(&w, digits, count, exponent + 1);
    }
    *w.at = '\0';
    return (size_t)(w.at - out);
}
