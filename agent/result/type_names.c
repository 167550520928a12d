/*
 * PostgreSQL: pg_type.dat, whose array types have the name of their elements'
 * type with brackets. MySQL: the protocol's field type, flags and character
 * set. SQL Server: ODBC's numbers.
 */
#include "agent/result/type_names.h"

#include "agent/result/my_values.h"

enum {
    /* enum ps_provider; values_test checks that the numbers agree. */
    PROVIDER_POSTGRES = 0,
    PROVIDER_MSSQL = 3
};

static const char *const pg_names[] = {
    [16] = "bool",
    [17] = "bytea",
    [18] = "char",
    [19] = "name",
    [20] = "int8",
    [21] = "int2",
    [23] = "int4",
    [24] = "regproc",
    [25] = "text",
    [26] = "oid",
    [28] = "xid",
    [114] = "json",
    [142] = "xml",
    [143] = "xml[]",
    [199] = "json[]",
    [600] = "point",
    [601] = "lseg",
    [602] = "path",
    [603] = "box",
    [604] = "polygon",
    [628] = "line",
    [650] = "cidr",
    [651] = "cidr[]",
    [700] = "float4",
    [701] = "float8",
    [705] = "unknown",
    [718] = "circle",
    [774] = "macaddr8",
    [790] = "money",
    [829] = "macaddr",
    [869] = "inet",
    [1000] = "bool[]",
    [1001] = "bytea[]",
    [1003] = "name[]",
    [1005] = "int2[]",
    [1007] = "int4[]",
    [1009] = "text[]",
    [1014] = "bpchar[]",
    [1015] = "varchar[]",
    [1016] = "int8[]",
    [1017] = "point[]",
    [1021] = "float4[]",
    [1022] = "float8[]",
    [1028] = "oid[]",
    [1041] = "inet[]",
    [1042] = "bpchar",
    [1043] = "varchar",
    [1082] = "date",
    [1083] = "time",
    [1114] = "timestamp",
    [1115] = "timestamp[]",
    [1182] = "date[]",
    [1183] = "time[]",
    [1184] = "timestamptz",
    [1185] = "timestamptz[]",
    [1186] = "interval",
    [1187] = "interval[]",
    [1231] = "numeric[]",
    [1266] = "timetz",
    [1270] = "timetz[]",
    [1560] = "bit",
    [1562] = "varbit",
    [1700] = "numeric",
    [2205] = "regclass",
    [2206] = "regtype",
    [2249] = "record",
    [2278] = "void",
    [2950] = "uuid",
    [2951] = "uuid[]",
    [3220] = "pg_lsn",
    [3614] = "tsvector",
    [3615] = "tsquery",
    [3802] = "jsonb",
    [3807] = "jsonb[]",
    [3904] = "int4range",
    [3906] = "numrange",
    [3908] = "tsrange",
    [3910] = "tstzrange",
    [3912] = "daterange",
    [3926] = "int8range",
    [4072] = "jsonpath",
};

static const struct {
    int32_t type;
    const char *name;
} ts_names[] = {
    {-7,   "bit"             },
    {-6,   "tinyint"         },
    {5,    "smallint"        },
    {4,    "int"             },
    {-5,   "bigint"          },
    {6,    "float"           },
    {7,    "real"            },
    {8,    "float"           },
    {2,    "numeric"         },
    {3,    "decimal"         },
    {-2,   "binary"          },
    {-3,   "varbinary"       },
    {-4,   "image"           },
    {-11,  "uniqueidentifier"},
    {91,   "date"            },
    {92,   "time"            },
    {93,   "datetime2"       },
    {-155, "datetimeoffset"  },
    {-154, "time"            },
    {1,    "char"            },
    {12,   "varchar"         },
    {-1,   "text"            },
    {-8,   "nchar"           },
    {-9,   "nvarchar"        },
    {-10,  "ntext"           },
    {-152, "xml"             },
    {-150, "sql_variant"     },
};

/* Field types that my_values.h does not need. */
enum {
    TYPE_VARCHAR = 15,
    TYPE_BIT = 16,
    TYPE_ENUM = 247,
    TYPE_SET = 248,
    TYPE_TINY_BLOB = 249,
    TYPE_MEDIUM_BLOB = 250,
    TYPE_LONG_BLOB = 251,
    TYPE_BLOB = 252,
    TYPE_VAR_STRING = 253,
    TYPE_STRING = 254
};

static bool
is_binary(const struct ps_column *column)
{
    return column->charset == PS_MY_CHARSET_BINARY;
}

