/* See drain.h. Each loop is asked by a task what is open on it. */
#include "agent/drain.h"

#include "common/log.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    LOOK_MS = 100
};

/* What is asked of one loop. */
struct part {
    struct ps_task task;
    struct ps_drain *drain;
    struct ps_loop *loop;
    struct ps_front *front;
    unsigned index;
    _Atomic bool posted;   /* and not yet run */
    _Atomic bool retire;   /* what the front is told */
    _Atomic uint64_t busy; /* UINT64_MAX: not counted since retire was set */
};

struct ps_drain {
    struct ps_loop *loop;
    struct ps_engine *engine;
    uint64_t delay_ms;
    struct ps_timer timer;
    bool retiring; /* the delay is over */
    _Atomic int state;
    _Atomic uint64_t busy;
    size_t n;
    struct part parts[];
};

static void
on_part(struct ps_task *task)
{
    struct part *part = PS_CONTAINER_OF(task, struct part, task);
    bool retire = atomic_load(&part->retire);
    ps_front_retire(part->front, retire);
    if (retire)
        atomic_store(&part->busy,
                     ps_front_connections(part->front) +
                         ps_engine_busy(part->drain->engine, part->index));
    atomic_store(&part->posted, false);
}

static void
ask(struct ps_drain *drain)
{
    for (size_t i = 0; i < drain->n; i++) {
        struct part *part = &drain->parts[i];
        if (!atomic_exchange(&part->posted, true))
            ps_loop_post(part->loop, &part->task);
    }
}

static void
set_retire(struct ps_drain *drain, bool retire)
{
    drain->retiring = retire;
    for (size_t i = 0; i < drain->n; i++) {
        atomic_store(&drain->parts[i].busy, UINT64_MAX);
        atomic_store(&drain->parts[i].retire, retire);
    }
    ask(drain);
}

/* UINT64_MAX: not known yet. */
static uint64_t
count(const struct ps_drain *drain)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < drain->n; i++) {
        uint64_t busy = atomic_load(&drain->parts[i].busy);
        if (busy == UINT64_MAX)
            return busy;
        sum += busy;
    }
    return sum;
}

static void
on_timer(void *arg)
{
    struct ps_drain *drain = arg;
    if (!drain->retiring) {
        set_retire(drain, true);
    } else {
        uint64_t busy = count(drain);
        if (busy != UINT64_MAX)
            atomic_store(&drain->busy, busy);
        if (busy == 0 && ps_drain_state(drain) == PS_DRAIN_UNDER_WAY) {
            atomic_store(&drain->state, PS_DRAIN_DONE);
            ps_info("agent", "drained: nothing is under way any more");
        }
        ask(drain);
    }
    ps_timer_start_ms(&drain->timer, LOOK_MS);
}

struct ps_drain *
ps_drain_new(struct ps_loop *link_loop, struct ps_loop *const *loops,
             struct ps_front *const *fronts, size_t n, struct ps_engine *engine,
             uint64_t delay_ms)
{
    struct ps_drain *drain =
        calloc(1, sizeof(*drain) + n * sizeof(drain->parts[0]));
    if (!drain)
        return NULL;
    drain->loop = link_loop;
    drain->engine = engine;
    drain->delay_ms = delay_ms;
    drain->n = n;
    ps_timer_init(&drain->timer, link_loop, on_timer, drain);
    for (size_t i = 0; i < n; i++) {
        struct part *part = &drain->parts[i];
        part->task.fn = on_part;
        part->drain = drain;
        part->loop = loops[i];
        part->front = fronts[i];
        part->index = (unsigned)i;
    }
    return drain;
}

void
ps_drain_want(struct ps_drain *drain, bool wanted)
{
    if (wanted == (ps_drain_state(drain) != PS_DRAIN_NO))
        return;
    ps_info("agent", wanted ? "draining, as the control plane wants"
                            : "serving again, as the control plane wants");
    atomic_store(&drain->state, wanted ? PS_DRAIN_UNDER_WAY : PS_DRAIN_NO);
    atomic_store(&drain->busy, 0);
    if (wanted) {
        ps_timer_start_ms(&drain->timer, drain->delay_ms);
    } else {
        ps_timer_stop(&drain->timer);
        set_retire(drain, false);
    }
}

enum ps_drain_state
ps_drain_state(const struct ps_drain *drain)
{
    return (enum ps_drain_state)atomic_load(&drain->state);
}

uint64_t
ps_drain_busy(const struct ps_drain *drain)
{
    return atomic_load(&drain->busy);
}

void
ps_drain_free(struct ps_drain **drainp)
{
    struct ps_drain *drain = *drainp;
    if (!drain)
        return;
    ps_timer_stop(&drain->timer);
    for (size_t i = 0; i < drain->n; i++)
        ps_loop_unpost(drain->parts[i].loop, &drain->parts[i].task);
    free(drain);
    *drainp = NULL;
}
