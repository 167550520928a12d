/* Durations, sizes and numbers as text. See value.h. */
#include "cli/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* Longest names first where one begins with another. */
static const struct unit durations[] = {
    {"ms", 1       },
    {"s",  1000    },
    {"m",  60000   },
    {"h",  3600000 },
    {"d",  86400000}
};
static const struct unit sizes[] = {
    {"K", 1 << 10},
    {"k", 1 << 10},
    {"M", 1 << 20},
    {"G", 1 << 30}
};

/* Reads digits; false when there are none or they are too large. */
static bool
take_digits(const char **text, int64_t *value)
{
    const char *p = *text;
    int64_t v = 0;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, *p - '0', &v))
            return false;
    if (p == *text)
        return false;
    *text = p;
    *value = v;
    return true;
}

static const struct unit *
take_unit(const char **text, const struct unit *units, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(units[i].name);
        if (strncmp(*text, units[i].name, len) == 0) {
            *text += len;
            return &units[i];
        }
    }
    return NULL;
}

bool
ps_value_duration_ms(const char *text, int64_t *ms)
{
    int64_t total = 0, part;
    if (strcmp(text, "0") == 0) {
        *ms = 0;
        return true;
    }
    do {
        const struct unit *unit;
        if (!take_digits(&text, &part) ||
            (unit = take_unit(&text, durations, PS_ARRAY_LEN(durations))) ==
                NULL ||
            __builtin_mul_overflow(part, unit->factor, &part) ||
            __builtin_add_overflow(total, part, &total))
            return false;
    } while (*text);
    *ms = total;
    return true;
}

bool
ps_value_bytes(const char *text, int64_t *bytes)
{
    int64_t value;
    if (!take_digits(&text, &value))
        return false;
    const struct unit *unit = take_unit(&text, sizes, PS_ARRAY_LEN(sizes));
    if (unit && __builtin_mul_overflow(value, unit->factor, &value))
        return false;
    if (unit && strncmp(text, "iB", 2) == 0)
        text += 2;
    else if (*text == 'B')
        text++;
    if (*text)
        return false;
    *bytes = value;
    return true;
}

bool
ps_value_int(const char *text, int64_t *value)
{
    bool negative = *text == '-';
    int64_t v;
    text += negative;
    if (!take_digits(&text, &v) || *text)
        return false;
    *value = negative ? -v : v;
    return true;
}

bool
ps_value_bool(const char *text, bool *value)
{
    static const char *const yes[] = {"on", "yes", "true", "1"};
    static const char *const no[] = {"off", "no", "false", "0"};
    for (size_t i = 0; i < PS_ARRAY_LEN(yes); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *value = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

void
ps_value_format_duration(int64_t ms, char out[PS_VALUE_MAX])
{
    const struct unit *unit = &durations[0];
    for (size_t i = 0; i < PS_ARRAY_LEN(durations); i++)
        if (ms != 0 && ms % durations[i].factor == 0)
            unit = &durations[i];
    snprintf(out, PS_VALUE_MAX, "%" PRId64 "%s", ms / unit->factor,
             ms ? unit->name : "");
}

void
ps_value_format_bytes(int64_t bytes, char out[PS_VALUE_MAX])
{
    const struct unit none = {"", 1}, *unit = &none;
    for (size_t i = 1; i < PS_ARRAY_LEN(sizes); i++)
        if (bytes != 0 && bytes % sizes[i].factor == 0)
            unit = &sizes[i];
    snprintf(out, PS_VALUE_MAX, "%" PRId64 "%s", bytes / unit->factor,
             unit->name);
}

void
ps_value_format_ms(uint64_t us, char out[PS_VALUE_MAX])
{
    int digits = us < 10000 ? 2 : us < 1000000 ? 1 : 0;
    snprintf(out, PS_VALUE_MAX, "%.*f", digits, (double)us / 1000.0);
}

void
ps_value_format_real(double value, char out[PS_VALUE_MAX])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, PS_VALUE_MAX, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            return;
    }
}

void
ps_value_format_time(const char *rfc3339, char out[PS_VALUE_MAX])
{
    if (rfc3339 == NULL || strlen(rfc3339) < 19) {
        snprintf(out, PS_VALUE_MAX, "-");
        return;
    }
    snprintf(out, PS_VALUE_MAX, "%.10s %.8s", rfc3339, rfc3339 + 11);
}
