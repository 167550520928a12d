/*
 * What people and programs see: tables with aligned columns, colours on a
 * terminal, JSON.
 *
 * Everything that came from a server or a database is cleaned before it is
 * shown: control characters come out as \n, \t or \x1b, so that data cannot
 * drive the terminal. Columns are counted in terminal cells (wide characters
 * are two, combining ones none); this needs a UTF-8 LC_CTYPE, which
 * ps_out_start sets.
 *
 * Rendering is pure: it appends to a buffer that the caller prints.
 */
#ifndef PS_CLI_OUTPUT_H
#define PS_CLI_OUTPUT_H

#include "common/buf.h"

#include <jansson.h>

enum ps_tint {
    PS_TINT_NONE,
    PS_TINT_HEAD,
    PS_TINT_GOOD,
    PS_TINT_BAD,
    PS_TINT_WARN,
    PS_TINT_DIM
};

struct ps_column {
    const char *title;
    bool right; /* numbers */
};
#define PS_LEFT(text)                   \
    {                                   \
        .title = (text), .right = false \
    }
#define PS_RIGHT(text)                 \
    {                                  \
        .title = (text), .right = true \
    }

struct ps_table;

enum {
    PS_OUT_MAX = 256 << 20 /* bytes of one rendering */
};

/* Once, before anything is rendered. */
void ps_out_start(void);
/* Is standard output a terminal that wants colours (NO_COLOR, TERM)? */
bool ps_out_colour(void);
bool ps_out_terminal(void);
/* Prints and empties the buffer. */
void ps_out_print(struct ps_buf *buf);

/* titles are copied. NULL columns: no heading, all to the left. */
struct ps_table *ps_table_new(const struct ps_column *columns, size_t n);
void ps_table_free(struct ps_table **table);
/* The next cell, rows from left to right; cleaned. NULL text is "-". */
void ps_table_add(struct ps_table *table, enum ps_tint tint, const char *text);
void ps_table_addf(struct ps_table *table, enum ps_tint tint, const char *fmt,
                   ...) PS_PRINTF(3, 4);
size_t ps_table_rows(const struct ps_table *table);
/* Whole rows only; no blanks at the ends of lines. */
void ps_table_render(const struct ps_table *table, bool colour,
                     struct ps_buf *out);

/* Terminal cells that a cleaned text takes. */
size_t ps_text_width(struct ps_str text);
/* Appends text with what is not printable escaped. */
void ps_text_clean(struct ps_buf *out, struct ps_str text);
void ps_tint_begin(struct ps_buf *out, enum ps_tint tint, bool colour);
void ps_tint_end(struct ps_buf *out, enum ps_tint tint, bool colour);

/* JSON, indented by two blanks (indent >= 0) or in one line (-1). Keys keep
 * their order, numbers their shortest exact form. */
void ps_json_render(const json_t *json, int indent, struct ps_buf *out);
/* A JSON value in a cell: text bare, NULL for null, the rest as JSON. */
char *ps_json_cell(const json_t *json);

#endif
