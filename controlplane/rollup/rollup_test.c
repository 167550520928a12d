/* The roll-ups on a real file: once and whole, sums, retention, room. */
#include "common/log.h"
#include "controlplane/rollup/rollup.h"
#include "tests/unit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE "11111111-1111-4111-8111-111111111111"
#define OTHER "22222222-2222-4222-8222-222222222222"
#define AGENT "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"

static const int64_t MINUTE = 60000, HOUR = 3600000, DAY = 86400000;
/* 2026-11-28 12:00:00 UTC */
static const int64_t NOON = INT64_C(1795867200000);

struct world {
    char dir[64], path[96];
    struct ps_rollup *r;
    uint64_t number;
};

static int
setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    ps_log_set_level(PS_LOG_OFF);
    snprintf(w->dir, sizeof(w->dir), "/tmp/portside-rollup-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof(w->path), "%s/t.db", w->dir);
    assert_int_equal(ps_rollup_open(&w->r, w->path, INT64_C(1) << 30, NULL),
                     PS_OK);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    struct world *w = *state;
    char path[128];
    ps_rollup_close(&w->r);
    for (size_t i = 0; i < PS_ARRAY_LEN(ends); i++) {
        snprintf(path, sizeof(path), "%s%s", w->path, ends[i]);
        unlink(path);
    }
    rmdir(w->dir);
    free(w);
    return 0;
}

/* What one agent sends about one template. */
struct said {
    const char *cache, *region, *text;
    uint64_t fingerprint, hits, misses;
    int64_t wall_ms;
};

static void
pack(const struct said *s, struct ps_buf *out)
{
    struct ps_usage u = {
        .n = {[PS_USAGE_QUERIES] = s->hits + s->misses,
              [PS_USAGE_HITS] = s->hits,
              [PS_USAGE_MISSES] = s->misses}
    };
    for (uint64_t i = 0; i < s->hits; i++)
        ps_hist_add(&u.memory, 50);
    for (uint64_t i = 0; i < s->misses; i++)
        ps_hist_add(&u.origin, 5000);
    if (s->misses)
        ps_usage_count_reason(&u, PS_STR("first_seen"), s->misses);
    ps_buf_init(out, 1 << 16);
    ps_usage_pack(&u, out);
}

static enum ps_rc
send(struct world *w, const struct said *s, uint64_t number, bool *again,
     bool *unknown)
{
    struct ps_buf usage;
    pack(s, &usage);
    struct ps_rollup_item item = {.cache_id = s->cache ? s->cache : CACHE,
                                  .fingerprint = s->fingerprint,
                                  .text = s->text ? s->text : "",
                                  .usage = ps_buf_str(&usage)};
    struct ps_rollup_batch batch = {.agent_id = AGENT,
                                    .region = s->region ? s->region : "eu",
                                    .stream = "s1",
                                    .number = number,
                                    .wall_ms = s->wall_ms ? s->wall_ms : NOON,
                                    .items = &item,
                                    .n = 1};
    enum ps_rc rc = ps_rollup_add(w->r, &batch, again, NULL);
    *unknown = item.unknown;
    ps_buf_done(&usage);
    return rc;
}

static void
say(struct world *w, struct said s)
{
    bool again, unknown;
    assert_int_equal(send(w, &s, ++w->number, &again, &unknown), PS_OK);
    assert_false(again);
}

/* Rows as they were handed out. */
struct seen {
    size_t n;
    struct {
        char text[64], region[33], cache[40];
        uint64_t fingerprint, hits, queries;
        int64_t start_ms;
        uint64_t memory;
    } rows[64];
};

static void
note(void *arg, const struct ps_rollup_row *row)
{
    struct seen *seen = arg;
    assert_true(seen->n < PS_ARRAY_LEN(seen->rows));
    snprintf(seen->rows[seen->n].text, 64, "%s", row->text);
    snprintf(seen->rows[seen->n].region, 33, "%s", row->region);
    snprintf(seen->rows[seen->n].cache, 40, "%s", row->cache_id);
    seen->rows[seen->n].fingerprint = row->fingerprint;
    seen->rows[seen->n].hits = row->usage->n[PS_USAGE_HITS];
    seen->rows[seen->n].queries = row->usage->n[PS_USAGE_QUERIES];
    seen->rows[seen->n].memory = row->usage->memory.count;
    seen->rows[seen->n++].start_ms = row->start_ms;
}

