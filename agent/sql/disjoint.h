/*
 * Can this write change what that read saw? The one place that decides when two
 * sets of rows have nothing in common, for the stamps of rows and for the test
 * that holds the rule against a real server (tests/tools/sql/semantic).
 *
 * Rows are told apart by columns whose equality is that of the values' bytes:
 * integers, uuid, boolean (hazard 23). The caller says of each column which it
 * is, from the catalogue, and says OTHER for what a statement can change
 * without naming it: generated columns, and all columns of a table with a
 * trigger that may change the row. A value that cannot be told (1.0, '0x1', a
 * cast, a parameter without a value) counts as any (hazard 24).
 *
 * Pure.
 */
#ifndef PS_AGENT_SQL_DISJOINT_H
#define PS_AGENT_SQL_DISJOINT_H

#include "agent/sql/sql.h"

enum ps_sql_column_type {
    PS_SQL_COLUMN_OTHER, /* tells nothing */
    PS_SQL_COLUMN_INT,   /* integer of any width up to 64 bits */
    PS_SQL_COLUMN_UUID,
    PS_SQL_COLUMN_BOOL
};

/* One typed value; equal if and only if the server finds them equal. */
struct ps_sql_row_value {
    enum ps_sql_column_type type;
    int64_t integer; /* BOOL: 0 or 1 */
    unsigned char uuid[16];
};

/* What is bound to the statement's parameters, by position. A value is NULL,
 * BOOL, INT, NUMBER or STRING (the text form, whatever its type); of any other
 * kind, or missing: not known. */
struct ps_sql_bindings {
    const struct ps_sql_value *values;
    size_t n;
};

enum {
    PS_SQL_ROW_VALUES = 128 /* more than this are not told apart */
};
struct ps_sql_row_values {
    struct ps_sql_row_value at[PS_SQL_ROW_VALUES];
    size_t n;
};

/* The type of a column of the relation, as the predicates name it. */
typedef enum ps_sql_column_type (*ps_sql_type_fn)(void *arg,
                                                  struct ps_str column);

/* Read: the values in this column that rows must have to matter. False: not
 * known, any row may. bindings may be NULL. */
PS_MUST_USE bool ps_sql_read_values(const struct ps_sql_predicate *predicate,
                                    enum ps_sql_column_type type,
                                    const struct ps_sql_bindings *bindings,
                                    struct ps_sql_row_values *out);

/* Write: every row that changes has one of these values in this column before
 * (unless it is new) and one of them after (unless it is gone), or is NULL
 * there. False: not known. */
PS_MUST_USE bool ps_sql_written_values(const struct ps_sql_relation *write,
                                       struct ps_str column,
                                       enum ps_sql_column_type type,
                                       const struct ps_sql_bindings *bindings,
                                       struct ps_sql_row_values *out);

/* Both sides name the same table, whose columns `type` knows. False only when
 * the write cannot change what this entry of the read depends on. */
bool ps_sql_may_change(const struct ps_sql_relation *read,
                       const struct ps_sql_bindings *read_bindings,
                       const struct ps_sql_relation *write,
                       const struct ps_sql_bindings *write_bindings,
                       ps_sql_type_fn type, void *arg);

#endif
