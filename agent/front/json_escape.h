/* Escapes in JSON strings (RFC 8259, section 7). Pure. */
#ifndef PS_AGENT_FRONT_JSON_ESCAPE_H
#define PS_AGENT_FRONT_JSON_ESCAPE_H

#include "common/base.h"

enum {
    PS_JSON_ESCAPE_BAD = -1, /* there is no such escape */
    PS_JSON_ESCAPE_HALF = -2 /* half of a pair of surrogates */
};

/* *p stands behind a backslash and is moved behind the escape: its character,
 * for a pair of surrogates the one that they stand for. */
int32_t ps_json_escape(const char **p, const char *end);

#endif
