/*
 * Settings by table. Each source comes down to set_item(): one item, one
 * text, one place that knows the kinds. Values are shown in errors only where
 * they are numbers or words of ours, never texts, which may be secrets.
 */
#include "common/conf.h"

#include "common/buf.h"
#include "common/file.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    NAME_MAX_BYTES = 64,
    FILE_MAX_BYTES = 1 << 20,
    HELP_WIDTH = 80,
    HELP_COLUMN_MAX = 32
};

/* Where a value came from, for errors: "file:12" or "--pool-max". */
struct source {
    const char *where;
    unsigned line; /* 0: none */
};

struct unit {
    const char *suffix;
    int64_t factor;
};
static const struct unit byte_units[] = {
    {"",  1      },
    {"k", 1 << 10},
    {"K", 1 << 10},
    {"M", 1 << 20},
    {"G", 1 << 30}
};
static const struct unit duration_units[] = {
    {"",   1       },
    {"ms", 1       },
    {"s",  1000    },
    {"m",  60000   },
    {"h",  3600000 },
    {"d",  86400000},
};
static const struct unit plain_units[] = {
    {"", 1}
};

static const char *
expected(enum ps_conf_kind kind)
{
    switch (kind) {
    case PS_CONF_TEXT:
        return "a text without NUL";
    case PS_CONF_BOOL:
        return "true or false";
    case PS_CONF_INT:
        return "a whole number";
    case PS_CONF_BYTES:
        return "a size like 65536, 512k, 64M or 2G";
    case PS_CONF_DURATION:
        return "a time like 250ms, 30s, 5m, 2h or 1d";
    }
    return "something else";
}

static enum ps_rc
complain(struct ps_err *err, const struct source *source,
         const struct ps_conf_item *item, const char *what)
{
    if (source->line)
        return ps_err_set(err, PS_CONFIG, "%s:%u: %s: %s", source->where,
                          source->line, item->name, what);
    return ps_err_set(err, PS_CONFIG, "%s: %s", source->where, what);
}

/* ---- values ---- */

static bool
parse_bool(struct ps_str text, bool *out)
{
    static const char *const words[][2] = {
        {"false", "true"},
        {"no",    "yes" },
        {"off",   "on"  },
        {"0",     "1"   }
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(words); i++) {
        for (int value = 0; value < 2; value++) {
            if (ps_str_eq_nocase(text, ps_str_of(words[i][value]))) {
                *out = value;
                return true;
            }
        }
    }
    return false;
}

static bool
parse_number(struct ps_str text, const struct unit *units, size_t count,
             int64_t *out)
{
    size_t at = 0;
    bool negative = text.len > 0 && text.ptr[0] == '-';
    if (negative)
        at++;
    size_t digits = at;
    int64_t value = 0;
    for (; at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9'; at++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, text.ptr[at] - '0', &value))
            return false;
    }
    if (at == digits)
        return false;
    struct ps_str suffix = {text.ptr + at, text.len - at};
    for (size_t i = 0; i < count; i++) {
        if (!ps_str_eq(suffix, ps_str_of(units[i].suffix)))
            continue;
        if (__builtin_mul_overflow(value, units[i].factor, &value))
            return false;
        *out = negative ? -value : value;
        return true;
    }
    return false;
}

static bool
parse_number_of(enum ps_conf_kind kind, struct ps_str text, int64_t *out)
{
    if (kind == PS_CONF_BYTES)
        return parse_number(text, byte_units, PS_ARRAY_LEN(byte_units), out);
    if (kind == PS_CONF_DURATION)
        return parse_number(text, duration_units, PS_ARRAY_LEN(duration_units),
                            out);
    return parse_number(text, plain_units, PS_ARRAY_LEN(plain_units), out);
}

static void *
member(const struct ps_conf_item *item, void *settings)
{
    return (char *)settings + item->offset;
}

static enum ps_rc
set_text(const struct ps_conf_item *item, void *settings, struct ps_str text,
         struct ps_err *err)
{
    char *copy = strndup(text.ptr ? text.ptr : "", text.len);
    if (!copy)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    char **to = member(item, settings);
    free(*to);
    *to = copy;
    return PS_OK;
}

/* A size or a time is never negative, whatever the table says. */
static bool
in_range(const struct ps_conf_item *item, int64_t value)
{
    bool natural = item->kind != PS_CONF_INT;
    bool bounded = item->min != 0 || item->max != 0;
    if (natural && value < 0)
        return false;
    return !bounded ||
           (value >= item->min && (item->max == 0 || value <= item->max));
}

