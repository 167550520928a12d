/*
 * One SQL Server value, as the driver gives it, -> JSON.stringify of what
 * tedious 18 makes of it with useUTC. By ODBC's number of the column's type;
 * what is not in the table (character types, xml) is a string.
 *
 * A sql_variant is a string here, where tedious gives its base type's value:
 * FreeTDS does not tell which it was.
 */
#include "agent/result/js_number.h"
#include "agent/result/values.h"

#include <math.h>
#include <stdio.h>

enum kind {
    KIND_TEXT,
    KIND_BIT,
    KIND_INT,
    KIND_FLOAT,
    KIND_DECIMAL, /* money, too */
    KIND_BYTES,
    KIND_UUID,
    KIND_DATE,
    KIND_TIME
};

static const struct {
    int32_t type; /* sql.h, sqlext.h; below -149 FreeTDS's odbcss.h */
    enum kind kind;
} types[] = {
    {-7,   KIND_BIT    }, /* bit */
    {-6,   KIND_INT    }, /* tinyint */
    {5,    KIND_INT    }, /* smallint */
    {4,    KIND_INT    }, /* int */
    {6,    KIND_FLOAT  }, /* float */
    {7,    KIND_FLOAT  }, /* real */
    {8,    KIND_FLOAT  },
    {2,    KIND_DECIMAL}, /* numeric */
    {3,    KIND_DECIMAL}, /* decimal, money */
    {-2,   KIND_BYTES  }, /* binary */
    {-3,   KIND_BYTES  }, /* varbinary */
    {-4,   KIND_BYTES  }, /* image, varbinary(max) */
    {-11,  KIND_UUID   },
    {91,   KIND_DATE   }, /* date */
    {93,   KIND_DATE   }, /* datetime, datetime2, smalldatetime */
    {-155, KIND_DATE   }, /* datetimeoffset */
    {92,   KIND_TIME   },
    {-154, KIND_TIME   }, /* time */
};

static uint32_t
kind_of(const struct ps_column *column)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(types); i++) {
        if (types[i].type == (int32_t)column->type)
            return types[i].kind;
    }
    return KIND_TEXT; /* bigint, too: a string in tedious */
}

static void
double_json(struct ps_buf *out, double value)
{
    char text[32], number[PS_JS_NUMBER_MAX];
    int n = snprintf(text, sizeof(text), "%.17g", value);
    ps_buf_append(
        out, number,
        ps_js_number((struct ps_str){text, (size_t)n}, false, number));
}

/*
 * tedious reads the unscaled integer as 32-bit parts, adds them up as doubles
 * and divides by a power of ten; so do we, to be wrong in the same last digit.
 */
static enum ps_rc
decimal_json(struct ps_buf *out, struct ps_str text)
{
    unsigned __int128 unscaled = 0;
    unsigned digits = 0, scale = 0;
    bool negative = false, point = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '-' && i == 0) {
            negative = true;
        } else if (c == '.' && !point) {
            point = true;
        } else if (c >= '0' && c <= '9' && digits < 38) {
            unscaled = unscaled * 10 + (unsigned)(c - '0');
            digits += unscaled != 0;
            scale += point;
        } else {
            return PS_ORIGIN_PROTOCOL;
        }
    }
    const double part = 4294967296.0;
    double value =
        (double)(uint32_t)unscaled + part * (double)(uint32_t)(unscaled >> 32);
    value += part * part * (double)(uint32_t)(unscaled >> 64);
    value += part * part * part * (double)(uint32_t)(unscaled >> 96);
    double_json(out, (negative ? -value : value) / pow(10, scale));
    return PS_OK;
}

/* ------------------------------------------------------- dates and times */

/* n digits at *at; -1 when there are others. */
static int
digits_at(struct ps_str text, size_t *at, size_t n)
{
    int value = 0;
    if (text.len - *at < n)
        return -1;
    for (size_t i = 0; i < n; i++) {
        char c = text.ptr[(*at)++];
        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
    }
    return value;
}

/* FreeTDS does not pad a year. */
static int
year_at(struct ps_str text, size_t *at)
{
    size_t n = 0;
    while (*at + n < text.len && n < 4 && text.ptr[*at + n] != '-')
        n++;
    return n ? digits_at(text, at, n) : -1;
}

static bool
skip_char(struct ps_str text, size_t *at, char c)
{
    if (*at >= text.len || text.ptr[*at] != c)
        return false;
    ++*at;
    return true;
}

/* "12:34:56.1234567" as milliseconds of the day, cut and not rounded. */
static bool
time_at(struct ps_str text, size_t *at, int64_t *ms)
{
    int hour = digits_at(text, at, 2);
    bool colon = skip_char(text, at, ':');
    int minute = digits_at(text, at, 2);
    colon = skip_char(text, at, ':') && colon;
    int second = digits_at(text, at, 2);
    if (!colon || hour < 0 || minute < 0 || second < 0)
        return false;
    *ms = ((hour * 60 + minute) * 60 + second) * (int64_t)1000;
    if (!skip_char(text, at, '.'))
        return true;
    for (int unit = 100;
         *at < text.len && text.ptr[*at] >= '0' && text.ptr[*at] <= '9';
         unit /= 10)
        *ms += unit * (text.ptr[(*at)++] - '0');
    return true;
}

