/*
 * Writes whose outcome is not known. The connection was lost; the server may
 * go on with the statement and commit it later. Until that can no longer happen
 * the write's window stays open, so that nothing it may change is served or
 * kept here (C1), and it is told again every PS_LINGER_TELL_MS and once more
 * at the end, so that no other agent keeps what it read in between (C3).
 *
 *   connection lost              told  told  told   window closes, told
 *   |---- statement's time limit --------|- margin -|
 *
 * Where the agent is shut down meanwhile its goodbye says how long this would
 * have gone on, and the control plane goes on in its place; where it dies, the
 * control plane does so for the longest time limit there is (C3).
 *
 * Bounded: past PS_LINGER_MAX of them one stands for a whole database, past as
 * many of these one for everything. Nothing is ever forgotten. One of these per
 * worker, on its loop.
 *
 * Left out: a server that goes on for longer than the time limit (say, waits
 * for a lock): agent/req/README.md.
 */
#ifndef PS_AGENT_REQ_LINGER_H
#define PS_AGENT_REQ_LINGER_H

#include "agent/cache/change.h"
#include "agent/cache/spaces.h"
#include "common/io/loop.h"
#include "common/list.h"

enum {
    PS_LINGER_MAX = 64,
    PS_LINGER_TELL_MS = 500,
    /* On top of the time limit: what passes between the origin's clock and
     * ours, and until a cancelled statement is off the server. */
    PS_LINGER_MARGIN_MS = 5000
};

/* One write, or what stands for several. */
struct ps_linger {
    struct ps_link link;
    struct ps_write write;
    struct ps_change *change; /* owned */
    uint64_t until_ms, tell_ms;
};

struct ps_lingers {
    struct ps_loop *loop;
    struct ps_spaces *spaces;
    const struct ps_publisher *publisher;
    struct ps_timer timer;
    struct ps_list narrow, wide;
    struct ps_linger everything; /* needs no memory */
    struct ps_change everywhere;
};

void ps_lingers_init(struct ps_lingers *lingers, struct ps_loop *loop,
                     struct ps_spaces *spaces,
                     const struct ps_publisher *publisher);
/* Closes all windows and tells nobody: the loop no longer runs. */
void ps_lingers_done(struct ps_lingers *lingers);
/*
 * Takes over the window of a write (write->open is false afterwards) that
 * may still take effect within limit_ms, its statement's time limit. change is
 * copied. That it is told now is left to the caller.
 */
void ps_lingers_add(struct ps_lingers *lingers, struct ps_write *write,
                    const struct ps_change *change, uint64_t limit_ms);
/* How many there are. */
size_t ps_lingers_count(const struct ps_lingers *lingers);

#endif