/* X(field type, signed, unsigned, MySQL's name) */
#define NUMBERS(X)                                                 \
    X(PS_MY_TYPE_TINY, "INT8", "UINT8", "tinyint")                 \
    X(PS_MY_TYPE_SHORT, "INT16", "UINT16", "smallint")             \
    X(PS_MY_TYPE_INT24, "INT24", "UINT24", "mediumint")            \
    X(PS_MY_TYPE_LONG, "INT32", "UINT32", "int")                   \
    X(PS_MY_TYPE_LONGLONG, "INT64", "UINT64", "bigint")            \
    X(PS_MY_TYPE_FLOAT, "FLOAT32", "FLOAT32", "float")             \
    X(PS_MY_TYPE_DOUBLE, "FLOAT64", "FLOAT64", "double")           \
    X(PS_MY_TYPE_DECIMAL, "DECIMAL", "DECIMAL", "decimal")         \
    X(PS_MY_TYPE_NEWDECIMAL, "DECIMAL", "DECIMAL", "decimal")      \
    X(PS_MY_TYPE_YEAR, "YEAR", "YEAR", "year")                     \
    X(PS_MY_TYPE_DATE, "DATE", "DATE", "date")                     \
    X(PS_MY_TYPE_NEWDATE, "DATE", "DATE", "date")                  \
    X(PS_MY_TYPE_TIME, "TIME", "TIME", "time")                     \
    X(PS_MY_TYPE_DATETIME, "DATETIME", "DATETIME", "datetime")     \
    X(PS_MY_TYPE_TIMESTAMP, "TIMESTAMP", "TIMESTAMP", "timestamp") \
    X(PS_MY_TYPE_JSON, "JSON", "JSON", "json")                     \
    X(PS_MY_TYPE_GEOMETRY, "GEOMETRY", "GEOMETRY", "geometry")     \
    X(TYPE_BIT, "BIT", "BIT", "bit")                               \
    X(TYPE_ENUM, "ENUM", "ENUM", "enum")                           \
    X(TYPE_SET, "SET", "SET", "set")

const char *
ps_vitess_type(const struct ps_column *column)
{
    bool is_unsigned = column->flags & PS_MY_FLAG_UNSIGNED;
    switch (column->type) {
#define X(type, plain, not_negative, name) \
    case type:                             \
        return is_unsigned ? not_negative : plain;
        NUMBERS(X)
#undef X
    case PS_MY_TYPE_NULL:
        return NULL;
    case TYPE_TINY_BLOB:
    case TYPE_MEDIUM_BLOB:
    case TYPE_LONG_BLOB:
    case TYPE_BLOB:
        return is_binary(column) ? "BLOB" : "TEXT";
    case TYPE_STRING:
        if (column->flags & PS_MY_FLAG_ENUM)
            return "ENUM";
        if (column->flags & PS_MY_FLAG_SET)
            return "SET";
        return is_binary(column) ? "BINARY" : "CHAR";
    default:
        return is_binary(column) ? "VARBINARY" : "VARCHAR";
    }
}

const char *
ps_my_type_name(const struct ps_column *column)
{
    switch (column->type) {
#define X(type, plain, not_negative, name) \
    case type:                             \
        return name;
        NUMBERS(X)
#undef X
    case PS_MY_TYPE_NULL:
        return "null";
    case TYPE_TINY_BLOB:
        return is_binary(column) ? "tinyblob" : "tinytext";
    case TYPE_MEDIUM_BLOB:
        return is_binary(column) ? "mediumblob" : "mediumtext";
    case TYPE_LONG_BLOB:
        return is_binary(column) ? "longblob" : "longtext";
    case TYPE_BLOB:
        return is_binary(column) ? "blob" : "text";
    case TYPE_STRING:
        if (column->flags & PS_MY_FLAG_ENUM)
            return "enum";
        if (column->flags & PS_MY_FLAG_SET)
            return "set";
        return is_binary(column) ? "binary" : "char";
    default:
        return is_binary(column) ? "varbinary" : "varchar";
    }
}

static bool
counts(uint32_t type)
{
    switch (type) {
    case PS_MY_TYPE_TINY:
    case PS_MY_TYPE_SHORT:
    case PS_MY_TYPE_INT24:
    case PS_MY_TYPE_LONG:
    case PS_MY_TYPE_LONGLONG:
        return true;
    default:
        return false;
    }
}

static void
pg_name_json(struct ps_buf *out, uint32_t oid)
{
    if (oid < PS_ARRAY_LEN(pg_names) && pg_names[oid]) {
        ps_buf_append_json(out, ps_str_of(pg_names[oid]));
        return;
    }
    ps_buf_append_char(out, '"');
    ps_buf_append_u64(out, oid);
    ps_buf_append_char(out, '"');
}

static void
ts_name_json(struct ps_buf *out, int32_t type)
{
    const char *name = "unknown";
    for (size_t i = 0; i < PS_ARRAY_LEN(ts_names); i++) {
        if (ts_names[i].type == type)
            name = ts_names[i].name;
    }
    ps_buf_append_json(out, ps_str_of(name));
}

void
ps_type_name_json(struct ps_buf *out, int provider,
                  const struct ps_column *column)
{
    if (provider == PROVIDER_POSTGRES) {
        pg_name_json(out, column->type);
        return;
    }
    if (provider == PROVIDER_MSSQL) {
        ts_name_json(out, (int32_t)column->type);
        return;
    }
    ps_buf_append_char(out, '"');
    ps_buf_append_c(out, ps_my_type_name(column));
    if (column->flags & PS_MY_FLAG_UNSIGNED && counts(column->type))
        ps_buf_append_c(out, " unsigned");
    ps_buf_append_char(out, '"');
}
