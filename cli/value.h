/*
 * Values as people write them: durations (500ms, 30s, 5m, 1h, 7d, 1h30m),
 * sizes (4096, 64k, 10M, 1G; 1024s), and back. Pure.
 */
#ifndef PS_CLI_VALUE_H
#define PS_CLI_VALUE_H

#include "common/base.h"

enum {
    PS_VALUE_MAX = 64 /* room for any text made here */
};

/* False: not a duration, or too large. A number without a unit is refused,
 * except 0. */
PS_MUST_USE bool ps_value_duration_ms(const char *text, int64_t *ms);
PS_MUST_USE bool ps_value_bytes(const char *text, int64_t *bytes);
/* A decimal integer, nothing else around it. */
PS_MUST_USE bool ps_value_int(const char *text, int64_t *value);
/* on/off, yes/no, true/false. */
PS_MUST_USE bool ps_value_bool(const char *text, bool *value);

/* The shortest exact text: "90s", "1h", "1500ms". */
void ps_value_format_duration(int64_t ms, char out[PS_VALUE_MAX]);
void ps_value_format_bytes(int64_t bytes, char out[PS_VALUE_MAX]);
/* Milliseconds with a precision that suits: "0.21", "12.3", "1234". */
void ps_value_format_ms(uint64_t us, char out[PS_VALUE_MAX]);
/* The shortest text that reads back as the same number. */
void ps_value_format_real(double value, char out[PS_VALUE_MAX]);
/* "2026-11-24T04:16:59.123Z" as "2026-11-24 04:16:59"; "-" for NULL. */
void ps_value_format_time(const char *rfc3339, char out[PS_VALUE_MAX]);

#endif
