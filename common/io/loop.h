/*
 * One event loop: file descriptors, timers, signals and a mailbox. The only
 * user of libevent's event API besides the agent's front and the REST server.
 *
 *   other threads --ps_loop_post()--> [mailbox] --+
 *   descriptors   --libevent--------------------- +--> callbacks, one at a
 *   timers        --heap on the loop's ps_clock---+    time, on this thread
 *
 * Everything but ps_loop_post and ps_loop_stop is for the loop's own thread
 * (or before it runs). Timers run on the clock the loop was born with, so a
 * loop on a virtual clock is driven by hand: ps_clock_virtual_advance_us()
 * then ps_loop_turn() until it returns 0. A callback may start, stop or free
 * any timer or watch, its own included.
 *
 * One turn: ready descriptors, then what was in the mailbox, then the timers
 * that were due. What a callback posts or starts (even with delay 0) runs in
 * the next turn at the earliest, so that no callback can starve the others.
 *
 * A program that writes to sockets ignores SIGPIPE itself, in main().
 */
#ifndef PS_COMMON_IO_LOOP_H
#define PS_COMMON_IO_LOOP_H

#include "common/base.h"
#include "common/clock.h"
#include "common/err.h"

struct event_base;
struct ps_loop;

/* name: static text for logs. NULL without memory or descriptors. */
struct ps_loop *ps_loop_new(struct ps_clock *clock, const char *name);
/* Runs what is still in the mailbox, then frees. No timer or watch of this
 * loop may be active any more. */
void ps_loop_free(struct ps_loop **loop);
/* Until ps_loop_stop(). */
void ps_loop_run(struct ps_loop *loop);
/* Any thread; ps_loop_run returns after the callback it is in. Called before
 * ps_loop_run, makes that return at once. */
void ps_loop_stop(struct ps_loop *loop);
/* One turn without blocking. Returns how many callbacks of tasks, timers,
 * watches and signals ran (not those of foreign events on ps_loop_base). */
size_t ps_loop_turn(struct ps_loop *loop);
/* When its first timer is due, UINT64_MAX: none. Who moves a virtual clock
 * goes from one to the next. */
uint64_t ps_loop_next_due_us(const struct ps_loop *loop);
struct ps_clock *ps_loop_clock(struct ps_loop *loop);
/* Time read once per turn: cheap, good enough for time-outs. */
uint64_t ps_loop_now_ms(struct ps_loop *loop);
/* For code with sockets of its own (the front, evhttp). */
struct event_base *ps_loop_base(struct ps_loop *loop);
/* Whether this thread is the one that last ran the loop, or made it if none
 * has run it yet. */
bool ps_loop_is_current(const struct ps_loop *loop);

/* A posted task; embed it in what it is about: posting never allocates and
 * never fails. It may be posted again from its own fn on. Tasks posted by one
 * thread to one loop run in that order. */
struct ps_task {
    struct ps_task *next;
    void (*fn)(struct ps_task *task);
};
void ps_loop_post(struct ps_loop *loop, struct ps_task *task);
/* On the loop's thread: takes a posted task back, so that what it is embedded
 * in can be freed; false when it was not waiting. Linear in the mailbox. */
bool ps_loop_unpost(struct ps_loop *loop, struct ps_task *task);

/* Timers that are due at the same time fire in the order they were started.
 * All members belong to the loop; a timer that is not active may be freed. */
struct ps_timer {
    struct ps_loop *loop;
    void (*fn)(void *arg);
    void *arg;
    uint64_t due_us, order;
    size_t heap_index; /* SIZE_MAX: not started */
};
void ps_timer_init(struct ps_timer *timer, struct ps_loop *loop,
                   void (*fn)(void *arg), void *arg);
/* (Re)starts it; it fires once. */
void ps_timer_start_ms(struct ps_timer *timer, uint64_t delay_ms);
void ps_timer_stop(struct ps_timer *timer);
bool ps_timer_active(const struct ps_timer *timer);

enum {
    PS_IO_READ = 1,
    PS_IO_WRITE = 2
};
/* A descriptor somebody else opened and closes, the latter after
 * ps_watch_free. Level triggered; fn gets one of PS_IO_* at a time. Starts
 * with no interest. NULL without memory. */
struct ps_watch;
struct ps_watch *ps_watch_new(struct ps_loop *loop, int fd,
                              void (*fn)(void *arg, unsigned ready), void *arg);
/* interest: any of PS_IO_*, 0 for none. */
void ps_watch_set(struct ps_watch *watch, unsigned interest);
void ps_watch_free(struct ps_watch **watch);

/* A signal as a callback on the loop; on one loop of the process only. NULL
 * without memory. */
struct ps_signal;
struct ps_signal *ps_signal_new(struct ps_loop *loop, int number,
                                void (*fn)(void *arg), void *arg);
void ps_signal_free(struct ps_signal **signal);

/* A thread that runs a loop: all signals blocked in it, so that they reach
 * the main thread; name (at most 15 bytes) as shown by ps and gdb. */
struct ps_thread;
PS_MUST_USE enum ps_rc ps_thread_start(struct ps_thread **thread,
                                       const char *name, void (*fn)(void *arg),
                                       void *arg);
/* Waits for it to end, then frees. */
void ps_thread_join(struct ps_thread **thread);

#endif
