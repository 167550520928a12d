/*
 * Rows on their way from a driver to a reply: a driver describes columns and
 * hands over rows, a sink encodes them.
 *
 *   driver --columns, row, row, ..., --> sink (an encoder) --> bytes
 *
 * Cells are in the origin's text format (PostgreSQL: the type's output
 * function in the canonical session) and live during the call only.
 */
#ifndef PS_AGENT_RESULT_RESULT_H
#define PS_AGENT_RESULT_RESULT_H

#include "common/base.h"
#include "common/buf.h"
#include "common/err.h"

struct ps_column {
    struct ps_str name;
    /* PostgreSQL: type OID; MySQL: field type; TDS: SQL type. */
    uint32_t type;
    int32_t type_modifier;
    int32_t type_size;
    uint32_t table;        /* PostgreSQL: table OID, or 0 */
    uint32_t table_column; /* its number, or 0 */
    uint32_t flags;        /* MySQL: column flags */
    uint32_t charset;      /* MySQL: character set number */
    /* MySQL: where it comes from; empty: an expression. */
    struct ps_str table_name, org_table, database, org_name;
};

struct ps_cell {
    const char *ptr; /* NULL: SQL NULL */
    size_t len;
};

/*
 * What the origin said about a statement that it refused, as far as it said
 * so. X(NAME, key): PostgreSQL's fields (its protocol, section 55.8) under the
 * names that node-pg gives them; MySQL and SQL Server have message, code and
 * the number beside it.
 */
#define PS_ORIGIN_ERROR_TABLE(X)             \
    X(MESSAGE, "message")                    \
    X(CODE, "code")                          \
    X(DETAIL, "detail")                      \
    X(HINT, "hint")                          \
    X(POSITION, "position")                  \
    X(INTERNAL_POSITION, "internalPosition") \
    X(INTERNAL_QUERY, "internalQuery")       \
    X(SEVERITY, "severity")                  \
    X(WHERE, "where")                        \
    X(TABLE, "table")                        \
    X(COLUMN, "column")                      \
    X(SCHEMA, "schema")                      \
    X(DATA_TYPE, "dataType")                 \
    X(CONSTRAINT, "constraint")              \
    X(FILE, "file")                          \
    X(LINE, "line")                          \
    X(ROUTINE, "routine")

enum ps_origin_error_field {
#define X(name, key) PS_ORIGIN_ERROR_##name,
    PS_ORIGIN_ERROR_TABLE(X)
#undef X
    PS_ORIGIN_ERROR_COUNT
};
struct ps_origin_error {
    const char *fields[PS_ORIGIN_ERROR_COUNT]; /* NULL: not said */
    unsigned number;                           /* of MySQL; 0: none */
};

/* The embedding encoder finds itself by PS_CONTAINER_OF. A callback that
 * fails ends the statement: the driver cancels it and reports that code. */
struct ps_sink {
    /* A (further) result set begins: earlier rows of this sink are dropped
     * (the last result set of a request is its answer). Statements
     * without rows do not call it. */
    enum ps_rc (*columns)(struct ps_sink *sink, const struct ps_column *columns,
                          size_t count);
    enum ps_rc (*row)(struct ps_sink *sink, const struct ps_cell *cells,
                      size_t count);
    /* The origin refused the statement: during the call only; may be NULL. */
    void (*error)(struct ps_sink *sink, const struct ps_origin_error *error);
};

/* How a statement ended that succeeded. */
struct ps_result_end {
    struct ps_str command; /* "SELECT", "CREATE TABLE"; may be empty */
    uint64_t rows;         /* returned or affected */
    uint64_t insert_id;    /* MySQL: of the first row inserted; 0: none */
    uint64_t fingerprint;  /* of the statement's template */
};

/*
 * The form of a reply around and within the values: one constant for each
 * protocol and variant. NULL for what a form does not have.
 */
struct ps_values;
struct ps_rows_style {
    /* What stands before the rows, of the last result set (n 0: there was
     * none), between two of them and behind them. provider: ps_provider. */
    void (*begin)(struct ps_buf *out, int provider,
                  const struct ps_column *columns, size_t n);
    const char *between;
    const char *behind; /* each row; NULL: nothing */
    void (*end)(struct ps_buf *out, const struct ps_result_end *end,
                bool any_set, uint64_t n_rows);
    /* Rows are arrays of values; else objects. */
    bool arrays;
    /* Instead of either: a whole row. */
    void (*row)(struct ps_buf *out, const struct ps_cell *cells, size_t n);
    /* Instead of the values of the provider's Node driver. */
    const struct ps_values *values;
    /* The origin's error as the protocol tells it. */
    void (*error)(struct ps_buf *out, const struct ps_origin_error *error);
};

/*
 * Encoder of the PolyScale format: a JSON array of row objects, values as
 * JSON.stringify of what the usual Node driver (pg, mysql2, mssql) returns
 * with TZ=UTC. `[]` when no result set came. With another style: of that.
 */
struct ps_rows_json;
struct ps_rows_json *ps_rows_json_new(size_t max_bytes);
void ps_rows_json_free(struct ps_rows_json **encoder);
struct ps_sink *ps_rows_json_sink(struct ps_rows_json *encoder);
/* Which driver's types and values come (ps_provider). Before the first row. */
void ps_rows_json_set_provider(struct ps_rows_json *encoder, int provider);
/* Another form than PolyScale's. Before the first row; style is static. */
void ps_rows_json_set_style(struct ps_rows_json *encoder,
                            const struct ps_rows_style *style);
/* What is encoded; until the next call. Only between rows is it whole rows. */
struct ps_str ps_rows_json_so_far(const struct ps_rows_json *encoder);
/* The caller has taken what is encoded: take gives what comes after it. Not
 * before the first row. */
void ps_rows_json_drop(struct ps_rows_json *encoder);
/* How it ended; before take. */
void ps_rows_json_set_end(struct ps_rows_json *encoder,
                          const struct ps_result_end *end);
/* What style->error wrote of the origin's error, or an absent view; valid as
 * long as the encoder. */
struct ps_str ps_rows_json_error(const struct ps_rows_json *encoder);
/* Closes the array and gives the bytes away (free()). */
PS_MUST_USE enum ps_rc ps_rows_json_take(struct ps_rows_json *encoder,
                                         char **body, size_t *len);
uint64_t ps_rows_json_count(const struct ps_rows_json *encoder);

#endif
