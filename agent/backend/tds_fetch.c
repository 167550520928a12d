/*
 * Rows of a result set, value by value with SQLGetData. A value comes in
 * pieces; every loop here ends by itself, because FreeTDS's may not: a
 * sql_variant is given again and again.
 *
 * Text and dates come as UTF-8 text, bytes as they are, floats as doubles
 * (FreeTDS's own text has too few digits), here printed with all 17.
 */
#include "agent/backend/tds_odbc.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PIECE_BYTES = 32768,
    VARIANT_MAX_BYTES = 8016 * 3, /* of UTF-8 */
    SS_VARIANT = -150,
    SS_XML = -152
};

static bool
grow(struct ps_tds_odbc *odbc, size_t n)
{
    if (n <= odbc->columns_cap)
        return true;
    struct ps_column *columns =
        reallocarray(odbc->columns, n, sizeof(*columns));
    if (columns)
        odbc->columns = columns;
    struct ps_cell *cells = reallocarray(odbc->cells, n, sizeof(*cells));
    if (cells)
        odbc->cells = cells;
    size_t *offsets = reallocarray(odbc->offsets, n, sizeof(*offsets));
    if (offsets)
        odbc->offsets = offsets;
    if (!columns || !cells || !offsets)
        return false;
    odbc->columns_cap = n;
    return true;
}

/* Names go into the row buffer, whose bytes may move: pointers at the end. */
static enum ps_rc
describe(struct ps_tds_odbc *odbc, SQLSMALLINT count)
{
    char name[1024];
    ps_buf_clear(&odbc->row);
    for (SQLSMALLINT i = 0; i < count; i++) {
        struct ps_column *column = &odbc->columns[i];
        SQLSMALLINT len = 0, type = 0, digits = 0, nullable = 0;
        SQLULEN size = 0;
        if (!SQL_SUCCEEDED(SQLDescribeCol(odbc->stmt, (SQLUSMALLINT)(i + 1),
                                          (SQLCHAR *)name,
                                          (SQLSMALLINT)sizeof(name), &len,
                                          &type, &size, &digits, &nullable)))
            return PS_ORIGIN_PROTOCOL;
        size_t n = strnlen(name, sizeof(name) - 1);
        odbc->offsets[i] = odbc->row.len;
        ps_buf_append(&odbc->row, name, n);
        memset(column, 0, sizeof(*column));
        column->name.len = n;
        column->type = (uint32_t)(int32_t)type;
        column->type_size = (int32_t)PS_MIN(size, (SQLULEN)INT32_MAX);
        column->type_modifier = digits;
    }
    ps_buf_append_char(&odbc->row, '\0'); /* so that there is memory */
    if (ps_buf_rc(&odbc->row) != PS_OK)
        return ps_buf_rc(&odbc->row);
    for (SQLSMALLINT i = 0; i < count; i++)
        odbc->columns[i].name.ptr = odbc->row.data + odbc->offsets[i];
    return PS_OK;
}

static enum ps_rc
get_double(struct ps_tds_odbc *odbc, SQLUSMALLINT column, bool *null)
{
    double value = 0;
    SQLLEN len = 0;
    if (!SQL_SUCCEEDED(SQLGetData(odbc->stmt, column, SQL_C_DOUBLE, &value,
                                  sizeof(value), &len)))
        return PS_ORIGIN_SQL;
    *null = len == SQL_NULL_DATA;
    if (!*null)
        ps_buf_printf(&odbc->row, "%.17g", value);
    return PS_OK;
}

static enum ps_rc
get_bytes(struct ps_tds_odbc *odbc, SQLUSMALLINT column, SQLSMALLINT c_type,
          bool *null)
{
    size_t begin = odbc->row.len;
    size_t tail = c_type == SQL_C_CHAR; /* the NUL */
    for (;;) {
        SQLLEN left = 0;
        char *room = ps_buf_reserve(&odbc->row, PIECE_BYTES);
        if (!room)
            return PS_RESULT_TOO_BIG;
        SQLRETURN got =
            SQLGetData(odbc->stmt, column, c_type, room, PIECE_BYTES, &left);
        if (got == SQL_NO_DATA)
            return PS_OK;
        if (!SQL_SUCCEEDED(got))
            return PS_ORIGIN_SQL;
        if (left == SQL_NULL_DATA) {
            *null = true;
            return PS_OK;
        }
        bool whole = got == SQL_SUCCESS && left >= 0 &&
                     (size_t)left <= PIECE_BYTES - tail;
        size_t n = whole ? (size_t)left : PIECE_BYTES - tail;
        /* FreeTDS ends a piece at a character, which may leave room. */
        if (!whole && tail)
            n = strnlen(room, PIECE_BYTES - 1);
        odbc->row.len += n;
        if (whole)
            return PS_OK;
        if (n == 0)
            return PS_ORIGIN_PROTOCOL;
        if (odbc->row.len - begin > PS_ROW_MAX_BYTES)
            return PS_RESULT_TOO_BIG;
    }
}

