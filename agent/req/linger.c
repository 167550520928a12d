/* See linger.h. */
#include "agent/req/linger.h"

#include "agent/cache/broken.h"
#include "common/check.h"
#include "common/log.h"

#include <stdlib.h>

static void on_timer(void *arg);

void
ps_lingers_init(struct ps_lingers *lingers, struct ps_loop *loop,
                struct ps_spaces *spaces, const struct ps_publisher *publisher)
{
    memset(lingers, 0, sizeof(*lingers));
    lingers->loop = loop;
    lingers->spaces = spaces;
    lingers->publisher = publisher;
    lingers->everywhere = (struct ps_change){.catalog = true};
    lingers->everything.change = &lingers->everywhere;
    ps_list_init(&lingers->narrow);
    ps_list_init(&lingers->wide);
    ps_timer_init(&lingers->timer, loop, on_timer, lingers);
}

size_t
ps_lingers_count(const struct ps_lingers *lingers)
{
    return lingers->narrow.count + lingers->wide.count +
           lingers->everything.write.open;
}

static uint64_t
now_ms(const struct ps_lingers *lingers)
{
    return ps_clock_now_ms(ps_loop_clock(lingers->loop));
}

/* ---- the passing of time ---- */

static void
tell(struct ps_lingers *lingers, const struct ps_change *change)
{
    const struct ps_publisher *publisher = lingers->publisher;
    publisher->publish(publisher->arg, change, NULL);
}

/* It can have no effect any more. What was read until now may be old: the
 * window's end is a change like its begin. */
static void
settle(struct ps_lingers *lingers, struct ps_linger *linger)
{
    struct ps_change change = *linger->change;
    if (ps_write_end(&linger->write)) {
        change.tables = NULL;
        change.n_tables = 0;
        change.rows = NULL;
    }
    tell(lingers, &change);
}

/* True: it is over. */
static bool
look_at(struct ps_lingers *lingers, struct ps_linger *linger, uint64_t now,
        uint64_t *next)
{
    if (linger->until_ms <= now) {
        settle(lingers, linger);
        return true;
    }
    if (linger->tell_ms <= now) {
        tell(lingers, linger->change);
        linger->tell_ms = now + PS_LINGER_TELL_MS;
    }
    *next = PS_MIN(*next, PS_MIN(linger->tell_ms, linger->until_ms));
    return false;
}

static void
free_linger(struct ps_linger *linger)
{
    free(linger->change);
    free(linger);
}

static void
look_through(struct ps_lingers *lingers, struct ps_list *list, uint64_t now,
             uint64_t *next)
{
    PS_LIST_FOREACH_SAFE(list, it, tmp) {
        struct ps_linger *linger = PS_CONTAINER_OF(it, struct ps_linger, link);
        if (!look_at(lingers, linger, now, next))
            continue;
        ps_list_remove(list, it);
        free_linger(linger);
    }
}

static void
on_timer(void *arg)
{
    struct ps_lingers *lingers = arg;
    uint64_t now = now_ms(lingers), next = UINT64_MAX;
    look_through(lingers, &lingers->narrow, now, &next);
    look_through(lingers, &lingers->wide, now, &next);
    if (lingers->everything.write.open)
        (void)look_at(lingers, &lingers->everything, now, &next);
    if (next != UINT64_MAX)
        ps_timer_start_ms(&lingers->timer, next - now);
}

static void
close_untold(struct ps_write *write)
{
    bool whole = ps_write_end(write);
    (void)whole;
}

/* ---- one more ---- */

static void
begin(struct ps_lingers *lingers, struct ps_linger *linger, uint64_t until_ms)
{
    linger->until_ms = until_ms;
    linger->tell_ms = now_ms(lingers) + PS_LINGER_TELL_MS;
    if (!ps_timer_active(&lingers->timer))
        ps_timer_start_ms(&lingers->timer, PS_LINGER_TELL_MS);
}

static struct ps_linger *
new_linger(const struct ps_change *change)
{
    struct ps_linger *linger = calloc(1, sizeof(*linger));
    if (linger)
        linger->change = ps_change_copy(change);
    if (!linger || linger->change)
        return linger;
    free(linger);
    return NULL;
}