static struct ps_rollup_query
query(int64_t from_ms, int64_t to_ms)
{
    struct ps_rollup_query q = {
        .cache_id = CACHE, .from_ms = from_ms, .to_ms = to_ms};
    ps_rollup_choose(&q);
    return q;
}

static struct seen
totals(struct world *w, struct ps_rollup_query q, enum ps_rollup_group group)
{
    struct seen seen = {.n = 0};
    assert_int_equal(ps_rollup_totals(w->r, &q, group, note, &seen, NULL),
                     PS_OK);
    return seen;
}

static struct seen
templates(struct world *w, struct ps_rollup_query q, size_t limit)
{
    struct seen seen = {.n = 0};
    assert_int_equal(
        ps_rollup_templates(w->r, &q, PS_USAGE_HITS, limit, note, &seen, NULL),
        PS_OK);
    return seen;
}

static void
a_batch_counts_once_however_often_it_is_sent(void **state)
{
    struct world *w = *state;
    const struct said s = {.fingerprint = 7, .text = "select ?", .hits = 3};
    bool again, unknown;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(send(w, &s, 1, &again, &unknown), PS_OK);
        assert_int_equal(again, i > 0);
    }
    assert_int_equal(send(w, &s, 2, &again, &unknown), PS_OK);
    assert_false(again);
    assert_int_equal(send(w, &s, 1, &again, &unknown), PS_OK);
    assert_true(again);
    struct seen seen = totals(w, query(NOON, NOON + HOUR), PS_ROLLUP_ALL);
    assert_int_equal(seen.rows[0].hits, 6);
    /* Also after a restart in between. */
    ps_rollup_close(&w->r);
    assert_int_equal(ps_rollup_open(&w->r, w->path, INT64_C(1) << 30, NULL),
                     PS_OK);
    assert_int_equal(send(w, &s, 2, &again, &unknown), PS_OK);
    assert_true(again);
    seen = totals(w, query(NOON, NOON + HOUR), PS_ROLLUP_ALL);
    assert_int_equal(seen.rows[0].hits, 6);
    assert_int_equal(seen.rows[0].memory, 6);
}

static void
what_cannot_be_read_adds_nothing(void **state)
{
    struct world *w = *state;
    const struct said good = {.fingerprint = 7, .text = "a", .hits = 3};
    struct ps_buf usage;
    bool again;
    pack(&good, &usage);
    struct ps_rollup_item items[2] = {
        {.cache_id = CACHE,
         .fingerprint = 1,
         .text = "a",
         .usage = ps_buf_str(&usage)    },
        {.cache_id = OTHER,
         .fingerprint = 2,
         .text = "b",
         .usage = PS_STR("\x41\x05\x01")},
    };
    struct ps_rollup_batch batch = {.agent_id = AGENT,
                                    .region = "eu",
                                    .stream = "s1",
                                    .number = 1,
                                    .wall_ms = NOON,
                                    .items = items,
                                    .n = 2};
    assert_int_equal(ps_rollup_add(w->r, &batch, &again, NULL), PS_BAD_FIELD);
    struct seen seen = totals(w, query(NOON, NOON + HOUR), PS_ROLLUP_ALL);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.rows[0].queries, 0);
    /* A cache's id is nothing else. */
    items[1] = (struct ps_rollup_item){.cache_id = "'; drop table usage --",
                                       .text = "",
                                       .usage = ps_buf_str(&usage)};
    assert_int_equal(ps_rollup_add(w->r, &batch, &again, NULL), PS_BAD_FIELD);
    /* The same number may come again then, and count. */
    items[1] = (struct ps_rollup_item){.cache_id = OTHER,
                                       .text = "b",
                                       .fingerprint = 2,
                                       .usage = ps_buf_str(&usage)};
    assert_int_equal(ps_rollup_add(w->r, &batch, &again, NULL), PS_OK);
    assert_false(again);
    struct ps_rollup_query q = query(NOON, NOON + HOUR);
    q.cache_id = NULL;
    seen = totals(w, q, PS_ROLLUP_CACHE);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.rows[0].hits + seen.rows[1].hits, 6);
    ps_buf_done(&usage);
}

