/*
 * The real clock has no state; a virtual one is an atomic number. Which one
 * it is, is fixed at birth.
 */
#include "common/clock.h"

#include "common/check.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    CLOCK_MAGIC = 0x636c6f63,
    VIRTUAL_START_US = 1000000
};

struct ps_clock {
    unsigned magic;
    bool is_virtual;
    _Atomic uint64_t now_us;
};

static struct ps_clock real_clock = {.magic = CLOCK_MAGIC};

struct ps_clock *
ps_clock_real(void)
{
    return &real_clock;
}

struct ps_clock *
ps_clock_virtual_new(void)
{
    struct ps_clock *clock = calloc(1, sizeof(*clock));
    if (!clock)
        return NULL;
    clock->magic = CLOCK_MAGIC;
    clock->is_virtual = true;
    atomic_init(&clock->now_us, VIRTUAL_START_US);
    return clock;
}

void
ps_clock_virtual_free(struct ps_clock **clock)
{
    struct ps_clock *c = *clock;
    if (!c)
        return;
    PS_CHECK_OBJ(c, CLOCK_MAGIC);
    PS_CHECK(c->is_virtual);
    c->magic = 0;
    free(c);
    *clock = NULL;
}

void
ps_clock_virtual_advance_us(struct ps_clock *clock, uint64_t us)
{
    PS_CHECK_OBJ(clock, CLOCK_MAGIC);
    PS_CHECK(clock->is_virtual);
    atomic_fetch_add(&clock->now_us, us);
}

bool
ps_clock_is_virtual(const struct ps_clock *clock)
{
    PS_CHECK_OBJ(clock, CLOCK_MAGIC);
    return clock->is_virtual;
}

uint64_t
ps_clock_now_us(const struct ps_clock *clock)
{
    PS_CHECK_OBJ(clock, CLOCK_MAGIC);
    if (clock->is_virtual)
        return atomic_load(&clock->now_us);
    struct timespec t;
    PS_CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int64_t
ps_wall_ms(void)
{
    struct timespec t;
    PS_CHECK(clock_gettime(CLOCK_REALTIME, &t) == 0);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
ps_wall_format(int64_t wall_ms, char out[32])
{
    int64_t ms = wall_ms % 1000;
    time_t seconds = (time_t)(wall_ms / 1000);
    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    struct tm t;
    /* Years beyond 9999 do not fit RFC 3339 nor the buffer. */
    if (!gmtime_r(&seconds, &t) || t.tm_year > 9999 - 1900 ||
        t.tm_year < -1900) {
        snprintf(out, 32, "0000-00-00T00:00:00.000Z");
        return;
    }
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &t);
    snprintf(out + n, 32 - n, ".%03dZ", (int)ms);
}
