/*
 * One PostgreSQL value in text format -> JSON.stringify of what node-pg 8
 * (pg-types 2) makes of it. The kind is looked up once per column by the
 * type's OID; encoding a value allocates nothing of its own.
 */
#ifndef PS_AGENT_RESULT_PG_VALUES_H
#define PS_AGENT_RESULT_PG_VALUES_H

#include "common/buf.h"

enum ps_pg_kind {
    PS_PG_TEXT, /* everything not named here: a string */
    PS_PG_BOOL,
    PS_PG_INT,    /* int2, int4, oid: a number */
    PS_PG_FLOAT,  /* float4, float8: a number or null */
    PS_PG_DIGITS, /* elements of numeric[]: a number, digits may be lost */
    PS_PG_BYTEA,
    PS_PG_JSON,
    PS_PG_DATE, /* date, timestamp, timestamptz */
    PS_PG_INTERVAL,
    PS_PG_POINT,
    PS_PG_CIRCLE,
    PS_PG_KIND_COUNT
};

struct ps_pg_type {
    unsigned char kind; /* enum ps_pg_kind; of the elements for an array */
    bool array;
};

struct ps_pg_type ps_pg_type_of(uint32_t oid);

/* scratch: emptied and used for elements of arrays. PS_ORIGIN_PROTOCOL when
 * text is not what the type's output looks like and node-pg would throw. */
PS_MUST_USE enum ps_rc ps_pg_value_json(struct ps_buf *out,
                                        struct ps_pg_type type,
                                        struct ps_str text,
                                        struct ps_buf *scratch);

/* pg_array.c: the array literal of postgres-array 2. */
PS_MUST_USE enum ps_rc ps_pg_array_json(struct ps_buf *out,
                                        enum ps_pg_kind element,
                                        struct ps_str text,
                                        struct ps_buf *scratch);

#endif
