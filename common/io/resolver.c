/*
 * A few threads take jobs off one queue and call getaddrinfo(). One lock
 * covers the queue, the answers that are kept, and who owns a job:
 *
 *   QUEUED -> RUNNING -> POSTED -> fn ran, freed on the loop
 *      |         |          |
 *      +---------+----------+---- ps_resolve_cancel(): the thread that holds
 *                                 the job, or nobody, frees it
 *
 * getaddrinfo() cannot be interrupted and may take half a minute, so nobody
 * waits for the threads: they are detached and hold the resolver by count.
 */
#include "common/io/resolver.h"

#include "common/check.h"
#include "common/list.h"
#include "common/map.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    RESOLVER_MAGIC = 0x7265736f,
    KEPT_MAX = 1024,
    KEEP_FAILURE_MS = 1000
};

enum job_state {
    QUEUED,
    RUNNING,
    POSTED
};

struct job {
    struct ps_link link; /* in the queue while QUEUED */
    enum job_state state;
    struct ps_resolve *op; /* NULL: cancelled while RUNNING */
    enum ps_rc rc;
    struct ps_addresses addresses;
    char host[];
};

struct kept {
    uint64_t until_ms;
    enum ps_rc rc;
    struct ps_addresses addresses;
};

struct ps_resolver {
    unsigned magic;
    uint64_t keep_ms;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct ps_list queue;
    struct ps_map *kept; /* host -> struct kept */
    bool closing;
    unsigned refs; /* threads, and whoever made it */
};

/* Drops one reference; called with the lock, which is gone afterwards. */
static void
release(struct ps_resolver *resolver)
{
    bool last = --resolver->refs == 0;
    pthread_mutex_unlock(&resolver->lock);
    if (!last)
        return;
    ps_map_free(&resolver->kept, free);
    pthread_cond_destroy(&resolver->work);
    pthread_mutex_destroy(&resolver->lock);
    resolver->magic = 0;
    free(resolver);
}

/* ---- looking up ---- */

static enum ps_rc
lookup(const char *host, int flags, struct ps_addresses *out)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *list;
    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return PS_ORIGIN_HOST;
    out->count = 0;
    for (const struct addrinfo *a = list;
         a && out->count < PS_RESOLVER_ADDRESS_MAX; a = a->ai_next) {
        char *text = out->text[out->count];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, PS_RESOLVER_TEXT_MAX,
                        NULL, 0, NI_NUMERICHOST) == 0)
            out->count++;
    }
    freeaddrinfo(list);
    return out->count ? PS_OK : PS_ORIGIN_HOST;
}

/* ---- answers that are kept; all with the lock ---- */

static bool
find_kept(struct ps_resolver *resolver, struct job *job)
{
    struct kept *kept = ps_map_find(resolver->kept, ps_str_of(job->host));
    if (!kept || kept->until_ms <= ps_clock_now_ms(ps_clock_real()))
        return false;
    job->rc = kept->rc;
    job->addresses = kept->addresses;
    return true;
}

static void
keep(struct ps_resolver *resolver, const struct job *job)
{
    uint64_t keep_ms = resolver->keep_ms;
    if (job->rc != PS_OK)
        keep_ms = PS_MIN(keep_ms, (uint64_t)KEEP_FAILURE_MS);
    if (keep_ms == 0)
        return;
    /* Hosts come from configuration: more than this many is not life, and
     * forgetting all costs one more query each. */
    if (ps_map_count(resolver->kept) >= KEPT_MAX) {
        struct ps_map *empty = ps_map_new();
        if (!empty)
            return;
        ps_map_free(&resolver->kept, free);
        resolver->kept = empty;
    }
    struct kept *kept = malloc(sizeof(*kept));
    if (!kept)
        return;
    kept->until_ms = ps_clock_now_ms(ps_clock_real()) + keep_ms;
    kept->rc = job->rc;
    kept->addresses = job->addresses;
    void *old = NULL;
    if (ps_map_put(resolver->kept, ps_str_of(job->host), kept, &old) != PS_OK)
        free(kept);
    free(old);
}

/* ---- threads ---- */

/* With the lock: hands the finished job to its loop, or frees it. */
static void
finish(struct job *job)
{
    if (!job->op) {
        free(job);
        return;
    }
    job->state = POSTED;
    ps_loop_post(job->op->loop, &job->op->task);
}

