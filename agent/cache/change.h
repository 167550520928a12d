/*
 * What a write changed, as it is applied here and told to the other agents:
 * tables named as the origin's catalogue names them (hidden dependencies
 * already expanded by the writer's agent).
 */
#ifndef PS_AGENT_CACHE_CHANGE_H
#define PS_AGENT_CACHE_CHANGE_H

#include "common/base.h"
#include "common/err.h"

struct ps_table_name {
    struct ps_str schema, name;
};

struct ps_change {
    struct ps_str cache_id; /* absent: every cache */
    struct ps_str database; /* absent: every database of the cache */
    const struct ps_table_name *tables;
    size_t n_tables; /* 0: every table */
    bool catalog;    /* structure or rights changed: read it again */
};

/*
 * The way out to the other agents. Declared here, implemented by the link;
 * the scenario runner and an agent without a control plane have their own.
 * Any thread.
 */
struct ps_publish_wait {
    /* Runs once, on any thread: every agent with a live lease has applied
     * the change or lost its lease, or (rc != PS_OK) the wait was given up
     * by the publisher's own time limit. */
    void (*fn)(struct ps_publish_wait *wait, enum ps_rc rc);
};
struct ps_publisher {
    void *arg;
    /* change is copied. The change is told in any case, again and again until
     * the control plane has it; wait (may be NULL) is for
     * write_ack = global. */
    void (*publish)(void *arg, const struct ps_change *change,
                    struct ps_publish_wait *wait);
    /* A write is about to be sent / its outcome is published: lets a clean
     * shutdown know that nothing is in flight. */
    void (*write_began)(void *arg);
    void (*write_ended)(void *arg);
};

#endif
