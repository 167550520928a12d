/*
 * Numbers as JavaScript would print them (ECMA-262, Number::toString): what a
 * Node client parses from JSON and sends to its driver. 1.0 is "1", 1e3 is
 * "1000", integers are exact up to 2^53 and rounded beyond.
 */
#ifndef PS_AGENT_FRONT_JS_NUMBER_H
#define PS_AGENT_FRONT_JS_NUMBER_H

#include "common/base.h"

enum {
    PS_JS_NUMBER_MAX = 32 /* bytes a printed number may need, NUL included */
};

/* The number at the start of text, by JSON's grammar: its length, or 0 when
 * there is none. */
size_t ps_json_number_len(struct ps_str text);
/* Would printing change nothing? (an integer of at most 15 digits) */
bool ps_js_number_is_canonical(struct ps_str number);
/* value must be finite. Returns the length; a NUL follows. */
size_t ps_js_number_print(double value, char out[PS_JS_NUMBER_MAX]);

#endif