static void *
work(void *arg)
{
    struct ps_resolver *resolver = arg;
    pthread_setname_np(pthread_self(), "resolver");
    pthread_mutex_lock(&resolver->lock);
    while (!resolver->closing) {
        struct ps_link *link = ps_list_pop_front(&resolver->queue);
        if (!link) {
            pthread_cond_wait(&resolver->work, &resolver->lock);
            continue;
        }
        struct job *job = PS_CONTAINER_OF(link, struct job, link);
        job->state = RUNNING;
        /* Several that wait for the same host need one query only. */
        if (!find_kept(resolver, job)) {
            pthread_mutex_unlock(&resolver->lock);
            job->rc = lookup(job->host, 0, &job->addresses);
            pthread_mutex_lock(&resolver->lock);
            keep(resolver, job);
        }
        finish(job);
    }
    release(resolver);
    return NULL;
}

static bool
start_thread(struct ps_resolver *resolver)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigset_t all, before;
    sigfillset(&all);
    PS_CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    pthread_t id;
    bool ok = pthread_create(&id, &attributes, work, resolver) == 0;
    PS_CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    pthread_attr_destroy(&attributes);
    return ok;
}

struct ps_resolver *
ps_resolver_new(unsigned threads, uint64_t keep_ms)
{
    struct ps_resolver *resolver = calloc(1, sizeof(*resolver));
    if (!resolver)
        return NULL;
    resolver->magic = RESOLVER_MAGIC;
    resolver->keep_ms = keep_ms;
    resolver->refs = 1;
    pthread_mutex_init(&resolver->lock, NULL);
    pthread_cond_init(&resolver->work, NULL);
    ps_list_init(&resolver->queue);
    resolver->kept = ps_map_new();

    unsigned started = 0;
    pthread_mutex_lock(&resolver->lock);
    while (resolver->kept && started < PS_MAX(threads, 1u) &&
           start_thread(resolver)) {
        resolver->refs++;
        started++;
    }
    if (started == 0) {
        release(resolver);
        return NULL;
    }
    pthread_mutex_unlock(&resolver->lock);
    return resolver;
}

void
ps_resolver_free(struct ps_resolver **resolver)
{
    struct ps_resolver *r = *resolver;
    if (!r)
        return;
    PS_CHECK_OBJ(r, RESOLVER_MAGIC);
    pthread_mutex_lock(&r->lock);
    PS_CHECK(r->queue.count == 0);
    r->closing = true;
    pthread_cond_broadcast(&r->work);
    release(r);
    *resolver = NULL;
}

/* ---- the caller's side ---- */

static void
deliver(struct ps_task *task)
{
    struct ps_resolve *op = PS_CONTAINER_OF(task, struct ps_resolve, task);
    struct job *job = op->opaque;
    op->opaque = NULL;
    /* Without memory there is no job. fn may free op. */
    enum ps_rc rc = job ? job->rc : PS_NO_MEMORY;
    op->fn(op, rc, rc == PS_OK ? &job->addresses : NULL);
    free(job);
}

void
ps_resolve_start(struct ps_resolver *resolver, struct ps_resolve *op,
                 struct ps_loop *loop, const char *host,
                 void (*fn)(struct ps_resolve *, enum ps_rc,
                            const struct ps_addresses *))
{
    PS_CHECK_OBJ(resolver, RESOLVER_MAGIC);
    size_t size = strlen(host) + 1;
    struct job *job = calloc(1, sizeof(*job) + size);
    *op = (struct ps_resolve){
        .task = {.fn = deliver}, .loop = loop, .fn = fn, .opaque = job};
    if (!job) {
        ps_loop_post(loop, &op->task);
        return;
    }
    memcpy(job->host, host, size);
    job->op = op;

    bool numeric = lookup(host, AI_NUMERICHOST, &job->addresses) == PS_OK;
    pthread_mutex_lock(&resolver->lock);
    if (numeric || find_kept(resolver, job)) {
        finish(job);
    } else {
        job->state = QUEUED;
        ps_list_push_back(&resolver->queue, &job->link);
        pthread_cond_signal(&resolver->work);
    }
    pthread_mutex_unlock(&resolver->lock);
}

void
ps_resolve_cancel(struct ps_resolver *resolver, struct ps_resolve *op)
{
    PS_CHECK_OBJ(resolver, RESOLVER_MAGIC);
    struct job *job = op->opaque;
    op->opaque = NULL;
    if (!job) {
        if (op->loop)
            ps_loop_unpost(op->loop, &op->task);
        return;
    }
    pthread_mutex_lock(&resolver->lock);
    if (job->state == RUNNING) {
        job->op = NULL; /* freed by its thread */
    } else {
        if (job->state == QUEUED)
            ps_list_remove(&resolver->queue, &job->link);
        else
            PS_CHECK(ps_loop_unpost(op->loop, &op->task));
        free(job);
    }
    pthread_mutex_unlock(&resolver->lock);
}
