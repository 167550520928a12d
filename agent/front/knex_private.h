/* Identifiers and what differs from dialect to dialect in knex's rules. */
#ifndef PS_AGENT_FRONT_KNEX_PRIVATE_H
#define PS_AGENT_FRONT_KNEX_PRIVATE_H

#include "agent/backend/backend.h"
#include "agent/sql/sql.h"
#include "common/buf.h"

enum ps_knex_escape {
    PS_KNEX_ESCAPE_ALL, /* pg: an odd run of \ before ? escapes it */
    PS_KNEX_ESCAPE_ONE  /* mssql: a \ right before it does */
};

struct ps_knex_dialect {
    char open_quote, close_quote;
    bool double_quotes;      /* a quote inside is doubled; else dropped */
    bool array_accessors;    /* name[1] keeps its accessor unquoted */
    bool lists;              /* an array is a list of values, not one */
    const char *placeholder; /* before the number; NULL: ? stays as it is */
    uint64_t first_number;
    enum ps_knex_escape escape;
    size_t max_params; /* what the protocol can carry */
};

const struct ps_knex_dialect *ps_knex_dialect_of(enum ps_dialect dialect);

/* knex's columnize(): one identifier, or several with ", " between them.
 * Numbers stay numbers, null is nothing, "a.b as c" is taken apart. */
void ps_knex_identifiers(const struct ps_knex_dialect *dialect,
                         const struct ps_param *value, struct ps_buf *out);

#endif
