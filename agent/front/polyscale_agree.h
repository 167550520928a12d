/*
 * The promise between the two readers of a body, checked on one body: where
 * the scanner accepts, jansson accepts too and reads the same. For the test
 * and the fuzzer.
 */
#ifndef PS_AGENT_FRONT_POLYSCALE_AGREE_H
#define PS_AGENT_FRONT_POLYSCALE_AGREE_H

#include "common/base.h"

/* NULL, or what they disagree about. body must be valid UTF-8. */
const char *ps_polyscale_agree(struct ps_str body);

#endif
