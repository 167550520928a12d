/*
 * The forms of a reply's rows beside PolyScale's (result.h: ps_rows_style), and
 * text from the origin as JSON. Pure.
 */
#ifndef PS_AGENT_RESULT_STYLES_H
#define PS_AGENT_RESULT_STYLES_H

#include "agent/result/result.h"

/* POST /v1/query; the rest, from within `cache` on, is the front's:
 *   {"columns":[...],"rows":[...],"row_count":1,"command":"SELECT",
 *    "cache":{"template":"..."
 *   the same as NDJSON: a line of columns, a line for each row, a last one */
extern const struct ps_rows_style ps_query_style[2][2]; /* [arrays][lines] */

/* Neon: {"fields":[...],"rows":[...],"command":...}. Raw text: every value is
 * the string that PostgreSQL gave. */
extern const struct ps_rows_style ps_neon_style[2][2]; /* [arrays][raw] */

/* PlanetScale: the value of "result". */
extern const struct ps_rows_style ps_planetscale_style;
/* The same without any of it: {} */
extern const struct ps_rows_style ps_planetscale_silent_style;

/* Text of the origin's, which may not be UTF-8, as a JSON string; NULL: null.
 */
void ps_origin_text_json(struct ps_buf *out, const char *text);

#endif
