/*
 * One agent without its outside: the real request engine, pool, cache and
 * definitions, between a scripted origin (agent/backend/fake.h) and requests
 * that a script makes. Time is a virtual clock, the loops are turned by hand
 * on one thread, and nothing happens unless the script says so.
 *
 *   script -> requests.c -> engine -> pool -> fake origin <- origin.c <- script
 *                             |-> publisher (world.c): remembers what the
 *                             |   other agents would be told
 *                             `-> catalogue (tables.c): what the script says
 */
#ifndef PS_TESTS_SCENARIO_WORLD_H
#define PS_TESTS_SCENARIO_WORLD_H

#include "agent/backend/fake.h"
#include "agent/req/req.h"
#include "common/list.h"
#include "tests/scenario/script.h"

enum {
    SCN_LOOPS_MAX = 2,
    SCN_CACHES_MAX = 4
};

struct scn_cache {
    char name[32];
    bool defined;
    struct ps_cache_conf *conf; /* a reference */
};

struct scn_world {
    struct ps_clock *clock;
    struct ps_loop *loops[SCN_LOOPS_MAX];
    unsigned n_loops;
    struct ps_fake *fake;
    struct ps_config *config;
    struct ps_lease lease;
    struct ps_publisher publisher;
    struct ps_engine_conf conf;
    struct ps_tally *tally;
    struct ps_engine *engine; /* made by the first command that needs it */
    struct scn_cache caches[SCN_CACHES_MAX];
    uint64_t version; /* of the definitions */
    struct ps_list requests;
    /* The publisher. */
    bool hold_acks;
    struct ps_list published; /* not looked at by the script yet */
    struct ps_list unacked;
    uint64_t writes_open;
    uint64_t lingers_until_ms;
    bool drained;
};

void scn_world_init(struct scn_world *world);
/* Fails when something was left: a request, a write, a connection. */
void scn_world_done(struct scn_world *world, struct scn_line *line);
/* The engine, made now if need be. */
struct ps_engine *scn_engine(struct scn_world *world);
/* Turns all loops until nothing happens at this time. */
void scn_settle(struct scn_world *world);
/* Moves time from one timer to the next. */
void scn_advance_us(struct scn_world *world, uint64_t us);
/* The id of the cache with this name; of none that exists otherwise. */
const char *scn_cache_id(struct scn_world *world, const char *name);

/* ---- commands, by the file that has them ---- */

/* world.c */
void scn_agent(struct scn_world *world, struct scn_line *line);
void scn_cache(struct scn_world *world, struct scn_line *line);
void scn_rule(struct scn_world *world, struct scn_line *line);
void scn_advance(struct scn_world *world, struct scn_line *line);
void scn_lease(struct scn_world *world, struct scn_line *line);
void scn_remote(struct scn_world *world, struct scn_line *line);
void scn_drain(struct scn_world *world, struct scn_line *line);
void scn_publisher(struct scn_world *world, struct scn_line *line);
void scn_ack(struct scn_world *world, struct scn_line *line);
void scn_lingers(struct scn_world *world, struct scn_line *line);
void scn_published(struct scn_world *world, struct scn_line *line);
void scn_expect_agent(struct scn_world *world, struct scn_line *line);
/* origin.c */
void scn_origin(struct scn_world *world, struct scn_line *line);
void scn_on_login(struct scn_world *world, struct scn_line *line);
void scn_on_reset(struct scn_world *world, struct scn_line *line);
void scn_user(struct scn_world *world, struct scn_line *line);
void scn_server(struct scn_world *world, struct scn_line *line);
void scn_expect_origin(struct scn_world *world, struct scn_line *line);
/* requests.c */
void scn_request(struct scn_world *world, struct scn_line *line);
void scn_ask(struct scn_world *world, struct scn_line *line);
void scn_expect(struct scn_world *world, struct scn_line *line);
void scn_abandon(struct scn_world *world, struct scn_line *line);
void scn_requests_done(struct scn_world *world, struct scn_line *line);
/* usage.c */
void scn_usage(struct scn_world *world, struct scn_line *line);
/* tables.c */
void scn_table(struct scn_world *world, struct scn_line *line);
void scn_view(struct scn_world *world, struct scn_line *line);
void scn_catalog(struct scn_world *world, struct scn_line *line);
void scn_tables_done(void);

#endif
