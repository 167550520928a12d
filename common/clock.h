/*
 * Time. Correctness uses the monotonic clock only (hazard 29); wall time is
 * for people. A virtual clock lets the scenario runner move time by hand.
 */
#ifndef PS_COMMON_CLOCK_H
#define PS_COMMON_CLOCK_H

#include "common/base.h"

struct ps_clock; /* shared between threads; reads are atomic */

/* The machine's monotonic clock: static, never freed. */
struct ps_clock *ps_clock_real(void);
/* A clock that stands still until told otherwise; starts at 1,000,000 us. */
struct ps_clock *ps_clock_virtual_new(void);
void ps_clock_virtual_free(struct ps_clock **clock);
void ps_clock_virtual_advance_us(struct ps_clock *clock, uint64_t us);
bool ps_clock_is_virtual(const struct ps_clock *clock);

uint64_t ps_clock_now_us(const struct ps_clock *clock);
static inline uint64_t
ps_clock_now_ms(const struct ps_clock *clock)
{
    return ps_clock_now_us(clock) / 1000;
}
/* Milliseconds since 1970 by the wall clock. */
int64_t ps_wall_ms(void);
/* "2026-11-24T04:16:59.123Z" (RFC 3339); out holds at least 25 bytes. */
void ps_wall_format(int64_t wall_ms, char out[32]);

#endif
