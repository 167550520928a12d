/*
 * Reachability tests, each on a short-lived thread (the probe blocks), a few at
 * a time; the rest waits in line. Results go to the control plane stage by
 * stage, so that a person can watch the table fill.
 *
 * A thread may outlive the uplink (getaddrinfo cannot be interrupted): it holds
 * a reference to the prober, whose way to the loop is cut first.
 */
#include "agent/link/codec.h"
#include "agent/link/uplink_private.h"
#include "agent/probe/probe.h"
#include "common/log.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    PROBES_MAX = 4,
    PROBES_WAITING_MAX = 1024
};

struct ps_prober {
    pthread_mutex_t lock;
    unsigned refs;
    struct ps_uplink *uplink; /* NULL: abandoned. Under lock. */
    struct ps_loop *loop;
    uint64_t timeout_ms;
    /* Loop's thread only. */
    unsigned running;
    struct ps_list waiting; /* struct probe */
};

struct probe {
    struct ps_link link;
    struct ps_prober *prober;
    struct ps_cache_conf *conf;
    char run_id[64];
};

/* One step of a report on its way to the loop. */
struct news {
    struct ps_task task;
    struct ps_prober *prober;
    struct ps_probe_report report;
    char run_id[64], cache_id[37];
};

static void
prober_unref(struct ps_prober *prober)
{
    pthread_mutex_lock(&prober->lock);
    bool last = --prober->refs == 0;
    pthread_mutex_unlock(&prober->lock);
    if (last) {
        pthread_mutex_destroy(&prober->lock);
        free(prober);
    }
}

static void
prober_ref(struct ps_prober *prober)
{
    pthread_mutex_lock(&prober->lock);
    prober->refs++;
    pthread_mutex_unlock(&prober->lock);
}

struct ps_prober *
ps_prober_new(struct ps_uplink *uplink)
{
    struct ps_prober *prober = calloc(1, sizeof(*prober));
    if (!prober)
        return NULL;
    pthread_mutex_init(&prober->lock, NULL);
    prober->refs = 1;
    prober->uplink = uplink;
    prober->loop = uplink->conf.loop;
    prober->timeout_ms = uplink->conf.probe_timeout_ms;
    ps_list_init(&prober->waiting);
    return prober;
}

static void
probe_free(struct probe *probe)
{
    ps_cache_conf_unref(&probe->conf);
    prober_unref(probe->prober);
    free(probe);
}

void
ps_prober_abandon(struct ps_prober **prober)
{
    struct ps_link *link;
    if (!*prober)
        return;
    while ((link = ps_list_pop_front(&(*prober)->waiting)) != NULL)
        probe_free(PS_CONTAINER_OF(link, struct probe, link));
    pthread_mutex_lock(&(*prober)->lock);
    (*prober)->uplink = NULL;
    (*prober)->loop = NULL;
    pthread_mutex_unlock(&(*prober)->lock);
    prober_unref(*prober);
    *prober = NULL;
}

static void
ignore_reply(struct ps_uplink_call *call, const Portside__Reply *reply)
{
    (void)call;
    (void)reply;
}

static char *
code_text(enum ps_rc rc)
{
    union {
        const char *in;
        char *out; /* protobuf-c's members are not const; it only reads */
    } text = {.in = ps_err_info(rc)->code};
    return text.out;
}