/* "1 to 9 ms", "1 ms or more" */
static void
range_text(const struct ps_conf_item *item, char *out, size_t size)
{
    const char *unit = item->kind == PS_CONF_DURATION ? " ms" : "";
    if (item->max == 0)
        snprintf(out, size, "%lld%s or more", (long long)item->min, unit);
    else
        snprintf(out, size, "%lld to %lld%s", (long long)item->min,
                 (long long)item->max, unit);
}

static enum ps_rc
set_item(const struct ps_conf_item *item, void *settings, struct ps_str text,
         const struct source *source, struct ps_err *err)
{
    char what[256];
    if (item->kind == PS_CONF_TEXT && !memchr(text.ptr, '\0', text.len))
        return set_text(item, settings, text, err);
    if (item->kind == PS_CONF_BOOL) {
        bool value;
        if (parse_bool(text, &value)) {
            *(bool *)member(item, settings) = value;
            return PS_OK;
        }
    } else if (item->kind != PS_CONF_TEXT) {
        int64_t value;
        char range[80];
        if (parse_number_of(item->kind, text, &value)) {
            if (in_range(item, value)) {
                *(int64_t *)member(item, settings) = value;
                return PS_OK;
            }
            range_text(item, range, sizeof(range));
            snprintf(what, sizeof(what),
                     "%.*s is out of range; give %s from %s", PS_STR_ARG(text),
                     expected(item->kind), range);
            return complain(err, source, item, what);
        }
    }
    snprintf(what, sizeof(what), "not understood; give %s",
             expected(item->kind));
    return complain(err, source, item, what);
}

/* ---- names ---- */

static const struct ps_conf_item *
find_item(const struct ps_conf_item *items, size_t count, struct ps_str name)
{
    for (size_t i = 0; i < count; i++) {
        if (ps_str_eq(name, ps_str_of(items[i].name)))
            return &items[i];
    }
    return NULL;
}

/* Levenshtein's distance; SIZE_MAX when b is too long to be a name. */
static size_t
distance(struct ps_str a, struct ps_str b)
{
    size_t row[NAME_MAX_BYTES + 1];
    if (b.len > NAME_MAX_BYTES)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t change = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            diagonal = row[j];
            size_t add_or_drop = PS_MIN(row[j], row[j - 1]) + 1;
            row[j] = PS_MIN(change, add_or_drop);
        }
    }
    return row[b.len];
}

/* The item whose name is nearest, or NULL when none is near. */
static const struct ps_conf_item *
nearest(const struct ps_conf_item *items, size_t count, struct ps_str name)
{
    const struct ps_conf_item *best = NULL;
    size_t best_distance = PS_MAX(name.len / 3, (size_t)2) + 1;
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(ps_str_of(items[i].name), name);
        if (d < best_distance) {
            best = &items[i];
            best_distance = d;
        }
    }
    return best;
}

static enum ps_rc
unknown_name(const struct ps_conf_item *items, size_t count, struct ps_str name,
             const char *where, unsigned line, const char *dashes,
             struct ps_err *err)
{
    const struct ps_conf_item *near = nearest(items, count, name);
    char place[256] = "";
    if (line)
        snprintf(place, sizeof(place), "%s:%u: ", where, line);
    int len = (int)PS_MIN(name.len, (size_t)NAME_MAX_BYTES);
    if (near)
        return ps_err_set(err, PS_CONFIG,
                          "%sunknown setting %s%.*s; did you mean %s%s?", place,
                          dashes, len, name.ptr, dashes, near->name);
    return ps_err_set(err, PS_CONFIG,
                      "%sunknown setting %s%.*s; see --help for all of them",
                      place, dashes, len, name.ptr);
}

/* ---- sources ---- */

enum ps_rc
ps_conf_defaults(const struct ps_conf_item *items, size_t count, void *settings,
                 struct ps_err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!items[i].fallback)
            continue;
        struct source source = {.where = items[i].name};
        enum ps_rc rc = set_item(&items[i], settings,
                                 ps_str_of(items[i].fallback), &source, err);
        if (rc != PS_OK)
            return rc;
    }
    return PS_OK;
}

