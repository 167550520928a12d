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
};

struct ps_cell {
    const char *ptr; /* NULL: SQL NULL */
    size_t len;
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
};

/*
 * Encoder of the PolyScale format: a JSON array of row objects, values as
 * JSON.stringify of what the usual Node driver (pg, mysql2, mssql) returns
 * with TZ=UTC. `[]` when no result set came.
 */
struct ps_rows_json;
struct ps_rows_json *ps_rows_json_new(size_t max_bytes);
void ps_rows_json_free(struct ps_rows_json **encoder);
struct ps_sink *ps_rows_json_sink(struct ps_rows_json *encoder);
/* Which driver's types and values come (ps_provider). Before the first row. */
void ps_rows_json_set_provider(struct ps_rows_json *encoder, int provider);
/* Closes the array and gives the bytes away (free()). */
PS_MUST_USE enum ps_rc ps_rows_json_take(struct ps_rows_json *encoder,
                                         char **body, size_t *len);
uint64_t ps_rows_json_count(const struct ps_rows_json *encoder);

#endif
