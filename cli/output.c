/* Tables, colours, JSON. See output.h. */
#include "cli/output.h"

#include "cli/value.h"
#include "common/check.h"
#include "common/utf8.h"

#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wchar.h>

struct cell {
    char *text;
    size_t width;
    enum ps_tint tint;
};

struct ps_table {
    struct ps_column *columns;
    size_t n_columns;
    bool titled;
    struct cell *cells;
    size_t n_cells, cap;
};

void
ps_out_start(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
}

bool
ps_out_terminal(void)
{
    return isatty(STDOUT_FILENO) == 1;
}

bool
ps_out_colour(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return ps_out_terminal() && (no == NULL || *no == '\0') && term &&
           strcmp(term, "dumb") != 0;
}

void
ps_out_print(struct ps_buf *buf)
{
    if (buf->len > 0)
        fwrite(buf->data, 1, buf->len, stdout);
    ps_buf_clear(buf);
}

/* ---- text ---- */

/* Decodes one character of valid UTF-8; its length in bytes. */
static size_t
decode(struct ps_str text, uint32_t *code)
{
    unsigned char c = (unsigned char)text.ptr[0];
    size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    uint32_t value = len == 1 ? c : c & (0x7fu >> len);
    for (size_t i = 1; i < len; i++)
        value = value << 6 | ((unsigned char)text.ptr[i] & 0x3f);
    *code = value;
    return len;
}

size_t
ps_text_width(struct ps_str text)
{
    size_t width = 0;
    text.len = ps_utf8_check(text);
    while (text.len > 0) {
        uint32_t code;
        size_t len = decode(text, &code);
        int cells = wcwidth((wchar_t)code);
        width += cells < 0 ? 1 : (size_t)cells;
        text.ptr += len;
        text.len -= len;
    }
    return width;
}

static void
clean_char(struct ps_buf *out, struct ps_str bytes, uint32_t code)
{
    /* Bidirectional overrides can make a line read as something else. */
    bool turns = (code >= 0x202a && code <= 0x202e) ||
                 (code >= 0x2066 && code <= 0x2069);
    if (code == '\n')
        ps_buf_append_c(out, "\\n");
    else if (code == '\t')
        ps_buf_append_c(out, "\\t");
    else if (code == '\r')
        ps_buf_append_c(out, "\\r");
    else if (code < 0x20 || (code >= 0x7f && code < 0xa0))
        ps_buf_printf(out, "\\x%02x", (unsigned)code);
    else if (turns)
        ps_buf_printf(out, "\\u%04x", (unsigned)code);
    else
        ps_buf_append(out, bytes.ptr, bytes.len);
}

void
ps_text_clean(struct ps_buf *out, struct ps_str text)
{
    while (text.len > 0) {
        size_t valid = ps_utf8_check(text), at = 0;
        while (at < valid) {
            uint32_t code;
            size_t len =
                decode((struct ps_str){text.ptr + at, valid - at}, &code);
            clean_char(out, (struct ps_str){text.ptr + at, len}, code);
            at += len;
        }
        if (valid < text.len)
            ps_buf_printf(out, "\\x%02x", (unsigned char)text.ptr[valid++]);
        text.ptr += valid;
        text.len -= valid;
    }
}

static const char *
tint_code(enum ps_tint tint)
{
    switch (tint) {
    case PS_TINT_NONE:
        break;
    case PS_TINT_HEAD:
        return "\033[1m";
    case PS_TINT_GOOD:
        return "\033[32m";
    case PS_TINT_BAD:
        return "\033[31m";
    case PS_TINT_WARN:
        return "\033[33m";
    case PS_TINT_DIM:
        return "\033[2m";
    }
    return "";
}

void
ps_tint_begin(struct ps_buf *out, enum ps_tint tint, bool colour)
{
    if (colour)
        ps_buf_append_c(out, tint_code(tint));
}

void
ps_tint_end(struct ps_buf *out, enum ps_tint tint, bool colour)
{
    if (colour && tint != PS_TINT_NONE)
        ps_buf_append_c(out, "\033[0m");
}

/* ---- tables ---- */

static char *
clean_copy(const char *text)
{
    struct ps_buf buf;
    ps_buf_init(&buf, PS_OUT_MAX);
    ps_text_clean(&buf, ps_str_of(text));
    ps_buf_append_char(&buf, '\0');
    PS_CHECK(ps_buf_rc(&buf) == PS_OK);
    return ps_buf_take(&buf, NULL);
}

struct ps_table *
ps_table_new(const struct ps_column *columns, size_t n)
{
    struct ps_table *table = calloc(1, sizeof(*table));
    PS_CHECK(table && n > 0);
    table->columns = calloc(n, sizeof(*table->columns));
    PS_CHECK(table->columns);
    table->n_columns = n;
    table->titled = columns != NULL;
    for (size_t i = 0; i < n && columns; i++) {
        table->columns[i].title = clean_copy(columns[i].title);
        table->columns[i].right = columns[i].right;
    }
    return table;
}

void
ps_table_free(struct ps_table **table)
{
    struct ps_table *t = *table;
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n_cells; i++)
        free(t->cells[i].text);
    for (size_t i = 0; i < t->n_columns; i++)
        free((void *)(uintptr_t)t->columns[i].title);
    free(t->columns);
    free(t->cells);
    free(t);
    *table = NULL;
}

