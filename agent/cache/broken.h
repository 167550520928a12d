/*
 * Faults for the test of the tests (tests/e2e/consistency/mutants.mjs): each
 * removes one of the things that keep answers right, and the consistency
 * harness must notice. Compiled in by -DPS_BREAK=NAME only, which release
 * builds refuse; otherwise PS_BROKEN(NAME) is false and costs nothing.
 */
#ifndef PS_AGENT_CACHE_BROKEN_H
#define PS_AGENT_CACHE_BROKEN_H

#include <stdbool.h>

enum ps_broken {
    PS_BROKEN_first_bump,  /* a write's begin leaves no trace */
    PS_BROKEN_second_bump, /* its window closes as soon as it has begun */
    PS_BROKEN_late_stamps, /* stamps are taken after the query */
    PS_BROKEN_lease_check, /* the lease is always held */
    PS_BROKEN_gap_check,   /* numbers of the log are not missed */
    PS_BROKEN_lost_write   /* an unknown outcome ends a write's window */
};

#ifdef PS_BREAK
#    define PS_BROKEN_CAT(name) PS_BROKEN_##name
#    define PS_BROKEN_IS(name)  PS_BROKEN_CAT(name)
#    define PS_BROKEN(name)     (PS_BROKEN_IS(PS_BREAK) == PS_BROKEN_##name)
#else
#    define PS_BROKEN(name) false
#endif

#endif
