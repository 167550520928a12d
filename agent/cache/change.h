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

/* Does a person mean this table by key ("name" or "schema.name", in any
 * letters)? */
bool ps_table_named(const struct ps_table_name *table, struct ps_str key);

/*
 * Some rows of a table, told by the values of columns. A value is the 16-bit
 * digest of a typed one (ps_row_digest_*), the same on every agent: enough to
 * tell rows apart most of the time, too little to tell what they hold.
 */
struct ps_row_column {
    struct ps_str name;
    const uint16_t *values;
    size_t n_values;
};
struct ps_row_set {
    /*
     * Read: each column alone pins the rows (`c IN values`), so that any one
     * of them will do; the first is the likeliest to be best. Write: whatever
     * row changes has one of these values in that column, before and after;
     * of a column not named nothing is known. None: any row.
     */
    const struct ps_row_column *columns;
    size_t n_columns;
};

struct ps_change {
    struct ps_str cache_id; /* absent: every cache */
    struct ps_str database; /* absent: every database of the cache */
    const struct ps_table_name *tables;
    size_t n_tables;               /* 0: every table */
    const struct ps_row_set *rows; /* one for each table, or NULL: any row */
    bool catalog; /* structure or rights changed: read it again */
};

/* All of it in one piece of memory, for free(). NULL without memory. */
struct ps_change *ps_change_copy(const struct ps_change *change);

/* Digests of values that are equal if and only if the origin finds them equal
 * (integers of any width, uuid, boolean). */
uint16_t ps_row_digest_int(int64_t value);
uint16_t ps_row_digest_uuid(const unsigned char bytes[16]);
uint16_t ps_row_digest_bool(bool value);

/*
 * The way out to the other agents. Declared here, implemented by the link;
 * the scenario runner and an agent without a control plane have their own.
 * Any thread.
 */
/* A place in the control plane's ordered log: everything up to it. */
struct ps_log_position {
    char epoch[64]; /* of the log; "": none */
    uint64_t number;
};
struct ps_publish_wait {
    /* in: do not wait for other agents, only until the control plane has given
     * the change its place in the log. */
    bool logged;
    /* out, with PS_OK: that place. */
    struct ps_log_position position;
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
    /* Up to where this agent has applied the log; false: nowhere, or it does
     * not know. NULL: there is no log. */
    bool (*position)(void *arg, struct ps_log_position *out);
    /* A write is about to be sent / its outcome is published: lets a clean
     * shutdown know that nothing is in flight. */
    void (*write_began)(void *arg);
    void (*write_ended)(void *arg);
    /* The outcome of a write is not known, and it may take effect within the
     * next for_ms: if this agent says goodbye before, it says so. */
    void (*write_lingers)(void *arg, uint64_t for_ms);
};

#endif
