/*
 * The ordered log of invalidations: entries numbered 1, 2, 3 ... without a
 * gap, the newest of them held in a ring that is bounded by entries and by
 * bytes. What has left the ring can no longer be fetched; the agent that
 * wants it drops everything instead.
 *
 * Pure: no clock, no I/O, one thread.
 */
#ifndef PS_CONTROLPLANE_FLEET_LOG_H
#define PS_CONTROLPLANE_FLEET_LOG_H

#include "common/err.h"
#include "proto/portside.pb-c.h"

struct ps_ilog;

enum {
    /* A larger invalidation is made coarser: the whole database, cache, or
     * everything. One message holds any entry then. */
    PS_ILOG_ENTRY_MAX = 256 << 10
};

struct ps_ilog *ps_ilog_new(size_t max_entries, size_t max_bytes);
void ps_ilog_free(struct ps_ilog **log);

/* Number of the newest entry; 0 before the first. */
uint64_t ps_ilog_newest(const struct ps_ilog *log);
/* Number of the oldest entry still held; newest + 1 when none is. */
uint64_t ps_ilog_oldest(const struct ps_ilog *log);
/* Bytes held, the ring's own included. */
size_t ps_ilog_bytes(const struct ps_ilog *log);

struct ps_ilog_batch {
    const char *agent_id; /* who wrote; "": the control plane */
    Portside__Invalidation *const *items;
    size_t count; /* at least 1 */
    bool ack_wanted;
    const Portside__Purge *purge; /* of a batch of one; or NULL */
};
/* Appends all or (PS_NO_MEMORY) none. *first gets the first one's number. */
PS_MUST_USE enum ps_rc ps_ilog_append(struct ps_ilog *log,
                                      const struct ps_ilog_batch *batch,
                                      uint64_t *first);
/* A packed Portside__LogEntry; { NULL, 0 } when it is not held. Valid until
 * the next append. */
struct ps_str ps_ilog_get(const struct ps_ilog *log, uint64_t number);

#endif
