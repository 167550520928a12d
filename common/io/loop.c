/*
 * The loop on libevent.
 *
 *   mailbox   two singly linked lists: `inbox`, filled by any thread under
 *             `lock`, and `batch`, what this turn took out of it. A poster
 *             writes the eventfd only when the loop has announced (under the
 *             lock) that it goes to sleep with an empty inbox: a busy loop
 *             costs its posters no system call, and no wake-up is lost.
 *   timers    a binary heap by (due time, order of start) on our own clock.
 *             The first one of a real clock sets a timerfd, which is left as
 *             it is while it is not too late: time-outs that are stopped and
 *             started anew, as most are, cost no system call.
 *   time      read at first need after the loop may have slept, so that
 *             foreign events on the same base see the current turn's time.
 */
#include "common/io/loop.h"

#include "common/check.h"
#include "common/log.h"

#include <event2/event.h>
#include <event2/event_struct.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    LOOP_MAGIC = 0x6c6f6f70,
    WATCH_MAGIC = 0x77617463
};

struct task_list {
    struct ps_task *first, **last;
};

struct ps_loop {
    unsigned magic;
    const char *name;
    struct ps_clock *clock;
    struct event_base *base;
    _Atomic pthread_t owner;
    atomic_bool stop;
    size_t ran; /* callbacks since ps_loop_new */

    uint64_t now_us;
    bool now_known;

    struct ps_timer **heap;
    size_t heap_len, heap_cap;
    uint64_t timer_order;
    uint64_t alarm_us; /* when alarm_fd fires, 0: not set */
    int alarm_fd;
    struct event alarm;

    int wake_fd;
    struct event wake;
    struct task_list batch; /* loop's thread only */
    pthread_mutex_t lock;
    struct task_list inbox; /* under lock */
    bool asleep;            /* under lock */
};

/* The loop this thread is inside of. */
static _Thread_local struct ps_loop *inside;

/* ---- mailbox ---- */

