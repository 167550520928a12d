/*
 * The agent's life:
 *
 *   state -> config, lease, uplink -> engine -> fronts -> threads -> "ready"
 *   signal -> fronts drain -> engine drains -> all changes told -> goodbye
 *          -> loops stop -> everything is freed in the opposite order
 *
 * Threads: one per loop, one for the link; this one waits for signals.
 */
#include "agent/run.h"

#include "agent/alive.h"
#include "agent/drain.h"
#include "agent/explain.h"
#include "agent/front/front.h"
#include "agent/link/uplink.h"
#include "agent/metrics.h"
#include "agent/telemetry/collector.h"
#include "common/credential.h"
#include "common/file.h"
#include "common/io/admin.h"
#include "common/io/notify.h"
#include "common/log.h"
#include "common/tls.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    PEM_MAX = 1 << 20,
    PATH_BYTES = 4096,
    GOODBYE_TIMEOUT_MS = 3000,
    REPLY_BATCH = 32,
    EXIT_REVOKED = 3
};

struct agent {
    const struct ps_agent_settings *settings;
    struct ps_agent_state state;
    struct ps_config *config;
    struct ps_lease lease;
    struct ps_loop *link_loop;
    struct ps_tracer *tracer;
    struct ps_tally *tally;
    struct ps_collector *collector;
    struct ps_collect_wait scrape; /* an admin who waits for fresh figures */
    struct ps_admin *admin;
    struct ps_uplink *uplink;
    struct ps_engine *engine;
    unsigned n_loops;
    struct ps_loop **loops;
    struct ps_front **fronts;
    struct ps_thread **threads;
    struct ps_thread *link_thread;
    struct ps_alive *alive;
    struct ps_drain *drain;
    struct ssl_ctx_st *tls;
    char endpoint[512];
    _Atomic bool draining, revoked;
    sem_t step;
};

/* ---------------------------------------------------------------- hooks */

static size_t
on_heartbeat(void *arg, struct ps_breaker_state *out, size_t room)
{
    struct agent *a = arg;
    return ps_engine_breakers(a->engine, false, out, room);
}

static void
on_apply(void *arg, const struct ps_change *change)
{
    struct agent *a = arg;
    ps_engine_apply(a->engine, change);
}

static void
on_purge(void *arg, const struct ps_purge *purge, struct ps_purged *out)
{
    struct agent *a = arg;
    ps_engine_purge(a->engine, purge, out);
}

static void
on_explain(void *arg, const struct ps_uplink_explain *ask, struct ps_buf *out)
{
    struct agent *a = arg;
    ps_agent_explain(a->engine, a->config, ask, out);
}

static void
on_reconfigured(void *arg)
{
    struct agent *a = arg;
    ps_engine_reconfigured(a->engine);
}

static void
on_switched_off(void *arg, const char *cache_id, uint64_t fingerprint,
                uint32_t n_stale, uint32_t n_verified)
{
    struct agent *a = arg;
    struct ps_uplink_notice notice = {.kind = PS_NOTICE_TEMPLATE_OFF,
                                      .template_id = fingerprint,
                                      .amount = n_stale,
                                      .of = n_verified};
    snprintf(notice.cache_id, sizeof(notice.cache_id), "%s", cache_id);
    ps_uplink_notice(a->uplink, &notice);
}

static void
on_drain(void *arg, bool wanted)
{
    struct agent *a = arg;
    ps_drain_want(a->drain, wanted);
}

static unsigned
on_drained(void *arg, uint64_t *busy)
{
    struct agent *a = arg;
    *busy = ps_drain_busy(a->drain);
    return (unsigned)ps_drain_state(a->drain);
}

static void
on_revoked(void *arg)
{
    struct agent *a = arg;
    a->revoked = true;
    kill(getpid(), SIGTERM);
}

static const char *
why_not_ready(void *arg)
{
    struct agent *a = arg;
    if (a->draining)
        return "this agent is shutting down";
    if (a->drain && ps_drain_state(a->drain) != PS_DRAIN_NO)
        return "this agent is draining (see `psctl agent list`)";
    return ps_uplink_trouble(a->uplink);
}

static void
on_step(void *arg)
{
    struct agent *a = arg;
    sem_post(&a->step);
}

static void
run_loop(void *arg)
{
    ps_loop_run(arg);
}

static void
on_round(void *arg, unsigned index)
{
    struct agent *a = arg;
    ps_engine_sample(a->engine, index);
}

