/*
 * What postgres-interval makes of "1 year 2 mons -3 days 04:05:06.789": its
 * one regular expression has four optional parts in a fixed order, matched
 * from the start; what does not match is left out, and so is what is 0. Its
 * milliseconds have up to three decimals (microseconds).
 */
#include "agent/result/js_number.h"
#include "agent/result/pg_time.h"

#include <stdio.h>

struct reader {
    struct ps_buf *out;
    const char *at, *end;
    bool any;
};

static bool
digit_at(const struct reader *r, const char *at)
{
    return at < r->end && *at >= '0' && *at <= '9';
}

static bool
space_at(const struct reader *r, const char *at)
{
    return at < r->end && (*at == ' ' || (*at >= '\t' && *at <= '\r'));
}

static void
skip_spaces(struct reader *r)
{
    while (space_at(r, r->at))
        r->at++;
}

/* Adds "name":number unless it is 0. digits may begin with a sign. */
static void
add(struct reader *r, const char *name, struct ps_str digits, bool negative)
{
    char number[PS_JS_NUMBER_MAX];
    size_t len = ps_js_number(digits, false, number);
    if (len == 1 && number[0] == '0')
        return;
    if (r->any)
        ps_buf_append_char(r->out, ',');
    r->any = true;
    ps_buf_append_char(r->out, '"');
    ps_buf_append_c(r->out, name);
    ps_buf_append(r->out, "\":", 2);
    if (negative)
        ps_buf_append_char(r->out, '-');
    ps_buf_append(r->out, number, len);
}

/* [+-]digits spaces unit [s] */
static void
read_unit(struct reader *r, const char *unit, const char *name)
{
    const char *at = r->at;
    if (at < r->end && (*at == '+' || *at == '-'))
        at++;
    const char *digits = at;
    while (digit_at(r, at))
        at++;
    const char *digits_end = at;
    while (space_at(r, at))
        at++;
    size_t len = strlen(unit);
    if (digits == digits_end || at == digits_end ||
        (size_t)(r->end - at) < len || memcmp(at, unit, len) != 0)
        return;
    at += len;
    if (at < r->end && *at == 's')
        at++;
    const char *first = *r->at == '-' ? r->at : digits;
    add(r, name, (struct ps_str){first, (size_t)(digits_end - first)}, false);
    r->at = at;
    skip_spaces(r);
}

static bool
two_digits_at(const struct reader *r, const char *at)
{
    return digit_at(r, at) && digit_at(r, at + 1);
}

/* [+-][digits]:dd:dd[.d{1,6}] */
static void
read_time(struct reader *r)
{
    const char *at = r->at;
    bool negative = at < r->end && *at == '-';
    if (negative || (at < r->end && *at == '+'))
        at++;
    const char *hours = at;
    while (digit_at(r, at))
        at++;
    size_t n_hours = (size_t)(at - hours);
    if (r->end - at < 6 || at[0] != ':' || !two_digits_at(r, at + 1) ||
        at[3] != ':' || !two_digits_at(r, at + 4))
        return;
    if (n_hours)
        add(r, "hours", (struct ps_str){hours, n_hours}, negative);
    add(r, "minutes", (struct ps_str){at + 1, 2}, negative);
    add(r, "seconds", (struct ps_str){at + 4, 2}, negative);
    at += 6;
    if (at < r->end && *at == '.')
        at++;
    char micros[] = "000.000";
    int n = 0;
    for (; n < 6 && digit_at(r, at); n++, at++)
        micros[n < 3 ? n : n + 1] = *at;
    if (n)
        add(r, "milliseconds", ps_str_of(micros), negative);
}

void
ps_pg_interval_json(struct ps_buf *out, struct ps_str text)
{
    struct reader r = {out, text.ptr, text.ptr + text.len, false};
    /* The object's order is that of the packages' table of positions, which
     * is the order of the text. */
    ps_buf_append_char(out, '{');
    read_unit(&r, "year", "years");
    skip_spaces(&r);
    read_unit(&r, "mon", "months");
    skip_spaces(&r);
    read_unit(&r, "day", "days");
    skip_spaces(&r);
    read_time(&r);
    ps_buf_append_char(out, '}');
}