static void
sums_by_time_region_and_template(void **state)
{
    struct world *w = *state;
    say(w, (struct said){.fingerprint = 7, .text = "seven", .hits = 1});
    say(w, (struct said){.fingerprint = 7,
                         .hits = 2,
                         .region = "us",
                         .wall_ms = NOON + 5 * MINUTE + 59999});
    say(w, (struct said){.fingerprint = 8,
                         .text = "eight",
                         .hits = 9,
                         .misses = 1,
                         .wall_ms = NOON + 5 * MINUTE});
    say(w, (struct said){.fingerprint = 0, .hits = 1, .region = "us"});
    struct ps_rollup_query q = query(NOON, NOON + HOUR);
    assert_int_equal(q.period, PS_ROLLUP_MINUTE);
    struct seen seen = totals(w, q, PS_ROLLUP_TIME);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.rows[0].start_ms, NOON);
    assert_int_equal(seen.rows[0].hits, 2);
    assert_int_equal(seen.rows[1].start_ms, NOON + 5 * MINUTE);
    assert_int_equal(seen.rows[1].hits, 11);
    seen = totals(w, q, PS_ROLLUP_REGION);
    assert_int_equal(seen.n, 2);
    assert_string_equal(seen.rows[0].region, "eu");
    assert_int_equal(seen.rows[0].hits, 10);
    assert_int_equal(seen.rows[1].hits, 3);
    seen = templates(w, q, 10);
    assert_int_equal(seen.n, 3);
    assert_string_equal(seen.rows[0].text, "eight");
    assert_int_equal(seen.rows[0].queries, 10);
    assert_string_equal(seen.rows[1].text, "seven");
    assert_int_equal(seen.rows[1].hits, 3);
    assert_string_equal(seen.rows[2].text, "");
    assert_int_equal(templates(w, q, 1).n, 1);
    /* Of a part. */
    q.region = "us";
    assert_int_equal(totals(w, q, PS_ROLLUP_ALL).rows[0].hits, 3);
    q.has_template = true;
    q.fingerprint = 7;
    assert_int_equal(totals(w, q, PS_ROLLUP_ALL).rows[0].hits, 2);
    q.region = "nowhere";
    assert_int_equal(totals(w, q, PS_ROLLUP_ALL).rows[0].hits, 0);
    /* The same by the hour and by the day, widened to whole ones. */
    q = query(NOON - 9 * DAY, NOON + 30 * MINUTE);
    assert_int_equal(q.period, PS_ROLLUP_DAY);
    seen = totals(w, q, PS_ROLLUP_TIME);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.rows[0].hits, 13);
    q = query(NOON - DAY, NOON + 30 * MINUTE);
    assert_int_equal(q.period, PS_ROLLUP_HOUR);
    assert_int_equal(totals(w, q, PS_ROLLUP_ALL).rows[0].hits, 13);
    q = query(NOON - DAY, NOON - 1);
    assert_int_equal(totals(w, q, PS_ROLLUP_ALL).rows[0].hits, 0);
}

static void
texts_are_asked_for_until_they_are_told(void **state)
{
    struct world *w = *state;
    struct said s = {.fingerprint = 7, .hits = 1};
    bool again, unknown;
    assert_int_equal(send(w, &s, 1, &again, &unknown), PS_OK);
    assert_true(unknown);
    s.text = "select \xff?"; /* cut where it is no UTF-8 */
    assert_int_equal(send(w, &s, 2, &again, &unknown), PS_OK);
    assert_false(unknown);
    s.text = "";
    assert_int_equal(send(w, &s, 3, &again, &unknown), PS_OK);
    assert_false(unknown);
    s.fingerprint = 0; /* "other" has none */
    assert_int_equal(send(w, &s, 4, &again, &unknown), PS_OK);
    assert_false(unknown);
    struct seen seen = templates(w, query(NOON, NOON + HOUR), 10);
    assert_string_equal(seen.rows[0].text, "select ");
    assert_int_equal(seen.rows[0].hits, 3);
}