/* On the link's thread, as the admin listener. */
static void
on_scraped(struct ps_collect_wait *wait)
{
    struct agent *a = PS_CONTAINER_OF(wait, struct agent, scrape);
    ps_admin_fresh(a->admin);
}

static bool
refresh_metrics(void *arg)
{
    struct agent *a = arg;
    if (!a->collector)
        return false;
    a->scrape.fn = on_scraped;
    ps_collector_collect(a->collector, &a->scrape);
    return true;
}

static void
write_metrics(void *arg, struct ps_metrics *m)
{
    struct agent *a = arg;
    const struct ps_agent_metrics from = {.engine = a->engine,
                                          .config = a->config,
                                          .lease = &a->lease,
                                          .uplink = a->uplink,
                                          .tally = a->tally,
                                          .tracer = a->tracer,
                                          .n_loops = a->n_loops};
    ps_agent_metrics_write(&from, m);
}

/* ---------------------------------------------------------------- start */

/* Settings of the environment must not reach libpq. */
static void
clean_environment(void)
{
    static const char *const names[] = {"PGHOST",
                                        "PGHOSTADDR",
                                        "PGPORT",
                                        "PGDATABASE",
                                        "PGUSER",
                                        "PGPASSWORD",
                                        "PGPASSFILE",
                                        "PGSERVICE",
                                        "PGSERVICEFILE",
                                        "PGOPTIONS",
                                        "PGAPPNAME",
                                        "PGSSLMODE",
                                        "PGSSLCERT",
                                        "PGSSLKEY",
                                        "PGSSLROOTCERT",
                                        "PGSSLCRL",
                                        "PGCLIENTENCODING",
                                        "PGDATESTYLE",
                                        "PGTZ",
                                        "PGGEQO",
                                        "PGREQUIREPEER",
                                        "PGCHANNELBINDING",
                                        "PGGSSENCMODE",
                                        "PGKRBSRVNAME",
                                        "PGTARGETSESSIONATTRS",
                                        "PGCONNECT_TIMEOUT",
                                        "PGSYSCONFDIR"};
    for (size_t i = 0; i < PS_ARRAY_LEN(names); i++)
        unsetenv(names[i]);
}

/* One descriptor per client and origin connection: as many as allowed. */
static void
raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            ps_warn("agent", "descriptor limit stays at its soft value");
    }
}

static unsigned
loops_wanted(const struct ps_agent_settings *s)
{
    if (s->loops > 0)
        return (unsigned)s->loops;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (unsigned)PS_MIN(cores, 256) : 1;
}

static enum ps_rc
make_loops(struct agent *a, struct ps_err *err)
{
    a->n_loops = loops_wanted(a->settings);
    a->loops = calloc(a->n_loops, sizeof(*a->loops));
    a->fronts = calloc(a->n_loops, sizeof(*a->fronts));
    a->threads = calloc(a->n_loops, sizeof(*a->threads));
    a->link_loop = ps_loop_new(ps_clock_real(), "link");
    if (!a->loops || !a->fronts || !a->threads || !a->link_loop)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    for (unsigned i = 0; i < a->n_loops; i++) {
        a->loops[i] = ps_loop_new(ps_clock_real(), "front");
        if (!a->loops[i])
            return ps_err_set(err, PS_NO_MEMORY, NULL);
    }
    a->alive = ps_alive_new(a->loops, a->n_loops);
    return a->alive ? PS_OK : ps_err_set(err, PS_NO_MEMORY, NULL);
}

/* Nothing is made where nothing is to be counted. */
static bool
make_telemetry(struct agent *a)
{
    const struct ps_agent_settings *s = a->settings;
    if (s->telemetry_ms == 0)
        return true;
    a->tally = ps_tally_new((size_t)s->telemetry_templates, a->n_loops);
    if (a->tally)
        a->collector =
            ps_collector_new(a->tally, a->link_loop, a->loops, a->n_loops);
    return a->collector != NULL;
}

static enum ps_rc
make_tracer(struct agent *a, struct ps_err *err)
{
    const struct ps_tracer_conf conf = {
        .endpoint = a->settings->otlp_endpoint,
        .sample_permille = (unsigned)a->settings->trace_permille,
        .instance = a->state.agent_name};
    if (!conf.endpoint || !conf.endpoint[0])
        return PS_OK;
    return ps_tracer_new(&a->tracer, &conf, err);
}

