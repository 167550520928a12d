/*
 * A JSON text as a tree in an arena: for bodies of requests that are not the
 * hot shape. Small and strict (RFC 8259): numbers and whole values keep the
 * bytes they were written with, strings are decoded.
 *
 * The text must be valid UTF-8 and outlive the tree, which points into it.
 */
#ifndef PS_AGENT_FRONT_JSON_IN_H
#define PS_AGENT_FRONT_JSON_IN_H

#include "agent/front/polyscale_body.h"
#include "common/arena.h"

struct ps_json {
    enum ps_json_kind kind;
    struct ps_str key;  /* of a member of an object */
    struct ps_str text; /* STRING: decoded, may hold NUL; NUMBER: as written */
    struct ps_str raw;  /* the value as written */
    bool boolean;
    struct ps_json *first, *next; /* members, in their order */
    size_t count;                 /* of members */
};

/* PS_BAD_JSON (err says what is wrong and repeats nothing of it),
 * PS_BODY_TOO_BIG when the arena is full. */
PS_MUST_USE enum ps_rc ps_json_read(struct ps_str text, struct ps_arena *arena,
                                    struct ps_json *out, struct ps_err *err);
/* The last member of that name, or NULL: also where object is NULL or no
 * object. A member that is null is there. */
const struct ps_json *ps_json_get(const struct ps_json *object,
                                  const char *key);

#endif
