/*
 * What types are called: the names that a statement of the database would use.
 */
#ifndef PS_AGENT_RESULT_TYPE_NAMES_H
#define PS_AGENT_RESULT_TYPE_NAMES_H

#include "agent/result/result.h"

/* Appends the name as a JSON string: "int4", "bigint unsigned", "nvarchar";
 * PostgreSQL's other types (of extensions, of users): the OID. provider:
 * enum ps_provider. */
void ps_type_name_json(struct ps_buf *out, int provider,
                       const struct ps_column *column);

/* Vitess' name of a MySQL type (query.proto: enum Type), as PlanetScale's
 * clients know it; NULL for the type of a bare NULL. */
const char *ps_vitess_type(const struct ps_column *column);
/* MySQL's own name, "int", "varchar"; without length and "unsigned". */
const char *ps_my_type_name(const struct ps_column *column);

enum {
    /* Column flags of MySQL (Protocol::ColumnDefinition). */
    PS_MY_FLAG_NOT_NULL = 1,
    PS_MY_FLAG_UNSIGNED = 32,
    PS_MY_FLAG_ENUM = 256,
    PS_MY_FLAG_SET = 2048
};

#endif
