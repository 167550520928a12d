/*
 * Random tables, reads and writes for sql-semantic. Everything follows from the
 * seed. Statements are valid more often than not; the server sorts out the
 * rest.
 *
 * What differs between servers is in their traits (maker_pg.c, maker_my.c).
 */
#ifndef PS_TESTS_TOOLS_SQL_MAKER_H
#define PS_TESTS_TOOLS_SQL_MAKER_H

#include "agent/sql/disjoint.h"

enum maker_kind {
    MAKER_SMALLINT,
    MAKER_INTEGER,
    MAKER_BIGINT,
    MAKER_UUID,
    MAKER_BOOLEAN,
    MAKER_NUMERIC,
    MAKER_FLOAT,
    MAKER_TEXT,
    MAKER_NOCASE, /* text that is equal whatever its case */
    MAKER_CHAR,   /* padded */
    MAKER_DATE,
    MAKER_GENERATED, /* c0 + 1, an integer */
    MAKER_KINDS
};

enum {
    MAKER_TABLES = 3,
    MAKER_COLUMNS = 7,
    MAKER_PARAMS = 16,
    MAKER_PARAM_BYTES = 48,
    MAKER_SQL = 8192
};

struct maker_column {
    char name[24];
    enum maker_kind kind;
};
struct maker_table {
    char name[24];
    struct maker_column columns[MAKER_COLUMNS];
    size_t n_columns;
    bool draws; /* see drawn */
};

/* As what a parameter is bound. */
enum maker_binding {
    MAKER_BIND_UNTYPED, /* the server chooses */
    MAKER_BIND_INTEGER,
    MAKER_BIND_NUMERIC,
    MAKER_BIND_FLOAT,
    MAKER_BIND_TEXT
};

struct maker_text {
    char sql[MAKER_SQL];
    size_t len;
    char params[MAKER_PARAMS][MAKER_PARAM_BYTES];
    enum maker_binding bindings[MAKER_PARAMS];
    size_t n_params;
};

struct maker;

struct maker_traits {
    /* How a column of this kind is declared, NULL: never is; and how its
     * values tell rows apart. GENERATED: what follows the name. */
    struct {
        const char *declared;
        enum ps_sql_column_type told;
    } kinds[MAKER_KINDS];
    /* In front of and behind an INSERT of what may be there already. */
    const char *insert_new[2];
    /* Behind the declaration of some tables' first column, so that 0 and NULL
     * in an INSERT draw its next number; or NULL. */
    const char *drawn;
    const char *null_safe_equal;     /* an operator */
    const char *const *number_forms; /* ways to write the number %s */
    size_t n_number_forms;
    bool numbered_params; /* $1, not ? */
    bool full_join, boolean_literals, uuid_casts, nan;
    bool column_aliases; /* AS x(a, b) */
    /* A read or write of a shape that only this server knows. False: none
     * this time. */
    bool (*own_read)(struct maker *m, struct maker_text *out);
    bool (*own_write)(struct maker *m, struct maker_text *out);
    /* What an INSERT does with a row that is there already. */
    void (*put_conflict)(struct maker *m, struct maker_text *out,
                         const struct maker_table *table);
};
extern const struct maker_traits maker_traits_pg, maker_traits_my;

struct maker {
    const struct maker_traits *traits;
    uint64_t random;
    struct maker_table tables[MAKER_TABLES];
    char setup[3 * MAKER_SQL]; /* makes the tables anew and fills them */
    unsigned aliases;
    bool no_params; /* for now */
};

void maker_init(struct maker *m, const struct maker_traits *traits,
                uint64_t seed);
void maker_read(struct maker *m, struct maker_text *out);
void maker_write(struct maker *m, struct maker_text *out);
const struct maker_table *maker_find(const struct maker *m, struct ps_str name);

#endif