static void
prune(struct world *w, int64_t wall_ms)
{
    bool more = true;
    for (unsigned i = 0; more; i++) {
        assert_true(i < 100000);
        assert_int_equal(ps_rollup_prune(w->r, wall_ms, &more, NULL), PS_OK);
    }
}

static void
what_is_old_goes_the_finest_first(void **state)
{
    struct world *w = *state;
    say(w, (struct said){.fingerprint = 7, .text = "a", .hits = 1});
    struct ps_rollup_query minutes = query(NOON, NOON + HOUR), hours = minutes,
                           days = minutes;
    hours.period = PS_ROLLUP_HOUR;
    days.period = PS_ROLLUP_DAY;
    prune(w, NOON + 23 * HOUR);
    assert_int_equal(templates(w, minutes, 10).n, 1);
    prune(w, NOON + 25 * HOUR);
    assert_int_equal(templates(w, minutes, 10).n, 0);
    assert_int_equal(totals(w, minutes, PS_ROLLUP_ALL).rows[0].hits, 1);
    assert_int_equal(templates(w, hours, 10).n, 1);
    prune(w, NOON + 5 * DAY);
    assert_int_equal(totals(w, minutes, PS_ROLLUP_ALL).rows[0].hits, 0);
    prune(w, NOON + 32 * DAY);
    assert_int_equal(templates(w, hours, 10).n, 0);
    assert_int_equal(templates(w, days, 10).n, 1);
    prune(w, NOON + 402 * DAY);
    assert_int_equal(templates(w, days, 10).n, 0);
    assert_int_equal(totals(w, days, PS_ROLLUP_ALL).rows[0].hits, 0);
    struct ps_rollup_stats stats;
    ps_rollup_stats(w->r, &stats);
    assert_int_equal(stats.templates, 0);
}

static void
what_is_too_much_makes_room(void **state)
{
    struct world *w = *state;
    struct ps_rollup_stats stats;
    ps_rollup_close(&w->r);
    assert_int_equal(ps_rollup_open(&w->r, w->path, 120 << 10, NULL), PS_OK);
    for (unsigned minute = 0; minute < 120; minute++)
        for (uint64_t f = 1; f <= 30; f++)
            say(w, (struct said){.fingerprint = f,
                                 .text = "a",
                                 .hits = 1,
                                 .misses = 1,
                                 .wall_ms = NOON + minute * MINUTE});
    prune(w, NOON + 2 * HOUR);
    ps_rollup_stats(w->r, &stats);
    assert_true(stats.bytes <= 120 << 10);
    struct ps_rollup_query q = query(NOON, NOON + 2 * HOUR);
    /* The newest minutes are there, the oldest are not; no hour is missing,
     * nor anything of the totals. */
    struct ps_rollup_query last = q;
    last.from_ms = NOON + 119 * MINUTE;
    assert_int_equal(templates(w, last, 60).n, 30);
    last.to_ms = NOON + MINUTE;
    last.from_ms = NOON;
    assert_int_equal(templates(w, last, 60).n, 0);
    assert_int_equal(totals(w, q, PS_ROLLUP_ALL).rows[0].hits, 120 * 30);
    q.period = PS_ROLLUP_HOUR;
    struct seen seen = templates(w, q, 60);
    assert_int_equal(seen.n, 30);
    assert_int_equal(seen.rows[0].hits, 120);
}

