/*
 * Parameters behind the "?" of a path: "a=1&b=x%20y". Names are ours and need
 * no decoding.
 */
#include "common/utf8.h"
#include "controlplane/api/api_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int
hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool
api_decode(struct ps_str in, bool plus, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.ptr[i];
        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%') {
            if (i + 2 >= in.len || hex(in.ptr[i + 1]) < 0 ||
                hex(in.ptr[i + 2]) < 0)
                return false;
            c = (char)(hex(in.ptr[i + 1]) * 16 + hex(in.ptr[i + 2]));
            i += 2;
        }
        if (c == '\0' || n + 1 >= size)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return ps_utf8_check((struct ps_str){out, n}) == n;
}

/* Takes the next "name=value" off the front. */
static bool
next_pair(const char **at, struct ps_str *name, struct ps_str *value)
{
    size_t len = strcspn(*at, "&");
    if (len == 0 && **at == '\0')
        return false;
    const char *equal = memchr(*at, '=', len);
    size_t name_len = equal ? (size_t)(equal - *at) : len;
    *name = (struct ps_str){*at, name_len};
    *value = equal ? (struct ps_str){equal + 1, len - name_len - 1}
                   : (struct ps_str){*at + len, 0};
    *at += len + ((*at)[len] == '&');
    return true;
}

enum ps_rc
api_only_params(const struct api_request *request, const char *const *names,
                struct ps_err *err)
{
    const char *at = request->query ? request->query : "";
    struct ps_str name, value;
    while (next_pair(&at, &name, &value)) {
        bool known = name.len == 0;
        for (size_t i = 0; names[i]; i++)
            known |= ps_str_eq(name, ps_str_of(names[i]));
        if (!known)
            return ps_err_set(err, PS_BAD_FIELD,
                              "there is no such parameter of this path");
    }
    return PS_OK;
}

enum ps_rc
api_param(const struct api_request *request, const char *want, char *out,
          size_t size, bool *given, struct ps_err *err)
{
    const char *at = request->query ? request->query : "";
    struct ps_str name, value;
    *given = false;
    out[0] = '\0';
    while (next_pair(&at, &name, &value)) {
        if (!ps_str_eq(name, ps_str_of(want)))
            continue;
        if (*given || !api_decode(value, true, out, size))
            return ps_err_set(err, PS_BAD_FIELD,
                              "%s is given twice or cannot be read", want);
        *given = true;
    }
    return PS_OK;
}

/* "15m", "1h", "7d": whole seconds, minutes, hours or days. */
bool
api_read_duration(const char *text, int64_t *ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {
        {'s', 1000    },
        {'m', 60000   },
        {'h', 3600000 },
        {'d', 86400000}
    };
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    long long n = strtoll(text, &end, 10);
    for (size_t i = 0; i < PS_ARRAY_LEN(units); i++) {
        if (end[0] == units[i].unit && end[1] == '\0' && n > 0 &&
            n <= INT64_C(3650) * 86400000 / units[i].ms) {
            *ms = n * units[i].ms;
            return true;
        }
    }
    return false;
}

/* "2026-11-28T12:00:00Z", perhaps with a fraction, which is cut. */
bool
api_read_time(const char *text, int64_t *wall_ms)
{
    struct tm tm = {.tm_sec = 0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!end)
        return false;
    if (*end == '.')
        end += 1 + strspn(end + 1, "0123456789");
    if ((*end != 'Z' && *end != 'z') || end[1] != '\0')
        return false;
    time_t seconds = timegm(&tm);
    *wall_ms = (int64_t)seconds * 1000;
    return seconds > 0;
}
