/*
 * What the contract tests stand on: one loop, one driver, and calls that wait
 * for their end. The same test runs on the fake driver and a virtual clock,
 * and on real servers (with_postgres, with_tds) and real time.
 */
#ifndef PS_TESTS_CONTRACT_RIG_H
#define PS_TESTS_CONTRACT_RIG_H

#include "agent/backend/backend.h"
#include "agent/backend/fake.h"
#include "tests/contract/dialects.h"

struct rig {
    const struct dialect *dialect;
    struct ps_clock *clock;
    unsigned slow; /* its seconds are so long; a real server's test only */
    uint64_t began_us, born_us; /* of the machine's clock, and of this one */
    struct ps_loop *loop;
    struct ps_resolver *resolver;
    struct ps_fake *fake; /* NULL: a real server */
    const struct ps_driver *driver;
    struct ps_cache_conf *conf;
    uint16_t port; /* the server's; conf->port may lead elsewhere */
    bool done;
    /* of the last operation */
    enum ps_rc rc;
    struct ps_err err;
    struct ps_outcome outcome;
};

/* The server of the dialect, as the environment says. */
void rig_init(struct rig *rig, const struct dialect *dialect);
void rig_done(struct rig *rig);
/* A port of loopback where nobody listens. */
uint16_t rig_unused_port(void);
/* Turns the loop until rig->done. */
void rig_wait(struct rig *rig);
/* Ends that; from a callback. */
void rig_finish(struct rig *rig);
/* Turns it for a while, so that what is pending comes in. */
void rig_linger(struct rig *rig, uint64_t ms);

struct ps_login rig_login(void);
/* Waits; rig->rc, rig->err. The connection also when it failed. */
struct ps_conn *rig_open_as(struct rig *rig, struct ps_login login);
struct ps_conn *rig_open(struct rig *rig);
/* Waits; rig->outcome. sink may be NULL. */
void rig_run(struct rig *rig, struct ps_conn *conn,
             const struct ps_statement *statement, struct ps_sink *sink);
/* A read with 10 s; the rows as JSON text (free()), NULL on error. */
char *rig_json(struct rig *rig, struct ps_conn *conn, const char *sql);
enum ps_rc rig_reset(struct rig *rig, struct ps_conn *conn);
/* The callback to give to ps_conn_execute when not waiting at once. */
void rig_on_outcome(void *rig, const struct ps_outcome *outcome);

#endif
