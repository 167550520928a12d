/*
 * Several statements in one request, as one transaction: they run one after
 * the other on one connection, and the reply has the results of all or the
 * error of the first that failed.
 *
 *   accept -> BEGIN -> statement 0 -> ... -> statement n-1 -> COMMIT -> reply
 *                          | failed, too large, client gone
 *                          +-------------------------------> ROLLBACK -> error
 *
 * Each is a request of its own to the engine, within one session (req.h), so
 * that nothing is decided here about what is cached or invalidated.
 */
#ifndef PS_AGENT_FRONT_BATCH_H
#define PS_AGENT_FRONT_BATCH_H

#include "agent/req/req.h"
#include "common/buf.h"

struct ps_exchange;

enum {
    PS_BATCH_MAX = 10000 /* statements */
};

enum ps_isolation {
    PS_ISOLATION_DEFAULT,
    PS_ISOLATION_READ_UNCOMMITTED,
    PS_ISOLATION_READ_COMMITTED,
    PS_ISOLATION_REPEATABLE_READ,
    PS_ISOLATION_SERIALIZABLE
};
struct ps_batch_mode {
    enum ps_isolation isolation;
    bool read_only, deferrable; /* deferrable: PostgreSQL */
};
/* "SERIALIZABLE" and its like; "" for the default. */
const char *ps_isolation_sql(enum ps_isolation isolation);

/* The statement that chooses it for the next transaction; absent for the
 * default. */
struct ps_str ps_isolation_prelude(enum ps_isolation isolation);

struct ps_batch;

/*
 * For accept: x->request.req has cache, credentials and provider; afterwards
 * it is the request for BEGIN. fill sets protocol, sql and what prepare needs
 * of statement i; false: without memory. close: what each result ends with
 * beside the engine's bytes. NULL: no memory.
 */
struct ps_batch *ps_batch_new(struct ps_exchange *x, size_t n,
                              const struct ps_batch_mode *mode,
                              bool (*fill)(struct ps_exchange *x, size_t i),
                              const char *close);
void ps_batch_free(struct ps_batch **batch);
/*
 * The engine is done with one of the requests. True: the next one is under
 * way. False: it was the last; x->request.req.reply is that of the batch, its
 * body all results with commas between them.
 */
bool ps_batch_next(struct ps_exchange *x);
/* How many results the body has. */
size_t ps_batch_count(const struct ps_batch *batch);

#endif
