/*
 * Dates are JavaScript's: DATE is `new Date(y, m - 1, d)`, where years below
 * 100 mean 19xx and a day or month 0 is the last one of what came before;
 * DATETIME is `new Date(text)`, where anything out of range is invalid, which
 * JSON has as null.
 */
#include "agent/result/my_values.h"

#include "agent/result/js_number.h"
#include "agent/result/json_copy.h"

static uint32_t
kind_of(const struct ps_column *column)
{
    switch (column->type) {
    case PS_MY_TYPE_TINY:
    case PS_MY_TYPE_SHORT:
    case PS_MY_TYPE_LONG:
    case PS_MY_TYPE_INT24:
    case PS_MY_TYPE_LONGLONG:
    case PS_MY_TYPE_YEAR:
    case PS_MY_TYPE_FLOAT:
    case PS_MY_TYPE_DOUBLE:
        return PS_MY_NUMBER;
    case PS_MY_TYPE_DATE:
        return PS_MY_DATE;
    case PS_MY_TYPE_DATETIME:
    case PS_MY_TYPE_TIMESTAMP:
    case PS_MY_TYPE_NEWDATE:
        return PS_MY_DATETIME;
    case PS_MY_TYPE_DECIMAL:
    case PS_MY_TYPE_NEWDECIMAL:
    case PS_MY_TYPE_TIME:
        return PS_MY_TEXT;
    case PS_MY_TYPE_JSON:
        return PS_MY_JSON;
    case PS_MY_TYPE_GEOMETRY:
        return PS_MY_GEOMETRY;
    default:
        return column->charset == PS_MY_CHARSET_BINARY ? PS_MY_BYTES
                                                       : PS_MY_TEXT;
    }
}

/* ---- dates ---- */

/* n digits at text[*at], which moves on. */
static bool
take_digits(struct ps_str text, size_t *at, size_t n, int *value)
{
    if (text.len - *at < n)
        return false;
    *value = 0;
    for (size_t i = 0; i < n; i++) {
        char c = text.ptr[(*at)++];
        if (c < '0' || c > '9')
            return false;
        *value = *value * 10 + (c - '0');
    }
    return true;
}

static bool
take_char(struct ps_str text, size_t *at, char wanted)
{
    return *at < text.len && text.ptr[(*at)++] == wanted;
}

struct moment {
    int year, month, day, hour, minute, second, ms;
};

static bool
parse_date(struct ps_str text, size_t *at, struct moment *m)
{
    return take_digits(text, at, 4, &m->year) && take_char(text, at, '-') &&
           take_digits(text, at, 2, &m->month) && take_char(text, at, '-') &&
           take_digits(text, at, 2, &m->day);
}

/* "2024-01-31 23:59:59[.123456]" */
static bool
parse_datetime(struct ps_str text, struct moment *m)
{
    size_t at = 0;
    if (!parse_date(text, &at, m) || !take_char(text, &at, ' ') ||
        !take_digits(text, &at, 2, &m->hour) || !take_char(text, &at, ':') ||
        !take_digits(text, &at, 2, &m->minute) || !take_char(text, &at, ':') ||
        !take_digits(text, &at, 2, &m->second))
        return false;
    if (at == text.len)
        return true;
    if (!take_char(text, &at, '.') || at == text.len)
        return false;
    for (int scale = 100; scale > 0 && at < text.len; scale /= 10) {
        int digit;
        if (!take_digits(text, &at, 1, &digit))
            return false;
        m->ms += digit * scale;
    }
    return true;
}

/* Days since 1970-01-01 of a day in the proleptic Gregorian calendar; month
 * from 1, day any number (H. Hinnant, "chrono-compatible low-level date
 * algorithms", days_from_civil). */
static int64_t
days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year +
           day - 1 - 719468;
}

/* The same back again. */
static void
date_of(int64_t days, struct moment *m)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t year =
        (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    m->day = (int)(of_year - (153 * month + 2) / 5 + 1);
    m->month = (int)(month < 10 ? month + 3 : month - 9);
    m->year = (int)(year + era * 400 + (m->month <= 2));
}

static void
put_moment(struct ps_buf *out, const struct moment *m)
{
    ps_buf_printf(out, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"", m->year,
                  m->month, m->day, m->hour, m->minute, m->second, m->ms);
}

static void
date_json(struct ps_buf *out, struct ps_str text)
{
    struct moment m = {0};
    size_t at = 0;
    if (!parse_date(text, &at, &m) || at != text.len) {
        ps_buf_append(out, "null", 4);
        return;
    }
    /* As `new Date(y, m - 1, d)`. */
    if (m.year < 100)
        m.year += 1900;
    if (m.month == 0) {
        m.month = 12;
        m.year--;
    }
    date_of(days_of(m.year, m.month, m.day), &m);
    put_moment(out, &m);
}

static void
datetime_json(struct ps_buf *out, struct ps_str text)
{
    struct moment m = {0};
    if (!parse_datetime(text, &m) || m.month < 1 || m.month > 12 || m.day < 1 ||
        m.day > 31 || m.hour > 23 || m.minute > 59 || m.second > 59) {
        ps_buf_append(out, "null", 4);
        return;
    }
    /* 31 April is 1 May. */
    date_of(days_of(m.year, m.month, m.day), &m);
    put_moment(out, &m);
}

/* ---- a value ---- */

static enum ps_rc
json(struct ps_buf *out, uint32_t kind, struct ps_str text,
     struct ps_buf *scratch)
{
    char number[PS_JS_NUMBER_MAX];
    (void)scratch;
    switch ((enum ps_my_kind)kind) {
    case PS_MY_NUMBER:
        ps_buf_append(out, number, ps_js_number(text, false, number));
        return PS_OK;
    case PS_MY_BYTES:
        ps_values_bytes_json(out, text);
        return PS_OK;
    case PS_MY_DATE:
        date_json(out, text);
        return PS_OK;
    case PS_MY_DATETIME:
        datetime_json(out, text);
        return PS_OK;
    case PS_MY_JSON:
        return ps_json_copy(out, text) == PS_OK ? PS_OK : PS_ORIGIN_PROTOCOL;
    case PS_MY_GEOMETRY:
        ps_my_geometry_json(out, text);
        return PS_OK;
    case PS_MY_TEXT:
    case PS_MY_KIND_COUNT:
        break;
    }
    ps_buf_append_json(out, text);
    return PS_OK;
}

const struct ps_values ps_my_values = {.kind_of = kind_of, .json = json};
