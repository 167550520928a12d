/* See alive.h. */
#include "agent/alive.h"

#include <stdatomic.h>
#include <stdlib.h>

struct question {
    struct ps_task task;
    struct ps_loop *loop;
    _Atomic bool open; /* posted and not yet run */
};

struct ps_alive {
    size_t n;
    struct question questions[];
};

static void
answer(struct ps_task *task)
{
    struct question *q = PS_CONTAINER_OF(task, struct question, task);
    q->open = false;
}

struct ps_alive *
ps_alive_new(struct ps_loop *const *loops, size_t n)
{
    struct ps_alive *alive =
        calloc(1, sizeof(*alive) + n * sizeof(alive->questions[0]));
    if (!alive)
        return NULL;
    alive->n = n;
    for (size_t i = 0; i < n; i++) {
        alive->questions[i].task.fn = answer;
        alive->questions[i].loop = loops[i];
    }
    return alive;
}

bool
ps_alive_ask(struct ps_alive *alive)
{
    bool all = true;
    for (size_t i = 0; i < alive->n; i++) {
        struct question *q = &alive->questions[i];
        if (q->open) {
            all = false; /* still in its mailbox */
            continue;
        }
        q->open = true;
        ps_loop_post(q->loop, &q->task);
    }
    return all;
}

void
ps_alive_free(struct ps_alive **alive)
{
    free(*alive);
    *alive = NULL;
}