static enum ps_rc
make_core(struct agent *a, struct ps_err *err)
{
    const struct ps_agent_settings *s = a->settings;
    ps_lease_init(&a->lease);
    a->config = ps_config_new();
    if (!a->config || !make_telemetry(a))
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    const struct ps_uplink_conf link = {
        .loop = a->link_loop,
        .state = &a->state,
        .config = a->config,
        .lease = &a->lease,
        .probe_timeout_ms = (uint64_t)s->probe_timeout_ms,
        .collector = a->collector,
        .telemetry_ms = (uint64_t)s->telemetry_ms,
        .apply = on_apply,
        .purge = on_purge,
        .explain = on_explain,
        .reconfigured = on_reconfigured,
        .breakers = on_heartbeat,
        .drain = on_drain,
        .drained = on_drained,
        .revoked = on_revoked,
        .arg = a};
    enum ps_rc rc = ps_uplink_new(&a->uplink, &link, err);
    if (rc != PS_OK)
        return rc;
    const struct ps_engine_conf engine = {
        .clock = ps_clock_real(),
        .loops = a->loops,
        .n_loops = a->n_loops,
        .config = a->config,
        .lease = &a->lease,
        .publisher = ps_uplink_publisher(a->uplink),
        .find_driver = ps_driver_find,
        .memory_bytes = (uint64_t)s->memory_bytes,
        .max_reply_bytes = (uint64_t)s->max_reply_bytes,
        .verified_ms = (uint64_t)s->login_cache_ms,
        .stream_wait_ms = (uint64_t)s->stream_wait_ms,
        .transaction_idle_ms = (uint64_t)s->transaction_ms,
        .verify_every = (unsigned)s->verify_every,
        .refresh_percent = (unsigned)s->refresh_percent,
        .stale_permille = (unsigned)s->stale_permille,
        .max_principals = (size_t)s->max_principals,
        .max_waiters = (unsigned)s->max_waiters,
        .switched_off = on_switched_off,
        .arg = a,
        .tracer = a->tracer,
        .tally = a->tally};
    a->engine = ps_engine_new(&engine);
    if (a->engine && a->collector)
        ps_collector_on_loop(a->collector, on_round, a);
    return a->engine ? PS_OK : ps_err_set(err, PS_NO_MEMORY, NULL);
}

static enum ps_rc
start_admin(struct agent *a, struct ps_err *err)
{
    const struct ps_admin_conf conf = {.loop = a->link_loop,
                                       .address = a->settings->listen_admin,
                                       .refresh = refresh_metrics,
                                       .metrics = write_metrics,
                                       .trouble = why_not_ready,
                                       .arg = a};
    if (!conf.address || !conf.address[0])
        return PS_OK;
    return ps_admin_start(&a->admin, &conf, err);
}

static enum ps_rc
load_tls(struct agent *a, struct ps_err *err)
{
    const struct ps_agent_settings *s = a->settings;
    char *cert = NULL, *key = NULL, path[PATH_BYTES];
    size_t n = 0;
    if (!s->listen_tls || !s->listen_tls[0])
        return PS_OK;
    enum ps_rc rc =
        ps_file_read(ps_credential_path(s->tls_cert, path, sizeof(path)),
                     PEM_MAX, &cert, &n, err);
    if (rc == PS_OK)
        rc = ps_file_read(ps_credential_path(s->tls_key, path, sizeof(path)),
                          PEM_MAX, &key, &n, err);
    if (rc == PS_OK)
        rc = ps_tls_server_ctx(cert, key, &a->tls, err);
    free(cert);
    free(key);
    return rc;
}

/* "host:port" with the port replaced by the one really bound. */
static void
with_port(const char *address, int port, char *out, size_t size)
{
    const char *colon = strrchr(address, ':');
    int host = colon ? (int)(colon - address) : (int)strlen(address);
    snprintf(out, size, "%.*s:%d", host, address, port);
}