static struct ps_str
trim(struct ps_str s)
{
    while (s.len > 0 && isspace((unsigned char)s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && isspace((unsigned char)s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* The value of a line: in double quotes anything, otherwise up to a # that
 * follows a space. */
static struct ps_str
line_value(struct ps_str s)
{
    s = trim(s);
    if (s.len > 0 && s.ptr[0] == '"') {
        const char *end = memchr(s.ptr + 1, '"', s.len - 1);
        struct ps_str rest = PS_STR_NONE;
        if (end)
            rest = trim(
                (struct ps_str){end + 1, s.len - (size_t)(end + 1 - s.ptr)});
        if (end && (rest.len == 0 || rest.ptr[0] == '#'))
            return (struct ps_str){s.ptr + 1, (size_t)(end - s.ptr) - 1};
    }
    for (size_t i = 0; i < s.len; i++) {
        bool starts = i == 0 || isspace((unsigned char)s.ptr[i - 1]);
        if (s.ptr[i] == '#' && starts)
            return trim((struct ps_str){s.ptr, i});
    }
    return s;
}

static enum ps_rc
parse_line(const struct ps_conf_item *items, size_t count, void *settings,
           struct ps_str line, const struct source *source, struct ps_err *err)
{
    line = trim(line);
    if (line.len == 0 || line.ptr[0] == '#')
        return PS_OK;
    const char *equals = memchr(line.ptr, '=', line.len);
    if (!equals)
        return ps_err_set(err, PS_CONFIG, "%s:%u: expected \"name = value\"",
                          source->where, source->line);
    struct ps_str name =
        trim((struct ps_str){line.ptr, (size_t)(equals - line.ptr)});
    struct ps_str rest = {equals + 1,
                          line.len - (size_t)(equals + 1 - line.ptr)};
    const struct ps_conf_item *item = find_item(items, count, name);
    if (!item)
        return unknown_name(items, count, name, source->where, source->line, "",
                            err);
    return set_item(item, settings, line_value(rest), source, err);
}

enum ps_rc
ps_conf_text(const struct ps_conf_item *items, size_t count, void *settings,
             struct ps_str text, const char *where, struct ps_err *err)
{
    struct source source = {.where = where};
    while (text.len > 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - text.ptr) : text.len;
        source.line++;
        enum ps_rc rc =
            parse_line(items, count, settings, (struct ps_str){text.ptr, len},
                       &source, err);
        if (rc != PS_OK)
            return rc;
        len += end != NULL;
        text.ptr += len;
        text.len -= len;
    }
    return PS_OK;
}

enum ps_rc
ps_conf_file(const struct ps_conf_item *items, size_t count, void *settings,
             const char *path, struct ps_err *err)
{
    char *data;
    size_t len;
    enum ps_rc rc = ps_file_read(path, FILE_MAX_BYTES, &data, &len, err);
    if (rc != PS_OK)
        return rc;
    rc = ps_conf_text(items, count, settings, (struct ps_str){data, len}, path,
                      err);
    free(data);
    return rc;
}

enum ps_rc
ps_conf_environment(const struct ps_conf_item *items, size_t count,
                    void *settings, struct ps_err *err)
{
    for (size_t i = 0; i < count; i++) {
        char name[NAME_MAX_BYTES + 16];
        int n = snprintf(name, sizeof(name), "PORTSIDE_%s", items[i].name);
        for (int k = 0; k < n && name[k]; k++)
            name[k] =
                name[k] == '-' ? '_' : (char)toupper((unsigned char)name[k]);
        const char *value = getenv(name);
        if (!value)
            continue;
        struct source source = {.where = name};
        enum ps_rc rc =
            set_item(&items[i], settings, ps_str_of(value), &source, err);
        if (rc != PS_OK)
            return rc;
    }
    return PS_OK;
}

/* One option, argv[*at] without its dashes; may take argv[*at + 1]. */
static enum ps_rc
parse_option(const struct ps_conf_item *items, size_t count, void *settings,
             int *at, int argc, char **argv, struct ps_err *err)
{
    const char *text = argv[*at] + 2, *equals = strchr(text, '=');
    struct ps_str name = ps_str_of(text);
    if (equals)
        name.len = (size_t)(equals - text);
    char where[NAME_MAX_BYTES + 3];
    snprintf(where, sizeof(where), "--%.*s",
             (int)PS_MIN(name.len, (size_t)NAME_MAX_BYTES), text);
    struct source source = {.where = where};

    const struct ps_conf_item *item = find_item(items, count, name);
    if (!item && !equals && name.len > 3 && memcmp(text, "no-", 3) == 0) {
        struct ps_str positive = {text + 3, name.len - 3};
        item = find_item(items, count, positive);
        if (item && item->kind == PS_CONF_BOOL)
            return set_item(item, settings, PS_STR("false"), &source, err);
        item = NULL;
    }
    if (!item)
        return unknown_name(items, count, name, "", 0, "--", err);
    if (equals)
        return set_item(item, settings, ps_str_of(equals + 1), &source, err);
    if (item->kind == PS_CONF_BOOL)
        return set_item(item, settings, PS_STR("true"), &source, err);
    if (*at + 1 >= argc) {
        char what[128];
        snprintf(what, sizeof(what), "a value is missing; give %s",
                 expected(item->kind));
        return complain(err, &source, item, what);
    }
    return set_item(item, settings, ps_str_of(argv[++*at]), &source, err);
}

enum ps_rc
ps_conf_arguments(const struct ps_conf_item *items, size_t count,
                  void *settings, int *argc, char **argv, struct ps_err *err)
{
    int left = PS_MIN(*argc, 1);
    bool options = true;
    for (int i = 1; i < *argc; i++) {
        if (!options || argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[left++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (argv[i][1] != '-') {
            return ps_err_set(err, PS_CONFIG,
                              "unknown option %.64s; options begin with two "
                              "dashes, see --help",
                              argv[i]);
        } else {
            enum ps_rc rc =
                parse_option(items, count, settings, &i, *argc, argv, err);
            if (rc != PS_OK)
                return rc;
        }
    }
    *argc = left;
    return PS_OK;
}

/* ---- help ---- */

static void
option_text(const struct ps_conf_item *item, struct ps_buf *out)
{
    static const char *const values[] = {
        [PS_CONF_TEXT] = " TEXT",     [PS_CONF_BOOL] = "",
        [PS_CONF_INT] = " N",         [PS_CONF_BYTES] = " SIZE",
        [PS_CONF_DURATION] = " TIME",
    };
    bool on = item->kind == PS_CONF_BOOL && item->fallback &&
              ps_str_eq(ps_str_of(item->fallback), PS_STR("true"));
    ps_buf_clear(out);
    ps_buf_printf(out, "  --%s%s%s", on ? "no-" : "", item->name,
                  values[item->kind]);
}

/* Appends text word by word from column `at` on, later lines at `indent`. */
static void
wrap(struct ps_buf *out, const char *text, size_t at, size_t indent)
{
    for (const char *word = text; *word;) {
        size_t len = strcspn(word, " ");
        if (at > indent && at + 1 + len >= HELP_WIDTH) {
            ps_buf_printf(out, "\n%*s", (int)indent, "");
            at = indent;
        } else if (at > indent) {
            ps_buf_append_char(out, ' ');
            at++;
        }
        ps_buf_append(out, word, len);
        at += len;
        word += len;
        word += strspn(word, " ");
    }
    ps_buf_append_char(out, '\n');
}

void
ps_conf_help_text(const struct ps_conf_item *items, size_t count,
                  struct ps_buf *out)
{
    struct ps_buf part;
    ps_buf_init(&part, 4096);
    size_t column = 0;
    for (size_t i = 0; i < count; i++) {
        option_text(&items[i], &part);
        if (part.len + 2 <= HELP_COLUMN_MAX)
            column = PS_MAX(column, part.len + 2);
    }
    for (size_t i = 0; i < count; i++) {
        const struct ps_conf_item *item = &items[i];
        option_text(item, &part);
        ps_buf_append_str(out, ps_buf_str(&part));
        if (part.len + 2 > column)
            ps_buf_printf(out, "\n%*s", (int)column, "");
        else
            ps_buf_printf(out, "%*s", (int)(column - part.len), "");
        ps_buf_clear(&part);
        ps_buf_append_c(&part, item->help);
        if (item->fallback && item->fallback[0] && item->kind != PS_CONF_BOOL)
            ps_buf_printf(&part, " (default %s)", item->fallback);
        ps_buf_append_char(&part, '\0');
        if (ps_buf_rc(&part) == PS_OK)
            wrap(out, part.data, column, column);
    }
    ps_buf_done(&part);
}

void
ps_conf_help(const struct ps_conf_item *items, size_t count)
{
    struct ps_buf out;
    ps_buf_init(&out, 1 << 20);
    ps_conf_help_text(items, count, &out);
    fwrite(out.data, 1, out.len, stdout);
    ps_buf_done(&out);
}

void
ps_conf_done(const struct ps_conf_item *items, size_t count, void *settings)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i].kind != PS_CONF_TEXT)
            continue;
        char **text = member(&items[i], settings);
        free(*text);
        *text = NULL;
    }
}
