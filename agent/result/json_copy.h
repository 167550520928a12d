/*
 * A JSON text copied without its white space, numbers in JavaScript's form:
 * what JSON.stringify(JSON.parse(text)) gives, except that keys keep their
 * order and duplicates (equal for every reader that lets the last one win)
 * and strings keep their escapes. Pure; any thread.
 */
#ifndef PS_AGENT_RESULT_JSON_COPY_H
#define PS_AGENT_RESULT_JSON_COPY_H

#include "common/buf.h"

/* PS_BAD_JSON when text is not one JSON value (RFC 8259) or nested deeper than
 * 10,000; part of it may have been appended then. */
PS_MUST_USE enum ps_rc ps_json_copy(struct ps_buf *out, struct ps_str text);

#endif
