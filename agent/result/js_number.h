/*
 * Numbers as JavaScript reads and writes them: parseFloat() and
 * Number.prototype.toString() (ECMA-262, Number::toString), on text, with
 * the detour over a binary double only where digits would be lost.
 * Pure; any thread.
 */
#ifndef PS_AGENT_RESULT_JS_NUMBER_H
#define PS_AGENT_RESULT_JS_NUMBER_H

#include "common/base.h"

enum {
    PS_JS_NUMBER_MAX = 32 /* longest: -1.2345678901234567e-308 */
};

/*
 * Writes JSON.stringify(parseFloat(text)) and returns its length: "null" for
 * NaN and the infinities, "0" for -0. exact: text is known to have no more
 * digits than needed (PostgreSQL's own float output), so that up to 17 digits
 * are taken as they are.
 */
size_t ps_js_number(struct ps_str text, bool exact, char out[PS_JS_NUMBER_MAX]);

#endif
