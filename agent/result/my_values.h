/*
 * One MySQL or MariaDB value in text form -> JSON.stringify of what mysql2
 * makes of it (lib/parsers/text_parser.js with its default options, TZ=UTC).
 * Pure; any thread.
 */
#ifndef PS_AGENT_RESULT_MY_VALUES_H
#define PS_AGENT_RESULT_MY_VALUES_H

#include "agent/result/values.h"

enum ps_my_kind {
    PS_MY_TEXT,
    PS_MY_BYTES,    /* a Buffer */
    PS_MY_NUMBER,   /* through a double: large BIGINTs lose digits */
    PS_MY_DATE,     /* DATE: midnight */
    PS_MY_DATETIME, /* DATETIME, TIMESTAMP */
    PS_MY_JSON,     /* MySQL's; MariaDB's is text */
    PS_MY_GEOMETRY,
    PS_MY_KIND_COUNT
};

/* Field types of the protocol (Protocol::ColumnType), as far as they matter. */
enum {
    PS_MY_TYPE_DECIMAL = 0,
    PS_MY_TYPE_TINY = 1,
    PS_MY_TYPE_SHORT = 2,
    PS_MY_TYPE_LONG = 3,
    PS_MY_TYPE_FLOAT = 4,
    PS_MY_TYPE_DOUBLE = 5,
    PS_MY_TYPE_NULL = 6,
    PS_MY_TYPE_TIMESTAMP = 7,
    PS_MY_TYPE_LONGLONG = 8,
    PS_MY_TYPE_INT24 = 9,
    PS_MY_TYPE_DATE = 10,
    PS_MY_TYPE_TIME = 11,
    PS_MY_TYPE_DATETIME = 12,
    PS_MY_TYPE_YEAR = 13,
    PS_MY_TYPE_NEWDATE = 14,
    PS_MY_TYPE_JSON = 245,
    PS_MY_TYPE_NEWDECIMAL = 246,
    PS_MY_TYPE_GEOMETRY = 255,
    PS_MY_CHARSET_BINARY = 63
};

extern const struct ps_values ps_my_values;

/* my_geometry.c: SRID and WKB as mysql2's parseGeometry reads them; null for
 * what is empty or broken. */
void ps_my_geometry_json(struct ps_buf *out, struct ps_str bytes);

#endif
