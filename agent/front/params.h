/*
 * Parameters as a JSON array, for statements that carry their database's own
 * placeholders ($1, ?, @p0): null is NULL, a string is itself, everything else
 * its JSON text, but for arrays, which PostgreSQL gets as array literals. Types
 * are left to the server.
 */
#ifndef PS_AGENT_FRONT_PARAMS_H
#define PS_AGENT_FRONT_PARAMS_H

#include "agent/backend/backend.h"
#include "agent/front/json_in.h"

enum {
    PS_PARAMS_MAX = 65535 /* as many as the protocols can count */
};

struct ps_params {
    const struct ps_param *list;
    size_t n;
};

/* array: a JSON array; NULL: no parameters. literals: arrays become array
 * literals. PS_BAD_BINDINGS: too many, or one holds the character NUL. */
PS_MUST_USE enum ps_rc ps_params_read(const struct ps_json *array,
                                      bool literals, struct ps_arena *arena,
                                      struct ps_params *out,
                                      struct ps_err *err);
/* One value of it. */
PS_MUST_USE enum ps_rc ps_param_read(const struct ps_json *value, bool literals,
                                     struct ps_arena *arena,
                                     struct ps_param *out, struct ps_err *err);
/* Bytes that are equal exactly for equal parameters, with mark in front.
 * An absent view: the arena is full. */
struct ps_str ps_params_key(const struct ps_params *params, char mark,
                            struct ps_arena *arena);

#endif