static enum ps_rc
start_fronts(struct agent *a, struct ps_err *err)
{
    const struct ps_agent_settings *s = a->settings;
    char http[256] = "", https[256] = "";
    bool plain = s->listen && s->listen[0], tls = a->tls != NULL;
    if (plain)
        snprintf(http, sizeof(http), "%s", s->listen);
    if (tls)
        snprintf(https, sizeof(https), "%s", s->listen_tls);
    for (unsigned i = 0; i < a->n_loops; i++) {
        const struct ps_front_conf conf = {
            .loop = a->loops[i],
            .loop_index = i,
            .engine = a->engine,
            .reply_batch = REPLY_BATCH,
            .limits = {.max_head_bytes = 16 << 10,
                       .max_body_bytes = (size_t)s->max_body_bytes,
                       .max_buffered_bytes = (size_t)s->max_buffered_bytes,
                       .max_connections = (unsigned)s->max_connections,
                       .head_timeout_ms = (uint64_t)s->head_timeout_ms,
                       .body_timeout_ms = (uint64_t)s->body_timeout_ms,
                       .idle_timeout_ms = (uint64_t)s->idle_timeout_ms,
                       .write_timeout_ms = (uint64_t)s->write_timeout_ms},
            .listen_http = plain ? http : NULL,
            .listen_https = tls ? https : NULL,
            .tls = a->tls,
            .reuse_port = a->n_loops > 1,
            .not_ready = why_not_ready,
            .arg = a
        };
        enum ps_rc rc = ps_front_start(&a->fronts[i], &conf, err);
        if (rc != PS_OK)
            return rc;
        /* Port 0: the others listen where the first one did. */
        int http_port = 0, https_port = 0;
        ps_front_ports(a->fronts[i], &http_port, &https_port);
        if (plain)
            with_port(s->listen, http_port, http, sizeof(http));
        if (tls)
            with_port(s->listen_tls, https_port, https, sizeof(https));
    }
    if (s->endpoint && s->endpoint[0])
        snprintf(a->endpoint, sizeof(a->endpoint), "%s", s->endpoint);
    else
        snprintf(a->endpoint, sizeof(a->endpoint), "%s://%s",
                 tls ? "https" : "http", tls ? https : http);
    printf("ready%s%s%s%s", plain ? " http://" : "", http,
           tls ? " https://" : "", https);
    if (a->admin) {
        char admin[512];
        with_port(s->listen_admin, ps_admin_port(a->admin), admin,
                  sizeof(admin));
        printf(" admin http://%s", admin);
    }
    putchar('\n');
    return PS_OK;
}

static enum ps_rc
start_threads(struct agent *a, struct ps_err *err)
{
    a->drain = ps_drain_new(a->link_loop, a->loops, a->fronts, a->n_loops,
                            a->engine, (uint64_t)a->settings->drain_delay_ms);
    if (!a->drain)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    enum ps_rc rc = ps_uplink_start(a->uplink, a->endpoint, err);
    if (rc != PS_OK)
        return rc;
    rc = ps_thread_start(&a->link_thread, "link", run_loop, a->link_loop);
    for (unsigned i = 0; i < a->n_loops && rc == PS_OK; i++)
        rc = ps_thread_start(&a->threads[i], "front", run_loop, a->loops[i]);
    return rc == PS_OK ? PS_OK : ps_err_set(err, rc, "cannot start a thread");
}

static enum ps_rc
start(struct agent *a, struct ps_err *err)
{
    enum ps_rc rc = ps_agent_state_load(&a->state, a->settings->dir, err);
    if (rc == PS_OK)
        rc = load_tls(a, err);
    if (rc == PS_OK)
        rc = make_loops(a, err);
    if (rc == PS_OK)
        rc = make_tracer(a, err);
    if (rc == PS_OK)
        rc = make_core(a, err);
    if (rc == PS_OK)
        rc = start_admin(a, err);
    if (rc == PS_OK)
        rc = start_fronts(a, err);
    if (rc == PS_OK)
        rc = start_threads(a, err);
    return rc;
}

/* ----------------------------------------------------------------- stop */

struct drain_task {
    struct ps_task task;
    struct ps_front *front;
    struct agent *agent;
};

static void
drain_front(struct ps_task *task)
{
    struct drain_task *d = PS_CONTAINER_OF(task, struct drain_task, task);
    ps_front_drain(d->front);
    sem_post(&d->agent->step);
}

static bool
wait_step(struct agent *a, uint64_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(timeout_ms / 1000);
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (sem_timedwait(&a->step, &until) != 0)
        if (errno != EINTR)
            return false;
    return true;
}

