/*
 * What the parts of the maker share: dice, text, names that can be seen. Each
 * put_ function appends to the text; the server judges whether it makes sense.
 */
#ifndef PS_TESTS_TOOLS_SQL_MAKER_PRIVATE_H
#define PS_TESTS_TOOLS_SQL_MAKER_PRIVATE_H

#include "tests/tools/sql/maker.h"

enum {
    MAKER_REFS = 6,
    MAKER_DEPTH = 3
};

/* A table as it is called in a statement. */
struct maker_ref {
    char alias[24];
    const struct maker_table *table;
};
struct maker_scope {
    const struct maker_scope *outer;
    struct maker_ref refs[MAKER_REFS];
    size_t n;
    bool bare; /* one table: its columns go without qualifier */
};

/* 0 to n - 1 */
unsigned maker_roll(struct maker *m, unsigned n);

void maker_put(struct maker_text *t, const char *fmt, ...) PS_PRINTF(2, 3);

/* An empty text. */
void maker_begin(struct maker *m, struct maker_text *t);

bool maker_is_integer(enum maker_kind kind);
bool maker_is_number(enum maker_kind kind);
bool maker_is_text(enum maker_kind kind);

void maker_put_param(struct maker *m, struct maker_text *t, const char *text,
                     enum maker_kind kind);
/* A literal, a parameter, sometimes NULL. */
void maker_put_value(struct maker *m, struct maker_text *t,
                     enum maker_kind kind);

const struct maker_table *maker_any_table(struct maker *m);
/* A column of this kind, or the first one. */
const struct maker_column *maker_column_of(const struct maker_table *table,
                                           enum maker_kind kind);

/* Makes a table visible, under its own name or a new one. */
void maker_add_ref(struct maker *m, struct maker_scope *s,
                   const struct maker_table *table, bool named);

/* A column that can be seen here, as a name; its kind. */
enum maker_kind maker_put_column(struct maker *m, struct maker_text *t,
                                 const struct maker_scope *s);

void maker_put_condition(struct maker *m, struct maker_text *t,
                         const struct maker_scope *s, int depth);
/* WHERE, or nothing. */
void maker_put_where(struct maker *m, struct maker_text *t,
                     const struct maker_scope *s, int depth);
/* A table, or a subquery with the columns of one. */
void maker_put_source(struct maker *m, struct maker_text *t,
                      struct maker_scope *s, int depth);
/* A SELECT; with two columns below depth 0 the second is an integer. */
void maker_put_select(struct maker *m, struct maker_text *t,
                      const struct maker_scope *outer, int depth, int columns);

#endif
