/*
 * What postgres-date makes of a text, quirks included, because applications
 * are used to them:
 *
 *   - fractions are cut to milliseconds after a multiplication in doubles;
 *   - years 0 to 99 are first taken as 1900 to 1999 (JavaScript's Date), so
 *     29 February of 1 BC becomes 1 March (1900 has no such day);
 *   - what is outside JavaScript's range of +-8.64e15 ms becomes null.
 *
 * Without an offset the text is local time, and local is UTC here.
 */
#include "agent/result/pg_time.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DAY_MS = 86400000
};
static const int64_t limit_ms = INT64_C(8640000000000000);

struct parts {
    int64_t year;
    int month, day, hour, minute, second, ms;
    bool has_time, has_offset;
    int64_t offset_ms;
};

struct cursor {
    const char *at, *end;
};

static bool
take_char(struct cursor *c, char wanted)
{
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool
peek_digit(const struct cursor *c)
{
    return c->at < c->end && *c->at >= '0' && *c->at <= '9';
}

/* Exactly two digits. */
static bool
take_two(struct cursor *c, int *value)
{
    int n = 0;
    for (int i = 0; i < 2; i++) {
        if (!peek_digit(c))
            return false;
        n = n * 10 + (*c->at++ - '0');
    }
    *value = n;
    return true;
}

/* Any number of digits: beyond seven the year is beyond every limit, and more
 * of them would only overflow what is computed from it. */
static bool
take_year(struct cursor *c, int64_t *value)
{
    if (!peek_digit(c))
        return false;
    int64_t n = 0;
    for (; peek_digit(c); c->at++) {
        if (n < 1000000)
            n = n * 10 + (*c->at - '0');
    }
    *value = n;
    return true;
}

/* .123456 in milliseconds, as 1000 * parseFloat(".123456") cut to an
 * integer. */
static int
take_fraction(struct cursor *c)
{
    struct cursor probe = *c;
    if (!take_char(&probe, '.') || !peek_digit(&probe))
        return 0;
    double digits = 0, scale = 1;
    for (int n = 0; peek_digit(&probe); probe.at++, n++) {
        if (n < 15) {
            digits = digits * 10 + (*probe.at - '0');
            scale *= 10;
        }
    }
    *c = probe;
    return (int)(1000 * (digits / scale));
}

/* Z, +05, -03:30, +00:19:32. */
static bool
take_offset(struct cursor *c, struct parts *p)
{
    if (take_char(c, 'Z')) {
        p->has_offset = true;
        return true;
    }
    bool negative = take_char(c, '-');
    if (!negative && !take_char(c, '+'))
        return true;
    int parts[3] = {0, 0, 0};
    for (int i = 0; i < 3 && peek_digit(c); i++) {
        if (!take_two(c, &parts[i]))
            return false;
        take_char(c, ':');
    }
    p->has_offset = true;
    p->offset_ms = (parts[0] * 3600 + parts[1] * 60 + parts[2]) * 1000;
    if (negative)
        p->offset_ms = -p->offset_ms;
    return true;
}

static bool
parse(struct ps_str text, struct parts *p)
{
    struct cursor c = {text.ptr, text.ptr + text.len};
    struct ps_str bc = PS_STR(" BC");
    if (text.len > bc.len && memcmp(c.end - bc.len, bc.ptr, bc.len) == 0)
        c.end -= bc.len;
    if (!take_year(&c, &p->year) || !take_char(&c, '-') ||
        !take_two(&c, &p->month) || !take_char(&c, '-') ||
        !take_two(&c, &p->day))
        return false;
    if (c.end != text.ptr + text.len)
        p->year = -(p->year - 1);
    if (c.at == c.end)
        return true;
    p->has_time = true;
    if (!take_char(&c, ' ') || !take_two(&c, &p->hour) || !take_char(&c, ':') ||
        !take_two(&c, &p->minute) || !take_char(&c, ':') ||
        !take_two(&c, &p->second))
        return false;
    p->ms = take_fraction(&c);
    return take_offset(&c, p) && c.at == c.end;
}

/* Days since 1970-01-01 of the proleptic Gregorian calendar; day may lie
 * outside its month. */
static int64_t
days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t of_era_days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    return era * 146097 + of_era_days - 719468;
}

static void
date_of(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t y =
        (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = y + era * 400 + (*month <= 2);
}

/* Milliseconds since 1970; false outside of JavaScript's range. */
static bool
to_ms(const struct parts *p, int64_t *ms)
{
    int64_t days;
    if (p->year >= 0 && p->year < 100) {
        int64_t year;
        int month, day;
        date_of(days_of(1900 + p->year, p->month, p->day), &year, &month, &day);
        days = days_of(p->year, month, day);
    } else {
        days = days_of(p->year, p->month, p->day);
    }
    int64_t t = days * DAY_MS +
                ((p->hour * 60 + p->minute) * INT64_C(60) + p->second) * 1000 +
                p->ms;
    if (t < -limit_ms || t > limit_ms)
        return false;
    t -= p->offset_ms;
    if (t < -limit_ms || t > limit_ms)
        return false;
    *ms = t;
    return true;
}

static void
put_padded(char *to, int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        to[i] = (char)('0' + value % 10);
}

static void
append_iso(struct ps_buf *out, int64_t ms)
{
    int64_t days = ms / DAY_MS, rest = ms % DAY_MS;
    if (rest < 0) {
        rest += DAY_MS;
        days--;
    }
    int64_t year;
    int month, day;
    date_of(days, &year, &month, &day);
    char text[] = "\"+000000-00-00T00:00:00.000Z\"";
    char *body = text + 8; /* behind the year */
    put_padded(body + 1, month, 2);
    put_padded(body + 4, day, 2);
    put_padded(body + 7, rest / 3600000, 2);
    put_padded(body + 10, rest / 60000 % 60, 2);
    put_padded(body + 13, rest / 1000 % 60, 2);
    put_padded(body + 16, rest % 1000, 3);
    char *start = text;
    if (year >= 0 && year <= 9999) {
        put_padded(body - 4, year, 4);
        start = body - 5;
        *start = '"';
    } else {
        put_padded(body - 6, llabs(year), 6);
        text[1] = year < 0 ? '-' : '+';
    }
    ps_buf_append(out, start, sizeof(text) - 1 - (size_t)(start - text));
}

void
ps_pg_date_json(struct ps_buf *out, struct ps_str text)
{
    struct parts parts = {.year = 0};
    int64_t ms;
    if (parse(text, &parts) && to_ms(&parts, &ms))
        append_iso(out, ms);
    else
        ps_buf_append(out, "null", 4);
}
