/*
 * One line per event on standard error: time, level, part, text. Thread safe.
 * Never a literal, binding, row or password (contract C6): log templates,
 * ids, counts and codes.
 */
#ifndef PS_COMMON_LOG_H
#define PS_COMMON_LOG_H

#include "common/base.h"

enum ps_log_level {
    PS_LOG_DEBUG,
    PS_LOG_INFO,
    PS_LOG_WARN,
    PS_LOG_ERROR,
    PS_LOG_OFF
};

void ps_log_set_level(enum ps_log_level level);
enum ps_log_level ps_log_level(void);
/* "debug", "info", "warn", "error", "off"; false if it is none of them. */
bool ps_log_parse_level(struct ps_str name, enum ps_log_level *level);
/* part is a short static word: "front", "pool", "link". */
void ps_log(enum ps_log_level level, const char *part, const char *fmt, ...)
    PS_PRINTF(3, 4);

#define ps_debug(part, ...) ps_log(PS_LOG_DEBUG, part, __VA_ARGS__)
#define ps_info(part, ...)  ps_log(PS_LOG_INFO, part, __VA_ARGS__)
#define ps_warn(part, ...)  ps_log(PS_LOG_WARN, part, __VA_ARGS__)
#define ps_error(part, ...) ps_log(PS_LOG_ERROR, part, __VA_ARGS__)

#endif
