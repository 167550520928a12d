/*
 * The exporter: spans wait in a ring until its thread takes and posts them. Who
 * puts one finds the lock free or drops the span; nobody waits for a
 * collector that is slow or away. Its only use of libcurl is here.
 */
#include "agent/telemetry/trace.h"
#include "common/check.h"
#include "common/log.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

enum {
    TRACER_MAGIC = 0x70747263,
    RING = 1024,
    BATCH = 128, /* of one POST */
    LINGER_MS = 500,
    POST_TIMEOUT_MS = 5000,
    LAST_POST_TIMEOUT_MS = 1000,
    BODY_MAX = 4 << 20
};

struct ps_tracer {
    unsigned magic;
    char *url, *instance;
    unsigned sample_permille;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct ps_span *ring;
    size_t first, n;
    bool stop;
    _Atomic uint64_t sent, dropped, failed;
};

/* ---- ids ---- */

/* Ids need not be secret, only different: a generator for each thread, begun
 * from the kernel's. */
static uint64_t
next_random(void)
{
    static _Thread_local uint64_t state;
    while (state == 0)
        if (getrandom(&state, sizeof(state), 0) != sizeof(state))
            state = (uint64_t)time(NULL) ^ (uint64_t)(uintptr_t)&state;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

void
ps_span_id_make(unsigned char id[PS_SPAN_ID_BYTES])
{
    uint64_t value = next_random(); /* never 0 */
    memcpy(id, &value, sizeof(value));
}

bool
ps_tracer_begin(struct ps_tracer *tracer, struct ps_trace *trace,
                unsigned char parent_id[PS_SPAN_ID_BYTES])
{
    memset(parent_id, 0, PS_SPAN_ID_BYTES);
    if (trace->present && !trace->sampled)
        return false;
    if (!trace->present) {
        if (next_random() % 1000 >= tracer->sample_permille)
            return false;
        ps_span_id_make(trace->trace_id);
        ps_span_id_make(trace->trace_id + PS_SPAN_ID_BYTES);
        trace->sampled = true;
    } else {
        memcpy(parent_id, trace->span_id, PS_SPAN_ID_BYTES);
    }
    ps_span_id_make(trace->span_id);
    return true;
}

/* ---- the ring ---- */

void
ps_tracer_put(struct ps_tracer *tracer, const struct ps_span *span)
{
    bool kept = false;
    if (pthread_mutex_trylock(&tracer->lock) == 0) {
        if (tracer->n < RING && !tracer->stop) {
            tracer->ring[(tracer->first + tracer->n++) % RING] = *span;
            kept = true;
            if (tracer->n >= BATCH)
                pthread_cond_signal(&tracer->more);
        }
        pthread_mutex_unlock(&tracer->lock);
    }
    if (!kept)
        atomic_fetch_add_explicit(&tracer->dropped, 1, memory_order_relaxed);
}

/* Waits for a batch, for what there is after a while, or for the end. */
static size_t
take(struct ps_tracer *tracer, struct ps_span *out, bool *last)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LINGER_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    PS_CHECK(pthread_mutex_lock(&tracer->lock) == 0);
    while (tracer->n < BATCH && !tracer->stop)
        if (pthread_cond_timedwait(&tracer->more, &tracer->lock, &until) ==
            ETIMEDOUT)
            break;
    size_t n = PS_MIN(tracer->n, (size_t)BATCH);
    for (size_t i = 0; i < n; i++)
        out[i] = tracer->ring[(tracer->first + i) % RING];
    tracer->first = (tracer->first + n) % RING;
    tracer->n -= n;
    *last = tracer->stop;
    pthread_mutex_unlock(&tracer->lock);
    return n;
}

/* ---- the thread ---- */

static size_t
ignore(PS_UNUSED char *data, size_t size, size_t n, PS_UNUSED void *arg)
{
    return size * n;
}

static bool
post(CURL *curl, struct ps_str body, long timeout_ms)
{
    long status = 0;
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.ptr);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    return curl_easy_perform(curl) == CURLE_OK &&
           curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) ==
               CURLE_OK &&
           status / 100 == 2;
}