void
ps_table_add(struct ps_table *table, enum ps_tint tint, const char *text)
{
    if (table->n_cells == table->cap) {
        table->cap = table->cap ? 2 * table->cap : 64;
        table->cells =
            reallocarray(table->cells, table->cap, sizeof(*table->cells));
        PS_CHECK(table->cells);
    }
    struct cell *cell = &table->cells[table->n_cells++];
    cell->text = clean_copy(text ? text : "-");
    cell->width = ps_text_width(ps_str_of(cell->text));
    cell->tint = tint;
}

void
ps_table_addf(struct ps_table *table, enum ps_tint tint, const char *fmt, ...)
{
    char *text;
    va_list ap;
    va_start(ap, fmt);
    PS_CHECK(vasprintf(&text, fmt, ap) >= 0);
    va_end(ap);
    ps_table_add(table, tint, text);
    free(text);
}

size_t
ps_table_rows(const struct ps_table *table)
{
    return table->n_cells / table->n_columns;
}

static void
pad(struct ps_buf *out, size_t n)
{
    while (n-- > 0)
        ps_buf_append_char(out, ' ');
}

static void
render_row(const struct ps_table *table, const struct cell *cells,
           const size_t *widths, bool colour, struct ps_buf *out)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        size_t blank = widths[i] - cells[i].width;
        bool last = i + 1 == table->n_columns;
        if (table->columns[i].right)
            pad(out, blank);
        ps_tint_begin(out, cells[i].tint, colour);
        ps_buf_append_c(out, cells[i].text);
        ps_tint_end(out, cells[i].tint, colour);
        if (!table->columns[i].right && !last)
            pad(out, blank);
        if (!last)
            pad(out, 2);
    }
    while (out->len > 0 && out->data[out->len - 1] == ' ')
        out->len--;
    ps_buf_append_char(out, '\n');
}

void
ps_table_render(const struct ps_table *table, bool colour, struct ps_buf *out)
{
    size_t n = table->n_columns, rows = ps_table_rows(table);
    size_t *widths = calloc(n, sizeof(*widths));
    struct cell *head = calloc(n, sizeof(*head));
    PS_CHECK(widths && head);
    for (size_t i = 0; i < n && table->titled; i++) {
        char *title = (char *)(uintptr_t)table->columns[i].title;
        size_t width = ps_text_width(ps_str_of(title));
        head[i] = (struct cell){title, width, PS_TINT_HEAD};
        widths[i] = width;
    }
    for (size_t i = 0; i < rows * n; i++)
        widths[i % n] = PS_MAX(widths[i % n], table->cells[i].width);
    if (table->titled)
        render_row(table, head, widths, colour, out);
    for (size_t row = 0; row < rows; row++)
        render_row(table, table->cells + row * n, widths, colour, out);
    free(widths);
    free(head);
}

/* ---- JSON ---- */

static void
json_break(struct ps_buf *out, int indent)
{
    if (indent < 0)
        return;
    ps_buf_append_char(out, '\n');
    pad(out, (size_t)indent * 2);
}

static void
render_object(const json_t *json, int indent, struct ps_buf *out)
{
    const char *key;
    json_t *value;
    int inner = indent < 0 ? -1 : indent + 1;
    bool first = true;
    ps_buf_append_char(out, '{');
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        if (!first)
            ps_buf_append_char(out, ',');
        first = false;
        json_break(out, inner);
        ps_buf_append_json(out, ps_str_of(key));
        ps_buf_append_c(out, indent < 0 ? ":" : ": ");
        ps_json_render(value, inner, out);
    }
    if (!first)
        json_break(out, indent);
    ps_buf_append_char(out, '}');
}

static void
render_array(const json_t *json, int indent, struct ps_buf *out)
{
    int inner = indent < 0 ? -1 : indent + 1;
    size_t n = json_array_size(json);
    ps_buf_append_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            ps_buf_append_char(out, ',');
        json_break(out, inner);
        ps_json_render(json_array_get(json, i), inner, out);
    }
    if (n > 0)
        json_break(out, indent);
    ps_buf_append_char(out, ']');
}

void
ps_json_render(const json_t *json, int indent, struct ps_buf *out)
{
    char number[PS_VALUE_MAX];
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        render_object(json, indent, out);
        break;
    case JSON_ARRAY:
        render_array(json, indent, out);
        break;
    case JSON_STRING:
        ps_buf_append_json(out, (struct ps_str){json_string_value(json),
                                                json_string_length(json)});
        break;
    case JSON_INTEGER:
        ps_buf_append_i64(out, json_integer_value(json));
        break;
    case JSON_REAL:
        ps_value_format_real(json_real_value(json), number);
        ps_buf_append_c(out, number);
        break;
    case JSON_TRUE:
        ps_buf_append_c(out, "true");
        break;
    case JSON_FALSE:
        ps_buf_append_c(out, "false");
        break;
    case JSON_NULL:
        ps_buf_append_c(out, "null");
        break;
    }
}

char *
ps_json_cell(const json_t *json)
{
    struct ps_buf buf;
    ps_buf_init(&buf, PS_OUT_MAX);
    if (json_is_string(json))
        ps_text_clean(&buf, (struct ps_str){json_string_value(json),
                                            json_string_length(json)});
    else if (json_is_null(json))
        ps_buf_append_c(&buf, "NULL");
    else
        ps_json_render(json, -1, &buf);
    ps_buf_append_char(&buf, '\0');
    PS_CHECK(ps_buf_rc(&buf) == PS_OK);
    return ps_buf_take(&buf, NULL);
}
