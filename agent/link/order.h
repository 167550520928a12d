/*
 * Which numbers of the invalidation log have been applied, and what to do about
 * a gap: the pure half of the link (design section 4 "Across regions").
 *
 *   entry n == applied + 1   apply
 *   entry n <= applied       seen before: ignore
 *   entry n >  applied + 1   gap: fetch after `applied`, ignore the entry (the
 *                            fetch brings it)
 *   tick/heartbeat newest > applied    gap
 *   other epoch              say hello; drop everything; go on from newest
 *
 * One thread; no I/O.
 */
#ifndef PS_AGENT_LINK_ORDER_H
#define PS_AGENT_LINK_ORDER_H

#include "common/base.h"

struct ps_order {
    char epoch[64]; /* "" before the first hello */
    uint64_t applied;
    uint64_t newest; /* greatest number heard of in this epoch */
    bool fetching;
};

enum ps_order_verdict {
    PS_ORDER_APPLY,
    PS_ORDER_SEEN,
    PS_ORDER_GAP,  /* a fetch is needed (and not under way) */
    PS_ORDER_WAIT, /* behind, and a fetch is under way */
    PS_ORDER_EPOCH /* from another epoch */
};

void ps_order_init(struct ps_order *order);
/* After hello. True: all kept answers must be dropped first (first hello or
 * new epoch), then applied is `newest`. False: same epoch, go on. */
bool ps_order_hello(struct ps_order *order, struct ps_str epoch,
                    uint64_t newest);
/* An entry arrived by event or fetch. APPLY counts it as applied: apply it
 * before anything else reads `applied`. */
enum ps_order_verdict ps_order_entry(struct ps_order *order,
                                     struct ps_str epoch, uint64_t number);
/* A tick or heartbeat reply said what is newest. SEEN: nothing is missing. */
enum ps_order_verdict ps_order_newest(struct ps_order *order,
                                      struct ps_str epoch, uint64_t newest);
/* The log no longer had what was missing and everything was dropped. */
void ps_order_reset_to(struct ps_order *order, uint64_t newest);

#endif
