/*
 * Quoting of identifiers: wrappingFormatter.js (columnize, wrap, wrapString)
 * and each dialect's wrapIdentifierImpl.
 */
#include "agent/front/knex_private.h"

static const struct ps_knex_dialect dialects[PS_DIALECT_COUNT] = {
    [PS_DIALECT_POSTGRES] = {.open_quote = '"',
                             .close_quote = '"',
                             .double_quotes = true,
                             .array_accessors = true,
                             .placeholder = "$",
                             .first_number = 1,
                             .escape = PS_KNEX_ESCAPE_ALL,
                             .max_params = 65535},
    [PS_DIALECT_MYSQL] = {.open_quote = '`',
                             .close_quote = '`',
                             .double_quotes = true,
                             .lists = true,
                             .max_params = 65535},
    [PS_DIALECT_TSQL] = {.open_quote = '[',
                             .close_quote = ']',
                             .placeholder = "@p",
                             .first_number = 0,
                             .escape = PS_KNEX_ESCAPE_ONE,
                             .max_params = 2100    },
};

const struct ps_knex_dialect *
ps_knex_dialect_of(enum ps_dialect dialect)
{
    return &dialects[dialect];
}

/* ---- String.prototype.trim ---- */

/* White space and line ends of ECMA-262 beyond ASCII. */
static const char *const wide_spaces[] = {
    "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81",
    "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85",
    "\xE2\x80\x86", "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89",
    "\xE2\x80\x8A", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF",
    "\xE2\x81\x9F", "\xE3\x80\x80", "\xEF\xBB\xBF",
};

static bool
starts_with(struct ps_str s, const char *prefix, size_t n)
{
    return s.len >= n && memcmp(s.ptr, prefix, n) == 0;
}

static bool
ends_with(struct ps_str s, const char *suffix, size_t n)
{
    return s.len >= n && memcmp(s.ptr + s.len - n, suffix, n) == 0;
}

/* Length of the space at the start (or end) of s, 0 when there is none. */
static size_t
space_at(struct ps_str s, bool at_end)
{
    if (s.len == 0)
        return 0;
    char c = at_end ? s.ptr[s.len - 1] : s.ptr[0];
    if (c == ' ' || (c >= '\t' && c <= '\r'))
        return 1;
    for (size_t i = 0; i < PS_ARRAY_LEN(wide_spaces); i++) {
        size_t n = strlen(wide_spaces[i]);
        if (at_end ? ends_with(s, wide_spaces[i], n)
                   : starts_with(s, wide_spaces[i], n))
            return n;
    }
    return 0;
}

static struct ps_str
trim(struct ps_str s)
{
    size_t n;
    while ((n = space_at(s, false)) > 0) {
        s.ptr += n;
        s.len -= n;
    }
    while ((n = space_at(s, true)) > 0)
        s.len -= n;
    return s;
}

/* ---- one part of a name ---- */

/* Length of the line end at the start of s (what `.` does not match). */
static size_t
line_end_at(struct ps_str s)
{
    if (s.len > 0 && (s.ptr[0] == '\n' || s.ptr[0] == '\r'))
        return 1;
    if (starts_with(s, "\xE2\x80\xA8", 3) || starts_with(s, "\xE2\x80\xA9", 3))
        return 3;
    return 0;
}

/* Length of "[digits]" at the start of s, or 0. */
static size_t
accessor_at(struct ps_str s)
{
    size_t n = 1;
    if (s.len == 0 || s.ptr[0] != '[')
        return 0;
    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
        n++;
    return n > 1 && n < s.len && s.ptr[n] == ']' ? n + 1 : 0;
}

/* value.match(/(.*?)(\[[0-9]+\])/): cuts name to the first group and returns
 * the second, absent when nothing matches. */
static struct ps_str
split_accessor(struct ps_str *name)
{
    size_t begin = 0;
    if (name->len == 0 || !memchr(name->ptr, '[', name->len))
        return PS_STR_NONE;
    for (size_t i = 0; i < name->len;) {
        struct ps_str rest = {name->ptr + i, name->len - i};
        size_t n = line_end_at(rest);
        if (n > 0) {
            i += n;
            begin = i;
            continue;
        }
        n = accessor_at(rest);
        if (n > 0) {
            *name = (struct ps_str){name->ptr + begin, i - begin};
            return (struct ps_str){rest.ptr, n};
        }
        i++;
    }
    return PS_STR_NONE;
}

static void
quote(const struct ps_knex_dialect *dialect, struct ps_str name,
      struct ps_buf *out)
{
    struct ps_str accessor = PS_STR_NONE;
    name = trim(name);
    if (ps_str_eq(name, PS_STR("*"))) {
        ps_buf_append_char(out, '*');
        return;
    }
    if (dialect->array_accessors)
        accessor = split_accessor(&name);
    ps_buf_append_char(out, dialect->open_quote);
    size_t run = 0; /* where what was not appended yet begins */
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c != dialect->open_quote && c != dialect->close_quote)
            continue;
        /* With the quote, whose copy begins the next run; or without. */
        ps_buf_append(out, name.ptr + run, i + dialect->double_quotes - run);
        run = dialect->double_quotes ? i : i + 1;
    }
    ps_buf_append(out, name.ptr + run, name.len - run);
    ps_buf_append_char(out, dialect->close_quote);
    ps_buf_append_str(out, accessor);
}

/* ---- names ---- */

/* Where " as " begins, or SIZE_MAX. */
static size_t
alias_at(struct ps_str name)
{
    for (size_t i = 0; i + 3 < name.len; i++) {
        if (name.ptr[i] == ' ' && (name.ptr[i + 1] | 32) == 'a' &&
            (name.ptr[i + 2] | 32) == 's' && name.ptr[i + 3] == ' ')
            return i;
    }
    return SIZE_MAX;
}

static void
dotted_name(const struct ps_knex_dialect *dialect, struct ps_str name,
            struct ps_buf *out)
{
    for (;;) {
        const char *dot = name.len > 0 ? memchr(name.ptr, '.', name.len) : NULL;
        if (!dot)
            break;
        size_t n = (size_t)(dot - name.ptr);
        quote(dialect, (struct ps_str){name.ptr, n}, out);
        ps_buf_append_char(out, '.');
        name.ptr += n + 1;
        name.len -= n + 1;
    }
    quote(dialect, name, out);
}

static void
name_or_alias(const struct ps_knex_dialect *dialect, struct ps_str name,
              struct ps_buf *out)
{
    size_t as = alias_at(name);
    if (as == SIZE_MAX) {
        dotted_name(dialect, name, out);
        return;
    }
    dotted_name(dialect, (struct ps_str){name.ptr, as}, out);
    ps_buf_append_c(out, " as ");
    quote(dialect, (struct ps_str){name.ptr + as + 4, name.len - as - 4}, out);
}

static void
identifier(const struct ps_knex_dialect *dialect, const struct ps_param *value,
           struct ps_buf *out)
{
    if (value->kind == PS_PARAM_NUMBER)
        ps_buf_append_str(out, value->text);
    else if (value->kind != PS_PARAM_NULL)
        name_or_alias(dialect, value->text, out);
}

void
ps_knex_identifiers(const struct ps_knex_dialect *dialect,
                    const struct ps_param *value, struct ps_buf *out)
{
    if (value->kind != PS_PARAM_ARRAY) {
        identifier(dialect, value, out);
        return;
    }
    for (size_t i = 0; i < value->n_items; i++) {
        if (i > 0)
            ps_buf_append_c(out, ", ");
        identifier(dialect, &value->items[i], out);
    }
}