static void
send_report(struct ps_uplink *u, struct news *n)
{
    Portside__ProbeStage stages[PS_PROBE_STAGE_COUNT];
    Portside__ProbeStage *list[PS_PROBE_STAGE_COUNT];
    Portside__ProbeResult result;
    portside__probe_result__init(&result);
    Portside__Call call;
    portside__call__init(&call);
    struct ps_probe_report *r = &n->report;
    char names[PS_PROBE_STAGE_COUNT][16], skipped[] = "skipped";
    for (size_t i = 0; i < r->n_steps; i++) {
        struct ps_probe_step *step = &r->steps[i];
        struct ps_str name =
            ps_str_of(ps_probe_stage_text((enum ps_probe_stage)i));
        memcpy(names[i], name.ptr, name.len + 1);
        portside__probe_stage__init(&stages[i]);
        stages[i].stage = names[i];
        stages[i].code = step->skipped ? skipped : code_text(step->rc);
        stages[i].time_us = step->time_us;
        stages[i].detail = step->detail;
        list[i] = &stages[i];
    }
    result.run_id = n->run_id;
    result.cache_id = n->cache_id;
    result.n_stages = r->n_steps;
    result.stages = list;
    result.ok = r->done && r->rc == PS_OK;
    result.code = code_text(r->rc);
    result.source_address = r->source_address;
    result.target_address = r->target_address;
    result.server_version = r->server_version;
    result.advice = r->advice;
    result.done = r->done;
    call.body_case = PORTSIDE__CALL__BODY_PROBE_RESULT;
    call.probe_result = &result;
    ps_uplink_call(u, &call, PS_UPLINK_CALL_TIMEOUT_MS, NULL, ignore_reply);
}

static void start_next(struct ps_prober *prober);

static void
on_news(struct ps_task *task)
{
    struct news *n = PS_CONTAINER_OF(task, struct news, task);
    struct ps_prober *prober = n->prober;
    /* Only this thread sets it to NULL. */
    if (prober->uplink) {
        send_report(prober->uplink, n);
        if (n->report.done) {
            prober->running--;
            start_next(prober);
        }
    }
    prober_unref(prober);
    free(n);
}

/* On the probe's thread. */
static void
on_progress(void *arg, const struct ps_probe_report *report)
{
    struct probe *probe = arg;
    struct ps_prober *prober = probe->prober;
    struct news *n = calloc(1, sizeof(*n));
    if (!n)
        return;
    n->task.fn = on_news;
    n->prober = prober;
    n->report = *report;
    memcpy(n->run_id, probe->run_id, sizeof(n->run_id));
    memcpy(n->cache_id, probe->conf->id, sizeof(n->cache_id));
    pthread_mutex_lock(&prober->lock);
    bool posted = prober->loop != NULL;
    if (posted) {
        prober->refs++;
        ps_loop_post(prober->loop, &n->task);
    }
    pthread_mutex_unlock(&prober->lock);
    if (!posted)
        free(n);
}

static void *
run_probe(void *arg)
{
    struct probe *probe = arg;
    struct ps_probe_report report;
    ps_probe_run(probe->conf, probe->prober->timeout_ms, on_progress, probe,
                 &report);
    probe_free(probe);
    return NULL;
}

static void
start_next(struct ps_prober *prober)
{
    while (prober->running < PROBES_MAX) {
        struct ps_link *link = ps_list_pop_front(&prober->waiting);
        pthread_attr_t attr;
        pthread_t thread;
        if (!link)
            return;
        struct probe *probe = PS_CONTAINER_OF(link, struct probe, link);
        pthread_attr_init(&attr);
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        int e = pthread_create(&thread, &attr, run_probe, probe);
        pthread_attr_destroy(&attr);
        if (e != 0) {
            ps_error("link", "no thread for a reachability test: %s",
                     strerror(e));
            probe_free(probe);
            return;
        }
        prober->running++;
    }
}

void
ps_prober_request(struct ps_prober *prober,
                  const Portside__ProbeRequest *request)
{
    struct ps_cache_conf *conf =
        request->cache ? ps_codec_cache(request->cache) : NULL;
    struct probe *probe = calloc(1, sizeof(*probe));
    if (!conf || !probe || strlen(request->run_id) >= sizeof(probe->run_id) ||
        prober->waiting.count >= PROBES_WAITING_MAX) {
        ps_warn("link", "a reachability test was not understood");
        ps_cache_conf_unref(&conf);
        free(probe);
        return;
    }
    prober_ref(prober);
    probe->prober = prober;
    probe->conf = conf;
    memcpy(probe->run_id, request->run_id, strlen(request->run_id) + 1);
    ps_list_push_back(&prober->waiting, &probe->link);
    start_next(prober);
}