static void
send_batch(struct ps_tracer *tracer, CURL *curl, const struct ps_span *spans,
           size_t n, long timeout_ms)
{
    static _Thread_local bool complained;
    struct ps_buf body;
    ps_buf_init(&body, BODY_MAX);
    ps_spans_json(spans, n, tracer->instance, &body);
    bool sent =
        ps_buf_rc(&body) == PS_OK && post(curl, ps_buf_str(&body), timeout_ms);
    ps_buf_done(&body);
    atomic_fetch_add(sent ? &tracer->sent : &tracer->failed, n);
    if (!sent && !complained)
        ps_warn("trace",
                "the collector at %s does not take spans; they are "
                "dropped until it does",
                tracer->url);
    else if (sent && complained)
        ps_info("trace", "the collector takes spans again");
    complained = !sent;
}

static CURL *
make_curl(struct ps_tracer *tracer, struct curl_slist **headers)
{
    CURL *curl = curl_easy_init();
    *headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (!curl || !*headers) {
        curl_easy_cleanup(curl);
        return NULL;
    }
    curl_easy_setopt(curl, CURLOPT_URL, tracer->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    return curl;
}

static void *
export_spans(void *arg)
{
    struct ps_tracer *tracer = arg;
    struct ps_span *spans = calloc(BATCH, sizeof(*spans));
    struct curl_slist *headers = NULL;
    CURL *curl = spans ? make_curl(tracer, &headers) : NULL;
    bool last = false;
    while (!last) {
        size_t n = spans ? take(tracer, spans, &last) : 0;
        if (!spans)
            break;
        /* At the end what is left goes in one go, or not at all. */
        if (n > 0 && curl)
            send_batch(tracer, curl, spans, n,
                       last ? LAST_POST_TIMEOUT_MS : POST_TIMEOUT_MS);
    }
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    free(spans);
    return NULL;
}

/* ---- life ---- */

/* "http://host:4318" means its /v1/traces. */
static char *
url_of(const char *endpoint)
{
    const char *host = strstr(endpoint, "://");
    size_t len = strlen(endpoint);
    char *url = NULL;
    while (len > 0 && endpoint[len - 1] == '/')
        len--;
    bool path = host && strchr(host + 3, '/') &&
                (size_t)(strchr(host + 3, '/') - endpoint) < len;
    if (asprintf(&url, "%.*s%s", (int)len, endpoint, path ? "" : "/v1/traces") <
        0)
        return NULL;
    return url;
}

enum ps_rc
ps_tracer_new(struct ps_tracer **out, const struct ps_tracer_conf *conf,
              struct ps_err *err)
{
    struct ps_tracer *tracer = calloc(1, sizeof(*tracer));
    if (!tracer || curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        free(tracer);
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    }
    tracer->magic = TRACER_MAGIC;
    tracer->sample_permille = conf->sample_permille;
    tracer->url = url_of(conf->endpoint);
    tracer->instance = strdup(conf->instance);
    tracer->ring = calloc(RING, sizeof(*tracer->ring));
    PS_CHECK(pthread_mutex_init(&tracer->lock, NULL) == 0);
    PS_CHECK(pthread_cond_init(&tracer->more, NULL) == 0);
    tracer->running =
        tracer->url && tracer->instance && tracer->ring &&
        pthread_create(&tracer->thread, NULL, export_spans, tracer) == 0;
    if (!tracer->running) {
        ps_tracer_free(&tracer);
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    }
    pthread_setname_np(tracer->thread, "trace");
    ps_info("trace", "spans go to %s", tracer->url);
    *out = tracer;
    return PS_OK;
}

void
ps_tracer_free(struct ps_tracer **tracerp)
{
    struct ps_tracer *tracer = *tracerp;
    if (!tracer)
        return;
    PS_CHECK_OBJ(tracer, TRACER_MAGIC);
    *tracerp = NULL;
    if (tracer->running) {
        PS_CHECK(pthread_mutex_lock(&tracer->lock) == 0);
        tracer->stop = true;
        pthread_cond_signal(&tracer->more);
        pthread_mutex_unlock(&tracer->lock);
        pthread_join(tracer->thread, NULL);
    }
    pthread_cond_destroy(&tracer->more);
    pthread_mutex_destroy(&tracer->lock);
    free(tracer->ring);
    free(tracer->url);
    free(tracer->instance);
    tracer->magic = 0;
    free(tracer);
}

void
ps_tracer_stats(struct ps_tracer *tracer, struct ps_tracer_stats *out)
{
    *out = (struct ps_tracer_stats){.sent = tracer->sent,
                                    .dropped = tracer->dropped,
                                    .failed = tracer->failed};
}
