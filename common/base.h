/*
 * The few words every file uses: byte views, must-use, sizes.
 *
 * struct ps_str is a view of bytes that somebody else owns. It may hold any
 * byte, NUL included, and is not terminated; { NULL, 0 } is "absent" where a
 * comment says that absence is possible, otherwise the empty string.
 */
#ifndef PS_COMMON_BASE_H
#define PS_COMMON_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PS_MUST_USE           __attribute__((warn_unused_result))
#define PS_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define PS_UNUSED             __attribute__((unused))
#define PS_LIKELY(x)          __builtin_expect(!!(x), 1)
#define PS_UNLIKELY(x)        __builtin_expect(!!(x), 0)
#define PS_ARRAY_LEN(a)       (sizeof(a) / sizeof((a)[0]))
#define PS_MIN(a, b)          ((a) < (b) ? (a) : (b))
#define PS_MAX(a, b)          ((a) > (b) ? (a) : (b))
#define PS_CONTAINER_OF(ptr, type, member) \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

struct ps_str {
    const char *ptr;
    size_t len;
};

#define PS_STR(literal) \
    ((struct ps_str){.ptr = (literal), .len = sizeof(literal) - 1})
#define PS_STR_NONE ((struct ps_str){.ptr = NULL, .len = 0})
/* For printf's "%.*s". */
#define PS_STR_ARG(s) (int)(s).len, (s).ptr

static inline struct ps_str
ps_str_of(const char *text)
{
    return (struct ps_str){.ptr = text, .len = text ? strlen(text) : 0};
}

static inline bool
ps_str_eq(struct ps_str a, struct ps_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Bytes equal with ASCII letters folded; nothing else is folded. */
bool ps_str_eq_nocase(struct ps_str a, struct ps_str b);
/* The bytes and a NUL behind them; "" for an absent one. The caller frees it;
 * NULL without memory. */
char *ps_str_dup(struct ps_str s);

#endif