static bool
add_narrow(struct ps_lingers *lingers, struct ps_write *write,
           const struct ps_change *change, uint64_t until_ms)
{
    if (lingers->narrow.count >= PS_LINGER_MAX)
        return false;
    struct ps_linger *linger = new_linger(change);
    if (!linger)
        return false;
    ps_write_move(write, &linger->write);
    ps_list_push_back(&lingers->narrow, &linger->link);
    begin(lingers, linger, until_ms);
    return true;
}

static bool
same(struct ps_str a, struct ps_str b)
{
    return !a.ptr == !b.ptr && ps_str_eq(a, b);
}

static struct ps_linger *
find_wide(struct ps_lingers *lingers, const struct ps_change *change)
{
    PS_LIST_FOREACH_SAFE(&lingers->wide, it, tmp) {
        struct ps_linger *linger = PS_CONTAINER_OF(it, struct ps_linger, link);
        if (same(linger->change->cache_id, change->cache_id) &&
            same(linger->change->database, change->database))
            return linger;
    }
    return NULL;
}

/* All of the database (or databases) that the change is about. */
static struct ps_linger *
make_wide(struct ps_lingers *lingers, const struct ps_change *change)
{
    const struct ps_change all = {.cache_id = change->cache_id,
                                  .database = change->database,
                                  .catalog = true};
    if (lingers->wide.count >= PS_LINGER_MAX)
        return NULL;
    struct ps_linger *linger = new_linger(&all);
    if (!linger)
        return NULL;
    ps_warn("req", "too many writes of unknown outcome: nothing of their "
                   "database is kept until they are over");
    ps_write_begin(lingers->spaces, linger->change, 0, &linger->write);
    ps_list_push_back(&lingers->wide, &linger->link);
    begin(lingers, linger, 0);
    return linger;
}

static struct ps_linger *
widest(struct ps_lingers *lingers)
{
    struct ps_linger *linger = &lingers->everything;
    if (linger->write.open)
        return linger;
    ps_warn("req", "too many writes of unknown outcome: nothing at all is "
                   "kept until they are over");
    ps_write_begin(lingers->spaces, linger->change, 0, &linger->write);
    begin(lingers, linger, 0);
    return linger;
}

/* The wider window is open before the write's own is closed. */
static void
add_wide(struct ps_lingers *lingers, struct ps_write *write,
         const struct ps_change *change, uint64_t until_ms)
{
    struct ps_linger *linger = find_wide(lingers, change);
    if (!linger)
        linger = make_wide(lingers, change);
    if (!linger)
        linger = widest(lingers);
    linger->until_ms = PS_MAX(linger->until_ms, until_ms);
    close_untold(write); /* the wider one is told, now and at its end */
    tell(lingers, linger->change);
}

void
ps_lingers_add(struct ps_lingers *lingers, struct ps_write *write,
               const struct ps_change *change, uint64_t limit_ms)
{
    uint64_t lasts_ms = limit_ms + PS_LINGER_MARGIN_MS;
    uint64_t until_ms = now_ms(lingers) + lasts_ms;
    const struct ps_publisher *publisher = lingers->publisher;
    PS_CHECK(write->open);
    /* From now on a goodbye says that something is left. */
    publisher->write_lingers(publisher->arg, lasts_ms);
    if (PS_BROKEN(lost_write))
        close_untold(write);
    else if (!add_narrow(lingers, write, change, until_ms))
        add_wide(lingers, write, change, until_ms);
}

static void
drop_all(struct ps_list *list)
{
    struct ps_link *link;
    while ((link = ps_list_pop_front(list)) != NULL) {
        struct ps_linger *linger =
            PS_CONTAINER_OF(link, struct ps_linger, link);
        close_untold(&linger->write);
        free_linger(linger);
    }
}

void
ps_lingers_done(struct ps_lingers *lingers)
{
    ps_timer_stop(&lingers->timer);
    drop_all(&lingers->narrow);
    drop_all(&lingers->wide);
    if (lingers->everything.write.open)
        close_untold(&lingers->everything.write);
}