/* False: requests are still under way; memory may be in use. */
static bool
drain(struct agent *a)
{
    struct drain_task *tasks = calloc(a->n_loops, sizeof(*tasks));
    bool done = tasks != NULL;
    a->draining = true;
    if (ps_drain_state(a->drain) != PS_DRAIN_DONE) /* nobody posts yet */
        wait_step(a, (uint64_t)a->settings->drain_delay_ms);
    for (unsigned i = 0; i < a->n_loops && tasks; i++) {
        tasks[i] = (struct drain_task){
            .task = {.fn = drain_front}, .front = a->fronts[i], .agent = a};
        ps_loop_post(a->loops[i], &tasks[i].task);
    }
    for (unsigned i = 0; i < a->n_loops && tasks; i++)
        done = wait_step(a, 10000) && done;
    ps_engine_drain(a->engine, on_step, a);
    done = wait_step(a, (uint64_t)a->settings->drain_timeout_ms) && done;
    ps_uplink_goodbye(a->uplink, GOODBYE_TIMEOUT_MS, on_step, a);
    done = wait_step(a, 2 * GOODBYE_TIMEOUT_MS) && done;
    free(tasks);
    return done;
}

static void
stop_threads(struct agent *a)
{
    for (unsigned i = 0; i < a->n_loops && a->threads; i++) {
        if (!a->threads[i])
            continue;
        ps_loop_stop(a->loops[i]);
        ps_thread_join(&a->threads[i]);
    }
    if (a->link_thread) {
        ps_loop_stop(a->link_loop);
        ps_thread_join(&a->link_thread);
    }
}

static void
release(struct agent *a)
{
    if (a->collector)
        ps_collector_cancel(a->collector, &a->scrape);
    ps_admin_stop(&a->admin);
    ps_drain_free(&a->drain);
    for (unsigned i = 0; i < a->n_loops && a->fronts; i++)
        ps_front_free(&a->fronts[i]);
    /* The engine's last changes go to the uplink: it lives longer. */
    ps_engine_free(&a->engine);
    ps_uplink_free(&a->uplink);
    for (unsigned i = 0; i < a->n_loops && a->loops; i++)
        if (a->loops[i])
            ps_loop_free(&a->loops[i]);
    ps_collector_free(&a->collector);
    ps_alive_free(&a->alive);
    if (a->link_loop)
        ps_loop_free(&a->link_loop);
    ps_tally_free(&a->tally);
    ps_tracer_free(&a->tracer);
    ps_config_free(&a->config);
    ps_tls_ctx_free(&a->tls);
    ps_agent_state_done(&a->state);
    free(a->loops);
    free(a->fronts);
    free(a->threads);
    sem_destroy(&a->step);
}

/* Until one of signals; tells the service manager meanwhile that all loops
 * turn, if it wants to know. */
static void
wait_for_signal(struct agent *a, const sigset_t *signals)
{
    uint64_t every_ms = ps_notify_alive_every_ms();
    const struct timespec pause = {.tv_sec = (time_t)(every_ms / 1000),
                                   .tv_nsec =
                                       (long)(every_ms % 1000) * 1000000};
    int received = 0;
    if (every_ms == 0) {
        while (sigwait(signals, &received) != 0)
            continue;
        return;
    }
    do {
        if (ps_alive_ask(a->alive))
            ps_notify_alive();
        else
            ps_warn("agent", "a loop has not turned for %llu ms",
                    (unsigned long long)every_ms);
    } while (sigtimedwait(signals, NULL, &pause) < 0);
}

int
ps_agent_run(const struct ps_agent_settings *settings)
{
    struct agent a = {.settings = settings, .state = {.lock_fd = -1}};
    struct ps_err err = {0};
    sigset_t signals;
    sem_init(&a.step, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    /* Before any thread starts, so that only sigwait below sees them. */
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    clean_environment();
    raise_descriptor_limit();
    if (start(&a, &err) != PS_OK) {
        fprintf(stderr, "portside-agent: %s\n", err.message);
        stop_threads(&a);
        release(&a);
        return 1;
    }
    fflush(stdout);
    ps_info("agent", "serving at %s with %u loops", a.endpoint, a.n_loops);
    ps_notify_ready(a.endpoint);
    wait_for_signal(&a, &signals);
    ps_notify_stopping();
    ps_info("agent", "stopping");
    if (!drain(&a)) {
        ps_warn("agent", "requests were still under way at the time limit");
        fflush(NULL);
        _exit(a.revoked ? EXIT_REVOKED : 1);
    }
    stop_threads(&a);
    release(&a);
    return a.revoked ? EXIT_REVOKED : 0;
}
