/*
 * A statement as knex with tedious sends it: sp_executesql with the text, the
 * declarations of @p0, @p1, ... and their values, all typed; without values
 * sp_executesql with the text alone.
 *
 * Text is always Unicode: as varchar a character the server's code page lacks
 * would silently become another one. Above LONG_UNITS UTF-16 units FreeTDS
 * cuts SQL_WVARCHAR, so long text is SQL_WLONGVARCHAR.
 */
#include "agent/backend/tds_odbc.h"
#include "common/check.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum {
    LONG_UNITS = 4000,
    PARAMS_MAX = 2098 /* the server takes 2100, two are ours */
};

struct value {
    SQLLEN len; /* bytes, or SQL_NULL_DATA */
    SQLSMALLINT c_type, sql_type;
    SQLULEN size;
    const void *data;
    union {
        int32_t i32;
        int64_t i64;
        double real;
        unsigned char bit;
    } number;
};

struct ps_tds_bound {
    struct value *values; /* statement, declarations, then the parameters */
    size_t count;
};

static size_t
utf16_units(struct ps_str text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        n += (c & 0xc0) != 0x80;
        n += c >= 0xf0; /* a surrogate pair */
    }
    return n;
}

static void
set_text(struct value *v, struct ps_str text)
{
    size_t units = utf16_units(text);
    v->c_type = SQL_C_CHAR;
    v->sql_type = units > LONG_UNITS ? SQL_WLONGVARCHAR : SQL_WVARCHAR;
    v->size = PS_MAX(units, (size_t)1);
    v->data = text.len ? text.ptr : "";
    v->len = (SQLLEN)text.len;
}

/* As knex's _typeForBinding: Int, BigInt (when JavaScript holds it exactly) or
 * Float. */
static bool
set_number(struct value *v, struct ps_str text)
{
    char copy[64];
    char *end;
    if (text.len == 0 || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    double real = strtod(copy, &end);
    if (*end != '\0' || !isfinite(real))
        return false;
    if (real != floor(real)) {
        v->c_type = SQL_C_DOUBLE;
        v->sql_type = SQL_FLOAT;
        v->size = 53;
        v->number.real = real;
        v->data = &v->number.real;
        v->len = sizeof(double);
    } else if (real >= INT32_MIN && real <= INT32_MAX) {
        v->c_type = SQL_C_SLONG;
        v->sql_type = SQL_INTEGER;
        v->size = 10;
        v->number.i32 = (int32_t)real;
        v->data = &v->number.i32;
        v->len = sizeof(int32_t);
    } else if (fabs(real) <= 9007199254740991.0) {
        v->c_type = SQL_C_SBIGINT;
        v->sql_type = SQL_BIGINT;
        v->size = 19;
        v->number.i64 = (int64_t)real;
        v->data = &v->number.i64;
        v->len = sizeof(int64_t);
    } else {
        return false;
    }
    return true;
}

/* The value and its declaration. */
static enum ps_rc
set_param(struct value *v, const struct ps_param *param, struct ps_buf *declare)
{
    const char *type = "nvarchar(4000)";
    switch (param->kind) {
    case PS_PARAM_NULL:
        set_text(v, PS_STR(""));
        v->len = SQL_NULL_DATA;
        break;
    case PS_PARAM_BOOL:
        v->c_type = SQL_C_BIT;
        v->sql_type = SQL_BIT;
        v->size = 1;
        v->number.bit = ps_str_eq(param->text, PS_STR("true"));
        v->data = &v->number.bit;
        v->len = 1;
        type = "bit";
        break;
    case PS_PARAM_NUMBER:
        if (!set_number(v, param->text))
            return PS_BAD_BINDINGS;
        type = v->sql_type == SQL_FLOAT    ? "float"
               : v->sql_type == SQL_BIGINT ? "bigint"
                                           : "int";
        break;
    case PS_PARAM_TEXT:
        set_text(v, param->text);
        if (v->sql_type == SQL_WLONGVARCHAR)
            type = "nvarchar(max)";
        break;
    case PS_PARAM_ARRAY: /* SQL Server has no arrays */
        return PS_BAD_BINDINGS;
    }
    ps_buf_append_c(declare, type);
    return PS_OK;
}

static enum ps_rc
make_values(struct ps_tds_bound *b, const struct ps_statement *statement,
            struct ps_buf *declare)
{
    ps_buf_clear(declare);
    set_text(&b->values[0], statement->sql);
    for (size_t i = 0; i < statement->n_params; i++) {
        ps_buf_printf(declare, "%s@p%zu ", i ? "," : "", i);
        enum ps_rc rc =
            set_param(&b->values[2 + i], &statement->params[i], declare);
        if (rc != PS_OK)
            return rc;
    }
    /* "{call ...}" goes behind the declarations, in the same buffer. */
    size_t declared = declare->len;
    ps_buf_append_c(declare, "{call sp_executesql(?");
    for (size_t i = 1; i < b->count; i++)
        ps_buf_append_c(declare, ",?");
    ps_buf_append(declare, ")}", 3);
    if (b->count > 1 && ps_buf_rc(declare) == PS_OK)
        set_text(&b->values[1], (struct ps_str){declare->data, declared});
    return ps_buf_rc(declare);
}

enum ps_rc
ps_tds_params_bind(struct ps_tds_odbc *odbc,
                   const struct ps_statement *statement,
                   struct ps_tds_bound **bound)
{
    if (statement->n_params > (statement->plain ? 0 : PARAMS_MAX))
        return PS_BAD_BINDINGS;
    struct ps_tds_bound *b = calloc(1, sizeof(*b));
    if (!b)
        return PS_NO_MEMORY;
    if (statement->plain) {
        ps_buf_clear(&odbc->call);
        ps_buf_append_str(&odbc->call, statement->sql);
        ps_buf_append_char(&odbc->call, '\0');
        *bound = b;
        return ps_buf_rc(&odbc->call);
    }
    b->count = statement->n_params ? statement->n_params + 2 : 1;
    b->values = calloc(b->count + 1, sizeof(*b->values));
    enum ps_rc rc = PS_NO_MEMORY;
    if (b->values)
        rc = make_values(b, statement, &odbc->call);
    for (size_t i = 0; rc == PS_OK && i < b->count; i++) {
        struct value *v = &b->values[i];
        /* ODBC takes inputs by a pointer to what is not const. */
        SQLPOINTER data = (SQLPOINTER)(uintptr_t)v->data;
        if (!SQL_SUCCEEDED(SQLBindParameter(
                odbc->stmt, (SQLUSMALLINT)(i + 1), SQL_PARAM_INPUT, v->c_type,
                v->sql_type, v->size, 0, data, PS_MAX(v->len, 0), &v->len)))
            rc = PS_NO_MEMORY;
    }
    if (rc == PS_OK)
        *bound = b;
    else
        ps_tds_params_free(&b);
    return rc;
}

void
ps_tds_params_free(struct ps_tds_bound **bound)
{
    if (*bound) {
        free((*bound)->values);
        free(*bound);
    }
    *bound = NULL;
}
