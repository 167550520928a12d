/*
 * One line per event on standard error: time, level, part, text; as text or as
 * one JSON object. Each part has a level of its own, which can be changed while
 * the program runs. Thread safe. Never a literal, binding, row or password
 * (contract C6): log templates, ids, counts and codes.
 */
#ifndef PS_COMMON_LOG_H
#define PS_COMMON_LOG_H

#include "common/buf.h"
#include "common/err.h"

#include <stdatomic.h>

enum ps_log_level {
    PS_LOG_DEBUG,
    PS_LOG_INFO,
    PS_LOG_WARN,
    PS_LOG_ERROR,
    PS_LOG_OFF
};

/* X(name): parts that can have a level of their own. */
#define PS_LOG_PART_TABLE(X) \
    X(admin)                 \
    X(agent)                 \
    X(api)                   \
    X(backend)               \
    X(bus)                   \
    X(ca)                    \
    X(catalog)               \
    X(fleet)                 \
    X(front)                 \
    X(link)                  \
    X(loop)                  \
    X(main)                  \
    X(pool)                  \
    X(req)                   \
    X(rollup)                \
    X(store)                 \
    X(trace)

enum ps_log_format {
    PS_LOG_TEXT,
    PS_LOG_JSON
};
void ps_log_set_format(enum ps_log_format format);
/* "text", "json"; false if it is none of them. */
bool ps_log_parse_format(struct ps_str name, enum ps_log_format *format);

/* Of every part. */
void ps_log_set_level(enum ps_log_level level);
/* Of what has no level of its own. */
enum ps_log_level ps_log_level(void);
/* "debug", "info", "warn", "error", "off"; false if it is none of them. */
bool ps_log_parse_level(struct ps_str name, enum ps_log_level *level);
/*
 * Levels as one text: "warn" for all, "info,link=debug,pool=error" for all and
 * then for some. PS_BAD_FIELD says what would be right; nothing is changed
 * then. check only looks.
 */
PS_MUST_USE enum ps_rc ps_log_set_levels(struct ps_str levels,
                                         struct ps_err *err);
PS_MUST_USE enum ps_rc ps_log_check_levels(struct ps_str levels,
                                           struct ps_err *err);
/* Appends them as they are now, in the same form. */
void ps_log_show_levels(struct ps_buf *out);

/* The lowest of all: what is below it is logged nowhere. One load. */
extern _Atomic int ps_log_lowest;
/* Is it worth making the text? */
bool ps_log_wants(enum ps_log_level level, const char *part);

/* part is a short static word: "front", "pool", "link". */
void ps_log(enum ps_log_level level, const char *part, const char *fmt, ...)
    PS_PRINTF(3, 4);

/* The same about a request that has a trace (W3C: 32 hexadecimal digits; "":
 * none): a member of its own in JSON. */
void ps_log_traced(enum ps_log_level level, const char *part,
                   const char *trace_id, const char *fmt, ...) PS_PRINTF(4, 5);

#define ps_debug(part, ...) ps_log(PS_LOG_DEBUG, part, __VA_ARGS__)
#define ps_info(part, ...)  ps_log(PS_LOG_INFO, part, __VA_ARGS__)
#define ps_warn(part, ...)  ps_log(PS_LOG_WARN, part, __VA_ARGS__)
#define ps_error(part, ...) ps_log(PS_LOG_ERROR, part, __VA_ARGS__)

#endif
