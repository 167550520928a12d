/*
 * How many requests the store answers when not everything fits, beside LRU and
 * beside the best that can be done by who knows the future (Belady: out goes
 * what is asked for last of all). The store is the agent's own; the other two
 * are simulated and get as many places as the store had entries at most, all
 * of one size.
 *
 *   evict REQUESTS BUDGET_MEGABYTES
 *
 * Prints a table on standard error and one line of JSON: per trace
 * NAME_store, NAME_lru, NAME_best (hit ratios), worst_over_lru (the smallest
 * difference of store and LRU) and never_below_lru.
 */
#include "tests/bench/kept.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BODY_BYTES = 400,
    OBJECTS = 500000,
    NONE = UINT32_MAX
};

struct trace {
    uint32_t *ids;
    size_t n;
    uint32_t n_ids; /* all are below */
};

static void *
array(size_t n, size_t size)
{
    void *out = calloc(n, size);
    if (!out)
        kept_fail("no memory for a trace");
    return out;
}

/* ---- traces ---- */

struct zipf {
    double *sums; /* of the first i + 1 weights, of OBJECTS */
};

static void
zipf_make(struct zipf *zipf, double exponent)
{
    double sum = 0;
    for (size_t i = 0; i < OBJECTS; i++) {
        sum += pow((double)(i + 1), -exponent);
        zipf->sums[i] = sum;
    }
}

static uint32_t
zipf_draw(const struct zipf *zipf, uint64_t *state)
{
    double at =
        (double)kept_random(state) / 2147483648.0 * zipf->sums[OBJECTS - 1];
    uint32_t from = 0, to = OBJECTS - 1;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (zipf->sums[middle] < at)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static void
trace_zipf(struct trace *trace, struct zipf *zipf, double exponent)
{
    uint64_t state = 1;
    zipf_make(zipf, exponent);
    for (size_t i = 0; i < trace->n; i++)
        trace->ids[i] = zipf_draw(zipf, &state);
    trace->n_ids = OBJECTS;
}

/* One request of three is of a scan that never asks for anything again. */
static void
trace_scan(struct trace *trace, struct zipf *zipf)
{
    uint64_t state = 2;
    uint32_t next = OBJECTS;
    zipf_make(zipf, 0.9);
    for (size_t i = 0; i < trace->n; i++) {
        trace->ids[i] = i / 1000 % 3 == 2 ? next++ : zipf_draw(zipf, &state);
    }
    trace->n_ids = next;
}

/* What is popular becomes something else ten times. */
static void
trace_shift(struct trace *trace, struct zipf *zipf)
{
    uint64_t state = 3;
    zipf_make(zipf, 0.9);
    for (size_t i = 0; i < trace->n; i++) {
        uint64_t phase = i / (trace->n / 10 + 1);
        trace->ids[i] =
            (uint32_t)((zipf_draw(zipf, &state) + phase * (OBJECTS / 10)) %
                       OBJECTS);
    }
    trace->n_ids = OBJECTS;
}

static void
trace_loop(struct trace *trace, size_t length)
{
    for (size_t i = 0; i < trace->n; i++)
        trace->ids[i] = (uint32_t)(i % length);
    trace->n_ids = (uint32_t)length;
}

/* ---- the three ---- */

static double
run_store(const struct trace *trace, uint64_t budget, uint64_t *places)
{
    struct kept kept;
    struct ps_store_stats stats;
    size_t hits = 0;
    *places = 0;
    kept_open(&kept, budget);
    for (size_t i = 0; i < trace->n; i++) {
        if (kept_hit(&kept, trace->ids[i])) {
            hits++;
            continue;
        }
        kept_put(&kept, trace->ids[i], 0, BODY_BYTES);
        if (i % 64 == 0) {
            ps_store_stats(kept.store, &stats);
            *places = PS_MAX(*places, stats.entries);
        }
    }
    ps_store_stats(kept.store, &stats);
    *places = PS_MAX(*places, stats.entries);
    kept_close(&kept);
    return (double)hits / (double)trace->n;
}

struct lru {
    uint32_t *older, *newer; /* per id; NONE at the ends */
    bool *in;
    uint32_t oldest, newest;
};

static void
lru_remove(struct lru *lru, uint32_t id)
{
    if (lru->older[id] == NONE)
        lru->oldest = lru->newer[id];
    else
        lru->newer[lru->older[id]] = lru->newer[id];
    if (lru->newer[id] == NONE)
        lru->newest = lru->older[id];
    else
        lru->older[lru->newer[id]] = lru->older[id];
    lru->in[id] = false;
}

static void
lru_add(struct lru *lru, uint32_t id)
{
    lru->older[id] = lru->newest;
    lru->newer[id] = NONE;
    if (lru->newest == NONE)
        lru->oldest = id;
    else
        lru->newer[lru->newest] = id;
    lru->newest = id;
    lru->in[id] = true;
}

static double
run_lru(const struct trace *trace, uint64_t places)
{
    struct lru lru = {
        .older = array(trace->n_ids, sizeof(uint32_t)),
        .newer = array(trace->n_ids, sizeof(uint32_t)),
        .in = array(trace->n_ids, sizeof(bool)),
        .oldest = NONE,
        .newest = NONE,
    };
    size_t hits = 0, used = 0;
    for (size_t i = 0; i < trace->n; i++) {
        uint32_t id = trace->ids[i];
        if (lru.in[id]) {
            hits++;
            lru_remove(&lru, id);
        } else if (used < places) {
            used++;
        } else {
            lru_remove(&lru, lru.oldest);
        }
        lru_add(&lru, id);
    }
    free(lru.older);
    free(lru.newer);
    free(lru.in);
    return (double)hits / (double)trace->n;
}

/* A heap of (when asked for next, id), the latest on top. What is not true any
 * more stays in it until it comes to the top. */
struct heap {
    struct later {
        uint32_t next, id;
    } * items;
    size_t n;
};

static void
heap_push(struct heap *heap, struct later item)
{
    size_t i = heap->n++;
    for (; i > 0 && heap->items[(i - 1) / 2].next < item.next; i = (i - 1) / 2)
        heap->items[i] = heap->items[(i - 1) / 2];
    heap->items[i] = item;
}

static struct later
heap_pop(struct heap *heap)
{
    struct later top = heap->items[0], last = heap->items[--heap->n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= heap->n)
            break;
        if (child + 1 < heap->n &&
            heap->items[child + 1].next > heap->items[child].next)
            child++;
        if (heap->items[child].next <= last.next)
            break;
        heap->items[i] = heap->items[child];
        i = child;
    }
    heap->items[i] = last;
    return top;
}