static void
a_cache_that_is_deleted_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct ps_rollup_stats stats;
    say(w, (struct said){.fingerprint = 7, .text = "a", .hits = 1});
    say(w, (struct said){
               .fingerprint = 8, .text = "b", .hits = 1, .cache = OTHER});
    assert_int_equal(ps_rollup_drop_cache(w->r, CACHE, NULL), PS_OK);
    assert_int_equal(
        totals(w, query(NOON, NOON + HOUR), PS_ROLLUP_ALL).rows[0].hits, 0);
    /* Also when it is not finished before a restart. */
    ps_rollup_close(&w->r);
    assert_int_equal(ps_rollup_open(&w->r, w->path, INT64_C(1) << 30, NULL),
                     PS_OK);
    prune(w, NOON);
    ps_rollup_stats(w->r, &stats);
    assert_int_equal(stats.templates, 1);
    struct ps_rollup_query q = query(NOON, NOON + HOUR);
    q.cache_id = NULL;
    struct seen seen = totals(w, q, PS_ROLLUP_CACHE);
    assert_int_equal(seen.n, 1);
    assert_string_equal(seen.rows[0].cache, OTHER);
    /* One of the same id begins anew. */
    say(w, (struct said){.fingerprint = 7, .text = "a", .hits = 5});
    assert_int_equal(
        totals(w, query(NOON, NOON + HOUR), PS_ROLLUP_ALL).rows[0].hits, 5);
}

static void
templates_are_bounded(void **state)
{
    struct world *w = *state;
    static struct ps_rollup_item items[PS_ROLLUP_ITEMS_MAX];
    const struct said s = {.hits = 1};
    struct ps_buf usage;
    bool again;
    pack(&s, &usage);
    for (uint64_t from = 1; from < PS_ROLLUP_TEMPLATES_MAX + 4000;
         from += PS_ROLLUP_ITEMS_MAX) {
        for (size_t i = 0; i < PS_ROLLUP_ITEMS_MAX; i++)
            items[i] = (struct ps_rollup_item){.cache_id = CACHE,
                                               .fingerprint = from + i,
                                               .text = "t",
                                               .usage = ps_buf_str(&usage)};
        struct ps_rollup_batch batch = {.agent_id = AGENT,
                                        .region = "eu",
                                        .stream = "s1",
                                        .number = ++w->number,
                                        .wall_ms = NOON,
                                        .items = items,
                                        .n = PS_ROLLUP_ITEMS_MAX};
        assert_int_equal(ps_rollup_add(w->r, &batch, &again, NULL), PS_OK);
    }
    struct ps_rollup_stats stats;
    ps_rollup_stats(w->r, &stats);
    assert_int_equal(stats.templates, PS_ROLLUP_TEMPLATES_MAX + 1);
    struct seen seen = templates(w, query(NOON, NOON + MINUTE), 2);
    assert_int_equal(seen.rows[0].fingerprint, 0);
    assert_true(seen.rows[0].hits >= 4000);
    assert_int_equal(seen.rows[1].hits, 1);
    /* Too many for minutes: by the hour, and that is said. */
    struct ps_rollup_query q = query(NOON, NOON + HOUR);
    seen = (struct seen){.n = 0};
    assert_int_equal(
        ps_rollup_templates(w->r, &q, PS_USAGE_HITS, 2, note, &seen, NULL),
        PS_OK);
    assert_int_equal(q.period, PS_ROLLUP_HOUR);
    assert_int_equal(seen.n, 2);
    /* Too many even for days: ranked by some, summed up over all. */
    say(w,
        (struct said){.fingerprint = 0, .hits = 5, .wall_ms = NOON - 3 * DAY});
    q = query(NOON - 29 * DAY, NOON + HOUR);
    uint64_t before = seen.rows[0].hits;
    seen = (struct seen){.n = 0};
    assert_int_equal(
        ps_rollup_templates(w->r, &q, PS_USAGE_HITS, 2, note, &seen, NULL),
        PS_OK);
    assert_int_equal(q.period, PS_ROLLUP_DAY);
    assert_int_equal(seen.rows[0].fingerprint, 0);
    assert_int_equal(seen.rows[0].hits, before + 5);
    ps_buf_done(&usage);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_batch_counts_once_however_often_it_is_sent),
        TEST(what_cannot_be_read_adds_nothing),
        TEST(sums_by_time_region_and_template),
        TEST(texts_are_asked_for_until_they_are_told),
        TEST(what_is_old_goes_the_finest_first),
        TEST(what_is_too_much_makes_room),
        TEST(a_cache_that_is_deleted_leaves_nothing),
        TEST(templates_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
