/*
 * Transactions that span requests: a connection that is kept between them, with
 * what its statements have changed so far.
 *
 *   BEGIN    DECIDE makes it --EXECUTE--> open? --LEAVE--> parked, idle timer
 *   later    SESSION takes it ..................... LEAVE--> parked again
 *   COMMIT   window for all it changed, JUDGE: no longer open -> released
 *   idle     rolled back by the reset; what it changed is told all the same
 *
 * A principal may keep half of its pool's connections so, and never the last:
 * statements outside of transactions always find one. A session lives on its
 * principal's home loop; nothing of it is shared.
 */
#ifndef PS_AGENT_REQ_SESSION_H
#define PS_AGENT_REQ_SESSION_H

#include "agent/cache/change_set.h"
#include "agent/req/req_private.h"

enum {
    PS_SESSION_IDLE_MS = 10000
};

struct ps_session {
    struct ps_link link; /* in its worker's list, once it is open */
    unsigned char id[PS_SESSION_ID_BYTES];
    struct ps_worker *worker;
    struct ps_principal *principal; /* reference */
    struct ps_cache_conf *conf;     /* reference: as it was opened under */
    struct ps_conn *conn;           /* NULL: a run has it, or it is over */
    struct ps_timer timer;
    struct ps_change_set changes;
    bool batch;
    bool busy; /* a run has it */
};

/* In DECIDE: the statement opens one. Fails the run when there may be no more
 * of them. */
enum ps_next ps_session_begin(struct ps_run *run);
/* In DECIDE, within one: what the statement does to it. run->statement's
 * may_write and run->change are what the catalogue says. */
enum ps_next ps_session_decide(struct ps_run *run);
/* The statement was sent and may be what ended it. In JUDGE: true when the
 * transaction is open now and its connection kept. */
bool ps_session_goes_on(struct ps_run *run);
/* In LEAVE: parks it, or lets go of it. */
void ps_session_leave(struct ps_run *run);
/* Rolls back those that no run has; busy ones follow in LEAVE. */
void ps_session_end_all(struct ps_worker *worker);

#endif