static double
run_best(const struct trace *trace, uint64_t places)
{
    uint32_t *next = array(trace->n, sizeof(uint32_t));
    uint32_t *due = array(trace->n_ids, sizeof(uint32_t)); /* 0: not in */
    struct heap heap = {.items = array(trace->n + 1, sizeof(struct later))};
    for (uint32_t id = 0; id < trace->n_ids; id++)
        due[id] = NONE;
    for (size_t i = trace->n; i-- > 0;) {
        next[i] = due[trace->ids[i]];
        due[trace->ids[i]] = (uint32_t)i;
    }
    memset(due, 0, trace->n_ids * sizeof(*due));
    size_t hits = 0, used = 0;
    for (size_t i = 0; i < trace->n; i++) {
        uint32_t id = trace->ids[i];
        bool hit = due[id] != 0;
        hits += hit;
        used += !hit;
        due[id] = next[i];
        heap_push(&heap, (struct later){next[i], id});
        while (used > places) {
            struct later out = heap_pop(&heap);
            if (due[out.id] == out.next) {
                due[out.id] = 0;
                used--;
            }
        }
    }
    free(next);
    free(due);
    free(heap.items);
    return (double)hits / (double)trace->n;
}

/* ---- */

static double
compare(const char *name, const struct trace *trace, uint64_t budget)
{
    uint64_t places;
    double store = run_store(trace, budget, &places);
    double lru = run_lru(trace, places);
    double best = run_best(trace, places);
    fprintf(stderr, "    %-10s %8.4f %8.4f %8.4f %8llu\n", name, store, lru,
            best, (unsigned long long)places);
    printf("\"%s_store\":%.4f,\"%s_lru\":%.4f,\"%s_best\":%.4f,", name, store,
           name, lru, name, best);
    return store - lru;
}

int
main(int argc, char **argv)
{
    size_t requests = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000000;
    uint64_t budget = (argc > 2 ? strtoul(argv[2], NULL, 10) : 16) << 20;
    if (requests < 1000 || requests > UINT32_MAX / 2)
        kept_fail("a trace has from 1000 requests on");
    struct zipf zipf = {array(OBJECTS, sizeof(double))};
    struct trace trace = {array(requests, sizeof(uint32_t)), requests, 0};
    uint64_t places;
    trace_loop(&trace, requests);
    run_store(&trace, budget, &places); /* how many fit */
    const struct {
        const char *name;
        double exponent;
    } plain[] = {
        {"zipf_0_7", 0.7},
        {"zipf_0_9", 0.9},
        {"zipf_1_1", 1.1}
    };
    double worst = 1;
    fprintf(stderr, "    %-10s %8s %8s %8s %8s\n", "trace", "store", "LRU",
            "best", "places");
    printf("{");
    for (size_t i = 0; i < PS_ARRAY_LEN(plain); i++) {
        trace_zipf(&trace, &zipf, plain[i].exponent);
        worst = fmin(worst, compare(plain[i].name, &trace, budget));
    }
    trace_scan(&trace, &zipf);
    worst = fmin(worst, compare("scan_mix", &trace, budget));
    trace_shift(&trace, &zipf);
    worst = fmin(worst, compare("shift", &trace, budget));
    trace_loop(&trace, places * 2);
    worst = fmin(worst, compare("loop_2", &trace, budget));
    trace_loop(&trace, places * 11 / 10);
    worst = fmin(worst, compare("loop_1_1", &trace, budget));
    trace_loop(&trace, places * 9 / 10);
    worst = fmin(worst, compare("loop_0_9", &trace, budget));
    printf("\"worst_over_lru\":%.4f,\"never_below_lru\":%s,\"requests\":%zu}\n",
           worst, worst >= 0 ? "true" : "false", requests);
    free(zipf.sums);
    free(trace.ids);
    return 0;
}
