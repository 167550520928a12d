/*
 * Random tables, reads and writes for sql-semantic. Everything follows from the
 * seed. Statements are valid more often than not; the server sorts out the
 * rest.
 */
#ifndef PS_TESTS_TOOLS_SQL_STATEMENT_MAKER_H
#define PS_TESTS_TOOLS_SQL_STATEMENT_MAKER_H

#include "common/base.h"

enum maker_kind {
    MAKER_SMALLINT,
    MAKER_INTEGER,
    MAKER_BIGINT,
    MAKER_UUID,
    MAKER_BOOLEAN,
    MAKER_NUMERIC,
    MAKER_FLOAT,
    MAKER_TEXT,
    MAKER_GENERATED /* from the column before it, always an integer */
};

enum {
    MAKER_TABLES = 3,
    MAKER_COLUMNS = 7,
    MAKER_PARAMS = 16,
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
};

struct maker {
    uint64_t random;
    struct maker_table tables[MAKER_TABLES];
    char setup[2 * MAKER_SQL]; /* makes the tables anew and fills them */
    unsigned aliases;
};

struct maker_text {
    char sql[MAKER_SQL];
    size_t len;
    char params[MAKER_PARAMS][48];
    size_t n_params;
};

void maker_init(struct maker *m, uint64_t seed);
void maker_read(struct maker *m, struct maker_text *out);
void maker_write(struct maker *m, struct maker_text *out);
const struct maker_table *maker_find(const struct maker *m, struct ps_str name);

#endif