static void
task_list_init(struct task_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void
task_list_push(struct task_list *list, struct ps_task *task)
{
    task->next = NULL;
    *list->last = task;
    list->last = &task->next;
}

static struct ps_task *
task_list_pop(struct task_list *list)
{
    struct ps_task *task = list->first;
    if (!task)
        return NULL;
    list->first = task->next;
    if (!list->first)
        list->last = &list->first;
    task->next = NULL;
    return task;
}

static bool
task_list_remove(struct task_list *list, struct ps_task *task)
{
    for (struct ps_task **at = &list->first; *at; at = &(*at)->next) {
        if (*at != task)
            continue;
        *at = task->next;
        if (!*at)
            list->last = at;
        task->next = NULL;
        return true;
    }
    return false;
}

static void
wake_up(struct ps_loop *loop)
{
    uint64_t one = 1;
    ssize_t n;
    do {
        n = write(loop->wake_fd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR);
    /* EAGAIN: the counter is full, so it is readable anyway. */
    PS_CHECK(n == sizeof(one) || errno == EAGAIN);
}

void
ps_loop_post(struct ps_loop *loop, struct ps_task *task)
{
    PS_CHECK_OBJ(loop, LOOP_MAGIC);
    PS_CHECK(task->fn != NULL);
    pthread_mutex_lock(&loop->lock);
    task_list_push(&loop->inbox, task);
    bool must_wake = loop->asleep && inside != loop;
    if (must_wake)
        loop->asleep = false;
    pthread_mutex_unlock(&loop->lock);
    if (must_wake)
        wake_up(loop);
}

bool
ps_loop_unpost(struct ps_loop *loop, struct ps_task *task)
{
    PS_CHECK_OBJ(loop, LOOP_MAGIC);
    if (task_list_remove(&loop->batch, task))
        return true;
    pthread_mutex_lock(&loop->lock);
    bool found = task_list_remove(&loop->inbox, task);
    pthread_mutex_unlock(&loop->lock);
    return found;
}

/* Runs what is in the mailbox now; what these tasks post waits. */
static void
run_mailbox(struct ps_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->asleep = false;
    if (loop->inbox.first) {
        *loop->batch.last = loop->inbox.first;
        loop->batch.last = loop->inbox.last;
        task_list_init(&loop->inbox);
    }
    pthread_mutex_unlock(&loop->lock);

    struct ps_task *task;
    while (!atomic_load(&loop->stop) && (task = task_list_pop(&loop->batch))) {
        loop->ran++;
        task->fn(task);
    }
}

/* Announces sleep; false when there is something to do instead. */
static bool
may_sleep(struct ps_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    bool idle = !loop->inbox.first && !loop->batch.first;
    loop->asleep = idle;
    pthread_mutex_unlock(&loop->lock);
    return idle;
}

/* Empties an eventfd or a timerfd: both give a number of 8 bytes. */
static void
drain(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof(count));
    PS_CHECK(n == sizeof(count) || errno == EAGAIN || errno == EINTR);
}

static void
on_wake(evutil_socket_t fd, PS_UNUSED short what, PS_UNUSED void *arg)
{
    drain(fd);
}

/* ---- time ---- */

static uint64_t
now_us(struct ps_loop *loop)
{
    if (!loop->now_known) {
        loop->now_us = ps_clock_now_us(loop->clock);
        /* Outside of a turn nobody would say when it gets stale. */
        loop->now_known = inside == loop;
    }
    return loop->now_us;
}

uint64_t
ps_loop_now_ms(struct ps_loop *loop)
{
    PS_CHECK_OBJ(loop, LOOP_MAGIC);
    return now_us(loop) / 1000;
}

/* ---- timers ---- */

static bool
earlier(const struct ps_timer *a, const struct ps_timer *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void
heap_set(struct ps_loop *loop, size_t at, struct ps_timer *timer)
{
    loop->heap[at] = timer;
    timer->heap_index = at;
}

/* Moves timer from the free place `at` up or down to where it belongs. */
static void
heap_place(struct ps_loop *loop, size_t at, struct ps_timer *timer)
{
    while (at > 0 && earlier(timer, loop->heap[(at - 1) / 2])) {
        heap_set(loop, at, loop->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= loop->heap_len)
            break;
        if (child + 1 < loop->heap_len &&
            earlier(loop->heap[child + 1], loop->heap[child]))
            child++;
        if (!earlier(loop->heap[child], timer))
            break;
        heap_set(loop, at, loop->heap[child]);
        at = child;
    }
    heap_set(loop, at, timer);
}

static void
heap_remove(struct ps_loop *loop, struct ps_timer *timer)
{
    size_t at = timer->heap_index;
    PS_CHECK(at < loop->heap_len && loop->heap[at] == timer);
    struct ps_timer *last = loop->heap[--loop->heap_len];
    timer->heap_index = SIZE_MAX;
    if (last != timer)
        heap_place(loop, at, last);
}

void
ps_timer_init(struct ps_timer *timer, struct ps_loop *loop,
              void (*fn)(void *arg), void *arg)
{
    PS_CHECK_OBJ(loop, LOOP_MAGIC);
    *timer = (struct ps_timer){
        .loop = loop, .fn = fn, .arg = arg, .heap_index = SIZE_MAX};
}

void
ps_timer_start_ms(struct ps_timer *timer, uint64_t delay_ms)
{
    struct ps_loop *loop = timer->loop;
    PS_CHECK_OBJ(loop, LOOP_MAGIC);
    uint64_t now = ps_clock_now_us(loop->clock);
    bool far = delay_ms > (UINT64_MAX - now) / 1000;
    timer->due_us = far ? UINT64_MAX : now + delay_ms * 1000;
    timer->order = loop->timer_order++;
    if (ps_timer_active(timer)) {
        heap_place(loop, timer->heap_index, timer);
        return;
    }
    if (loop->heap_len == loop->heap_cap) {
        size_t cap = PS_MAX(loop->heap_cap * 2, (size_t)64);
        struct ps_timer **heap = reallocarray(loop->heap, cap, sizeof(*heap));
        /* A time-out that would silently not be set is worse than an end. */
        PS_CHECK(heap != NULL);
        loop->heap = heap;
        loop->heap_cap = cap;
    }
    heap_place(loop, loop->heap_len++, timer);
}

void
ps_timer_stop(struct ps_timer *timer)
{
    if (ps_timer_active(timer))
        heap_remove(timer->loop, timer);
}

bool
ps_timer_active(const struct ps_timer *timer)
{
    return timer->heap_index != SIZE_MAX;
}

/* Fires those that are due and were started before this turn's timers ran. */
static void
run_timers(struct ps_loop *loop)
{
    uint64_t limit = loop->timer_order, now = now_us(loop);
    while (loop->heap_len > 0 && !atomic_load(&loop->stop)) {
        struct ps_timer *timer = loop->heap[0];
        if (timer->due_us > now || timer->order >= limit)
            break;
        heap_remove(loop, timer);
        loop->ran++;
        timer->fn(timer->arg);
    }
}

static void
on_alarm(evutil_socket_t fd, PS_UNUSED short what, void *arg)
{
    struct ps_loop *loop = arg;
    drain(fd);
    loop->alarm_us = 0;
}

/* Sees to it that the loop wakes for the first timer, if not too early. Only
 * on a real clock: a virtual one is moved by whoever turns the loop. False: it
 * is due already, so the loop must not sleep; for a timer that is only to fire
 * in the next turn that is cheaper by three system calls. */
static bool
set_alarm(struct ps_loop *loop)
{
    if (loop->heap_len == 0 || ps_clock_is_virtual(loop->clock))
        return true;
    /* 0 would switch the timerfd off. */
    uint64_t due = PS_MAX(loop->heap[0]->due_us, UINT64_C(1));
    if (due == UINT64_MAX || (loop->alarm_us && loop->alarm_us <= due))
        return true;
    if (due <= ps_clock_now_us(loop->clock))
        return false;
    struct itimerspec at = {
        .it_value = {.tv_sec = (time_t)(due / 1000000),
                     .tv_nsec = (long)(due % 1000000) * 1000}
    };
    PS_CHECK(timerfd_settime(loop->alarm_fd, TFD_TIMER_ABSTIME, &at, NULL) ==
             0);
    loop->alarm_us = due;
    return true;
}

/* ---- watches ---- */

struct ps_watch {
    unsigned magic;
    struct ps_loop *loop;
    unsigned interest;
    struct event readable, writable;
    void (*fn)(void *arg, unsigned ready);
    void *arg;
};

static void
on_ready(PS_UNUSED evutil_socket_t fd, short what, void *arg)
{
    struct ps_watch *watch = arg;
    PS_CHECK_OBJ(watch, WATCH_MAGIC);
    watch->loop->ran++;
    watch->fn(watch->arg, what & EV_READ ? PS_IO_READ : PS_IO_WRITE);
}

struct ps_watch *
ps_watch_new(struct ps_loop *loop, int fd,
             void (*fn)(void *arg, unsigned ready), void *arg)
{
    PS_CHECK_OBJ(loop, LOOP_MAGIC);
    struct ps_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return NULL;
    watch->magic = WATCH_MAGIC;
    watch->loop = loop;
    watch->fn = fn;
    watch->arg = arg;
    PS_CHECK(event_assign(&watch->readable, loop->base, fd,
                          EV_READ | EV_PERSIST, on_ready, watch) == 0);
    PS_CHECK(event_assign(&watch->writable, loop->base, fd,
                          EV_WRITE | EV_PERSIST, on_ready, watch) == 0);
    return watch;
}

static void
set_event(struct event *event, bool on)
{
    PS_CHECK((on ? event_add(event, NULL) : event_del(event)) == 0);
}

void
ps_watch_set(struct ps_watch *watch, unsigned interest)
{
    PS_CHECK_OBJ(watch, WATCH_MAGIC);
    PS_CHECK((interest & ~(unsigned)(PS_IO_READ | PS_IO_WRITE)) == 0);
    unsigned changed = interest ^ watch->interest;
    watch->interest = interest;
    if (changed & PS_IO_READ)
        set_event(&watch->readable, interest & PS_IO_READ);
    if (changed & PS_IO_WRITE)
        set_event(&watch->writable, interest & PS_IO_WRITE);
}

void
ps_watch_free(struct ps_watch **watch)
{
    struct ps_watch *w = *watch;
    if (!w)
        return;
    ps_watch_set(w, 0);
    w->magic = 0;
    free(w);
    *watch = NULL;
}

/* ---- signals ---- */

struct ps_signal {
    struct ps_loop *loop;
    struct event event;
    void (*fn)(void *arg);
    void *arg;
};

static void
on_signal(PS_UNUSED evutil_socket_t number, PS_UNUSED short what, void *arg)
{
    struct ps_signal *signal = arg;
    signal->loop->ran++;
    signal->fn(signal->arg);
}

struct ps_signal *
ps_signal_new(struct ps_loop *loop, int number, void (*fn)(void *arg),
              void *arg)
{
    PS_CHECK_OBJ(loop, LOOP_MAGIC);
    struct ps_signal *signal = calloc(1, sizeof(*signal));
    if (!signal)
        return NULL;
    signal->loop = loop;
    signal->fn = fn;
    signal->arg = arg;
    if (event_assign(&signal->event, loop->base, number, EV_SIGNAL | EV_PERSIST,
                     on_signal, signal) != 0 ||
        event_add(&signal->event, NULL) != 0) {
        free(signal);
        return NULL;
    }
    return signal;
}

void
ps_signal_free(struct ps_signal **signal)
{
    struct ps_signal *s = *signal;
    if (!s)
        return;
    event_del(&s->event);
    free(s);
    *signal = NULL;
}

/* ---- life ---- */

static bool
open_descriptors(struct ps_loop *loop)
{
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->alarm_fd =
        timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct event_config *config = event_config_new();
    if (!config)
        return false;
    /* Loops are single threaded; the mailbox has its own lock. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    return loop->base && loop->wake_fd >= 0 && loop->alarm_fd >= 0 &&
           event_assign(&loop->wake, loop->base, loop->wake_fd,
                        EV_READ | EV_PERSIST, on_wake, loop) == 0 &&
           event_assign(&loop->alarm, loop->base, loop->alarm_fd,
                        EV_READ | EV_PERSIST, on_alarm, loop) == 0 &&
           event_add(&loop->wake, NULL) == 0 &&
           event_add(&loop->alarm, NULL) == 0;
}

static void
close_descriptors(struct ps_loop *loop)
{
    if (loop->base)
        event_base_free(loop->base); /* removes wake and alarm */
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->alarm_fd >= 0)
        close(loop->alarm_fd);
}

struct ps_loop *
ps_loop_new(struct ps_clock *clock, const char *name)
{
    struct ps_loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return NULL;
    loop->magic = LOOP_MAGIC;
    loop->name = name;
    loop->clock = clock;
    loop->alarm_fd = loop->wake_fd = -1;
    atomic_init(&loop->owner, pthread_self());
    atomic_init(&loop->stop, false);
    task_list_init(&loop->batch);
    task_list_init(&loop->inbox);
    pthread_mutex_init(&loop->lock, NULL);
    if (!open_descriptors(loop)) {
        ps_warn("loop", "cannot make event loop %s: %s", name, strerror(errno));
        close_descriptors(loop);
        pthread_mutex_destroy(&loop->lock);
        free(loop);
        return NULL;
    }
    return loop;
}

/* Marks this thread as inside the loop; returns what to put back. */
static struct ps_loop *
enter(struct ps_loop *loop)
{
    struct ps_loop *before = inside;
    PS_CHECK(before != loop);
    inside = loop;
    atomic_store(&loop->owner, pthread_self());
    return before;
}

static void
leave(struct ps_loop *loop, struct ps_loop *before)
{
    loop->now_known = false;
    inside = before;
}

static size_t
turn(struct ps_loop *loop, bool may_block)
{
    size_t before = loop->ran;
    bool block = set_alarm(loop) && may_block && may_sleep(loop);
    loop->now_known = false;
    int rc = event_base_loop(loop->base, block ? EVLOOP_ONCE : EVLOOP_NONBLOCK);
    PS_CHECK(rc >= 0);
    run_mailbox(loop);
    run_timers(loop);
    return loop->ran - before;
}

uint64_t
ps_loop_next_due_us(const struct ps_loop *loop)
{
    PS_CHECK_OBJ(loop, LOOP_MAGIC);
    return loop->heap_len ? loop->heap[0]->due_us : UINT64_MAX;
}

size_t
ps_loop_turn(struct ps_loop *loop)
{
    PS_CHECK_OBJ(loop, LOOP_MAGIC);
    struct ps_loop *before = enter(loop);
    size_t ran = turn(loop, false);
    leave(loop, before);
    return ran;
}

void
ps_loop_run(struct ps_loop *loop)
{
    PS_CHECK_OBJ(loop, LOOP_MAGIC);
    struct ps_loop *before = enter(loop);
    while (!atomic_load(&loop->stop))
        turn(loop, true);
    atomic_store(&loop->stop, false);
    leave(loop, before);
}

void
ps_loop_stop(struct ps_loop *loop)
{
    PS_CHECK_OBJ(loop, LOOP_MAGIC);
    atomic_store(&loop->stop, true);
    if (inside == loop)
        event_base_loopbreak(loop->base);
    else
        wake_up(loop);
}

void
ps_loop_free(struct ps_loop **loop)
{
    struct ps_loop *l = *loop;
    if (!l)
        return;
    PS_CHECK_OBJ(l, LOOP_MAGIC);
    atomic_store(&l->stop, false);
    struct ps_loop *before = enter(l);
    size_t ran;
    do {
        ran = l->ran;
        run_mailbox(l);
    } while (l->ran != ran);
    leave(l, before);

    PS_CHECK(l->heap_len == 0);
    close_descriptors(l);
    pthread_mutex_destroy(&l->lock);
    free(l->heap);
    l->magic = 0;
    free(l);
    *loop = NULL;
}

struct ps_clock *
ps_loop_clock(struct ps_loop *loop)
{
    PS_CHECK_OBJ(loop, LOOP_MAGIC);
    return loop->clock;
}

struct event_base *
ps_loop_base(struct ps_loop *loop)
{
    PS_CHECK_OBJ(loop, LOOP_MAGIC);
    return loop->base;
}

bool
ps_loop_is_current(const struct ps_loop *loop)
{
    PS_CHECK_OBJ(loop, LOOP_MAGIC);
    return pthread_equal(atomic_load(&loop->owner), pthread_self());
}