/* Days since 1970-01-01 in the Gregorian calendar (Hinnant's algorithm in
 * its usual form: years begin in March). */
static int64_t
days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
           719468;
}

static void
iso_json(struct ps_buf *out, int64_t ms)
{
    int64_t days = ms / 86400000, rest = ms % 86400000;
    if (rest < 0) {
        days--;
        rest += 86400000;
    }
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t year_of_era =
        (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year =
        of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march = (5 * of_year + 2) / 153;
    int day = (int)(of_year - (153 * march + 2) / 5 + 1);
    int month = (int)(march < 10 ? march + 3 : march - 9);
    int year = (int)(year_of_era + era * 400 + (month <= 2));
    ps_buf_append_char(out, '"');
    if (year >= 0 && year <= 9999)
        ps_buf_printf(out, "%04d", year);
    else
        ps_buf_printf(out, "%c%06d", year < 0 ? '-' : '+',
                      year < 0 ? -year : year);
    ps_buf_printf(out, "-%02d-%02dT%02d:%02d:%02d.%03dZ\"", month, day,
                  (int)(rest / 3600000), (int)(rest / 60000 % 60),
                  (int)(rest / 1000 % 60), (int)(rest % 1000));
}

/* "2024-02-29[ 12:34:56[.1234567]][ +02:30]" */
static enum ps_rc
date_json(struct ps_buf *out, struct ps_str text)
{
    size_t at = 0;
    int64_t ms = 0;
    int year = year_at(text, &at);
    bool dash = skip_char(text, &at, '-');
    int month = digits_at(text, &at, 2);
    dash = skip_char(text, &at, '-') && dash;
    int day = digits_at(text, &at, 2);
    if (!dash || year < 0 || month < 1 || month > 12 || day < 1 || day > 31)
        return PS_ORIGIN_PROTOCOL;
    if (skip_char(text, &at, ' ') && !time_at(text, &at, &ms))
        return PS_ORIGIN_PROTOCOL;
    ms += days_of(year, month, day) * 86400000;
    skip_char(text, &at, ' ');
    bool east = skip_char(text, &at, '+');
    if (east || skip_char(text, &at, '-')) {
        int hours = digits_at(text, &at, 2);
        skip_char(text, &at, ':');
        int minutes = digits_at(text, &at, 2);
        if (hours < 0 || minutes < 0)
            return PS_ORIGIN_PROTOCOL;
        int64_t offset = (hours * 60 + minutes) * (int64_t)60000;
        ms += east ? -offset : offset;
    }
    if (at != text.len)
        return PS_ORIGIN_PROTOCOL;
    iso_json(out, ms);
    return PS_OK;
}

static enum ps_rc
time_json(struct ps_buf *out, struct ps_str text)
{
    size_t at = 0;
    int64_t ms;
    if (!time_at(text, &at, &ms) || at != text.len)
        return PS_ORIGIN_PROTOCOL;
    iso_json(out, ms); /* of 1970-01-01 */
    return PS_OK;
}

/* ------------------------------------------------------------------- all */

static enum ps_rc
uuid_json(struct ps_buf *out, struct ps_str text)
{
    char upper[36];
    if (text.len != sizeof(upper))
        return PS_ORIGIN_PROTOCOL;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        c = c >= 'a' && c <= 'f' ? (char)(c - 32) : c;
        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'F') && c != '-')
            return PS_ORIGIN_PROTOCOL;
        upper[i] = c;
    }
    ps_buf_append_char(out, '"');
    ps_buf_append(out, upper, sizeof(upper));
    ps_buf_append_char(out, '"');
    return PS_OK;
}

static enum ps_rc
json(struct ps_buf *out, uint32_t kind, struct ps_str text,
     struct ps_buf *scratch)
{
    char number[PS_JS_NUMBER_MAX];
    (void)scratch;
    switch ((enum kind)kind) {
    case KIND_BIT:
        ps_buf_append_c(out, ps_str_eq(text, PS_STR("0")) ? "false" : "true");
        break;
    case KIND_INT:
    case KIND_FLOAT:
        ps_buf_append(out, number, ps_js_number(text, false, number));
        break;
    case KIND_DECIMAL:
        return decimal_json(out, text);
    case KIND_BYTES:
        ps_values_bytes_json(out, text);
        break;
    case KIND_UUID:
        return uuid_json(out, text);
    case KIND_DATE:
        return date_json(out, text);
    case KIND_TIME:
        return time_json(out, text);
    case KIND_TEXT:
        ps_buf_append_json(out, text);
        break;
    }
    return PS_OK;
}

/* What JavaScript takes for true. Numbers: a digit that is not 0 before the
 * exponent; bigints are strings. */
static bool
is_true(uint32_t kind, struct ps_str text)
{
    switch ((enum kind)kind) {
    case KIND_BIT:
    case KIND_INT:
    case KIND_FLOAT:
    case KIND_DECIMAL:
        for (size_t i = 0; i < text.len && (text.ptr[i] | 32) != 'e'; i++) {
            if (text.ptr[i] >= '1' && text.ptr[i] <= '9')
                return true;
        }
        return false;
    case KIND_TEXT:
        return text.len > 0;
    default:
        return true;
    }
}

const struct ps_values ps_tds_values = {
    .kind_of = kind_of,
    .json = json,
    .all_sets = true,
    .is_true = is_true,
};
