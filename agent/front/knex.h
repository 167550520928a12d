/*
 * The rules by which knex.raw(sql, bindings) makes a statement for the driver
 * (knex 3: lib/raw.js, formatter/rawFormatter.js, formatter/
 * wrappingFormatter.js and each dialect's positionBindings).
 *
 *   sql + bindings --replace--> sql with ? --position--> sql with $1 / @p0
 *                     |                                   + list of values
 *                     +-- ?? and :name: become quoted identifiers
 *
 * Pure. Substitution happens in the text alone, comments and string literals
 * included, because that is what knex does.
 */
#ifndef PS_AGENT_FRONT_KNEX_H
#define PS_AGENT_FRONT_KNEX_H

#include "agent/backend/backend.h"
#include "agent/sql/sql.h"
#include "common/arena.h"
#include "common/err.h"

enum ps_knex_shape {
    PS_KNEX_NONE,  /* no bindings at all: nothing is replaced or counted */
    PS_KNEX_ARRAY, /* ? and ?? by position */
    PS_KNEX_OBJECT /* :name and :name: */
};

struct ps_knex_binding {
    struct ps_str name;    /* OBJECT only; a later one of the same name wins */
    struct ps_param value; /* arrays hold no arrays */
};

struct ps_knex_bindings {
    enum ps_knex_shape shape;
    struct ps_knex_binding *list;
    size_t count;
};

/*
 * Fills out's sql, params and n_params, from the arena or pointing into sql
 * and bindings. PS_BAD_BINDINGS: the count does not fit (knex's own words
 * first). PS_TOO_BIG: the result is longer than 32 MiB.
 */
PS_MUST_USE enum ps_rc
ps_knex_prepare(enum ps_dialect dialect, struct ps_str sql,
                const struct ps_knex_bindings *bindings, struct ps_arena *arena,
                struct ps_statement *out, struct ps_err *err);

/*
 * Bytes that are equal exactly for equal bindings: for each the name (OBJECT),
 * a tag of its type, its length and its bytes. Empty for NONE. An absent view
 * means that the arena is full.
 */
struct ps_str ps_knex_key(const struct ps_knex_bindings *bindings,
                          struct ps_arena *arena);

#endif