static enum ps_rc
get_variant(struct ps_tds_odbc *odbc, SQLUSMALLINT column, bool *null)
{
    SQLLEN len = 0;
    char *room = ps_buf_reserve(&odbc->row, VARIANT_MAX_BYTES);
    if (!room)
        return PS_RESULT_TOO_BIG;
    if (!SQL_SUCCEEDED(SQLGetData(odbc->stmt, column, SQL_C_CHAR, room,
                                  VARIANT_MAX_BYTES, &len)))
        return PS_ORIGIN_SQL;
    *null = len == SQL_NULL_DATA;
    if (!*null)
        odbc->row.len += strnlen(room, VARIANT_MAX_BYTES - 1);
    return PS_OK;
}

static enum ps_rc
get_value(struct ps_tds_odbc *odbc, SQLUSMALLINT column, bool *null)
{
    switch ((int32_t)odbc->columns[column - 1].type) {
    case SQL_FLOAT:
    case SQL_REAL:
    case SQL_DOUBLE:
        return get_double(odbc, column, null);
    case SQL_BINARY:
    case SQL_VARBINARY:
    case SQL_LONGVARBINARY:
        return get_bytes(odbc, column, SQL_C_BINARY, null);
    case SS_VARIANT:
        return get_variant(odbc, column, null);
    default:
        return get_bytes(odbc, column, SQL_C_CHAR, null);
    }
}

static enum ps_rc
get_row(struct ps_tds_odbc *odbc, size_t count)
{
    ps_buf_clear(&odbc->row);
    for (size_t i = 0; i < count; i++) {
        bool null = false;
        odbc->offsets[i] = odbc->row.len;
        enum ps_rc rc = get_value(odbc, (SQLUSMALLINT)(i + 1), &null);
        if (rc != PS_OK)
            return rc;
        if (ps_buf_rc(&odbc->row) != PS_OK || odbc->row.len > PS_ROW_MAX_BYTES)
            return PS_RESULT_TOO_BIG;
        odbc->cells[i].len = null ? SIZE_MAX : odbc->row.len - odbc->offsets[i];
    }
    ps_buf_append_char(&odbc->row, '\0');
    if (ps_buf_rc(&odbc->row) != PS_OK)
        return PS_RESULT_TOO_BIG;
    for (size_t i = 0; i < count; i++) {
        struct ps_cell *cell = &odbc->cells[i];
        cell->ptr =
            cell->len == SIZE_MAX ? NULL : odbc->row.data + odbc->offsets[i];
        if (!cell->ptr)
            cell->len = 0;
    }
    return PS_OK;
}

enum ps_rc
ps_tds_fetch(struct ps_tds_odbc *odbc, SQLSMALLINT count,
             struct ps_tds_out *out, struct ps_tds_result *result)
{
    if (!grow(odbc, (size_t)count))
        return PS_NO_MEMORY;
    /* The old columns' names are in the row buffer: they end here. */
    enum ps_rc rc = describe(odbc, count);
    if (rc == PS_OK)
        rc = out->columns(out, odbc->columns, (size_t)count);
    while (rc == PS_OK) {
        SQLRETURN got = SQLFetch(odbc->stmt);
        if (got == SQL_NO_DATA)
            break;
        if (!SQL_SUCCEEDED(got))
            return PS_ORIGIN_SQL;
        rc = get_row(odbc, (size_t)count);
        if (rc == PS_OK) {
            result->rows++;
            rc = out->row(out, odbc->cells, (size_t)count);
        }
    }
    return rc;
}
