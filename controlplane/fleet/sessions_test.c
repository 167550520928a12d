/* Leases, lost agents and acknowledgements on a clock that is a variable. */
#include "controlplane/fleet/sessions.h"
#include "tests/unit.h"

#include <stdio.h>

enum {
    LEASE = 2000,
    LOST_AFTER = 1500,
    MARGIN = 100,
    WRITE = 35000
};

struct world {
    struct ps_sessions *sessions;
    uint64_t now;
    int lost;
    char secret[PS_SESSION_SECRET_HEX];
};

static int
setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct ps_sessions_conf conf = {
        .lease_ms = LEASE, .lost_after_ms = LOST_AFTER, .margin_ms = MARGIN};
    w->sessions = ps_sessions_new(&conf);
    w->now = 10000;
    *state = w;
    return w->sessions ? 0 : -1;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    ps_sessions_free(&w->sessions);
    free(w);
    return 0;
}

static struct ps_member *
add(struct world *w, const char *id, bool open)
{
    struct ps_agent agent = {.open = open};
    snprintf(agent.id, sizeof(agent.id), "%s", id);
    assert_int_equal(ps_sessions_add(w->sessions, &agent, w->now), PS_OK);
    struct ps_member *member = ps_sessions_find(w->sessions, id);
    assert_non_null(member);
    return member;
}

static enum ps_flush
hello(struct world *w, struct ps_member *member)
{
    enum ps_flush flush = PS_NO_FLUSH;
    assert_int_equal(
        ps_sessions_hello(w->sessions, member, w->now, w->secret, &flush),
        PS_OK);
    return flush;
}

static void
beat(struct world *w, struct ps_member *member, uint64_t applied)
{
    ps_sessions_heartbeat(w->sessions, member, applied, 1, w->now);
}

static void
on_lost(void *arg, struct ps_member *member)
{
    struct world *w = arg;
    assert_true(member->lost);
    w->lost++;
}

static enum ps_flush
expire(struct world *w)
{
    return ps_sessions_expire(w->sessions, w->now, on_lost, w);
}

/* ------------------------------------------------------------- sessions */

static void
a_session_needs_its_secret(void **state)
{
    struct world *w = *state;
    struct ps_member *a = add(w, "a", false), *found = NULL;
    assert_int_equal(hello(w, a), PS_NO_FLUSH);
    assert_int_equal(strlen(w->secret), 64);
    assert_int_equal(
        ps_sessions_authenticate(w->sessions, a->session_id, w->secret, &found),
        PS_OK);
    assert_ptr_equal(found, a);
    w->secret[0] ^= 1;
    assert_int_equal(
        ps_sessions_authenticate(w->sessions, a->session_id, w->secret, &found),
        PS_UNAUTHORIZED);
    assert_int_equal(
        ps_sessions_authenticate(w->sessions, "", w->secret, &found),
        PS_UNAUTHORIZED);
}

static void
a_new_hello_ends_the_old_session(void **state)
{
    struct world *w = *state;
    char old_id[37], old_secret[PS_SESSION_SECRET_HEX];
    struct ps_member *a = add(w, "a", false), *found;
    hello(w, a);
    memcpy(old_id, a->session_id, sizeof(old_id));
    memcpy(old_secret, w->secret, sizeof(old_secret));
    /* The first process may have had writes under way. */
    assert_int_equal(hello(w, a), PS_FLUSH);
    assert_int_equal(
        ps_sessions_authenticate(w->sessions, old_id, old_secret, &found),
        PS_UNAUTHORIZED);
}

static void
a_clean_goodbye_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct ps_member *a = add(w, "a", false);
    hello(w, a);
    beat(w, a, 0);
    assert_int_equal(ps_sessions_goodbye(w->sessions, a, true, 0, w->now),
                     PS_NO_FLUSH);
    assert_false(a->agent.open);
    w->now += 100000;
    assert_int_equal(expire(w), PS_NO_FLUSH);
    assert_int_equal(w->lost, 0);
    assert_int_equal(hello(w, a), PS_NO_FLUSH);
}

/* ----------------------------------------------------------- lost agents */

static void
silence_makes_an_agent_lost(void **state)
{
    struct world *w = *state;
    struct ps_member *a = add(w, "a", false), *b = add(w, "b", false);
    hello(w, a);
    hello(w, b);
    beat(w, a, 0);
    beat(w, b, 0);
    assert_int_equal(ps_sessions_next_due(w->sessions), w->now + LOST_AFTER);
    w->now += LOST_AFTER - 1;
    beat(w, b, 0);
    assert_int_equal(expire(w), PS_NO_FLUSH);
    assert_false(ps_sessions_restricted(w->sessions));
    w->now += 1;
    assert_int_equal(expire(w), PS_FLUSH);
    assert_int_equal(w->lost, 1);
    assert_true(a->lost);
    assert_false(b->lost);
    assert_true(ps_sessions_restricted(w->sessions));
    /* Once only. */
    beat(w, b, 0);
    assert_int_equal(expire(w), PS_NO_FLUSH);
    assert_int_equal(w->lost, 1);
}

static void
a_lost_agent_must_say_hello(void **state)
{
    struct world *w = *state;
    struct ps_member *a = add(w, "a", false), *found;
    char id[37], secret[PS_SESSION_SECRET_HEX];
    hello(w, a);
    memcpy(id, a->session_id, sizeof(id));
    memcpy(secret, w->secret, sizeof(secret));
    w->now += LOST_AFTER;
    assert_int_equal(expire(w), PS_FLUSH);
    assert_int_equal(ps_sessions_authenticate(w->sessions, id, secret, &found),
                     PS_UNAUTHORIZED);
    assert_int_equal(hello(w, a), PS_FLUSH);
    assert_false(ps_sessions_restricted(w->sessions));
}

static void
known_from_before_and_silent_is_lost(void **state)
{
    struct world *w = *state;
    struct ps_member *open = add(w, "open", true);
    struct ps_member *closed = add(w, "closed", false);
    w->now += LOST_AFTER;
    assert_int_equal(expire(w), PS_FLUSH);
    assert_true(open->lost);
    assert_false(closed->lost);
    assert_true(ps_sessions_restricted(w->sessions));
}

static void
known_from_before_and_back_flushes(void **state)
{
    struct world *w = *state;
    struct ps_member *open = add(w, "open", true);
    w->now += 100;
    assert_int_equal(hello(w, open), PS_FLUSH);
    assert_false(ps_sessions_restricted(w->sessions));
}

static void
an_unclean_goodbye_is_a_loss(void **state)
{
    struct world *w = *state;
    struct ps_member *a = add(w, "a", false);
    hello(w, a);
    beat(w, a, 0);
    assert_int_equal(ps_sessions_goodbye(w->sessions, a, false, 0, w->now),
                     PS_FLUSH);
    assert_true(ps_sessions_restricted(w->sessions));
    assert_true(a->agent.open);
}

static void
revoking_flushes_now_and_when_the_lease_is_over(void **state)
{
    struct world *w = *state;
    struct ps_member *a = add(w, "a", false), *found;
    hello(w, a);
    beat(w, a, 0);
    a->agent.revoked_ms = 1;
    assert_int_equal(ps_sessions_revoke(w->sessions, a, WRITE, w->now),
                     PS_FLUSH);
    assert_int_equal(
        ps_sessions_authenticate(w->sessions, a->session_id, w->secret, &found),
        PS_FORBIDDEN);
    assert_int_equal(ps_sessions_next_due(w->sessions),
                     w->now + LEASE + MARGIN);
    w->now += LEASE + MARGIN - 1;
    assert_int_equal(expire(w), PS_NO_FLUSH);
    w->now += 1;
    assert_int_equal(expire(w), PS_FLUSH);
    /* Its last write, sent at the end of its lease, may still commit. */
    assert_true(ps_sessions_restricted(w->sessions));
    w->now += WRITE - 1;
    assert_int_equal(expire(w), PS_NO_FLUSH);
    w->now += 1;
    assert_int_equal(expire(w), PS_FLUSH);
    assert_false(ps_sessions_restricted(w->sessions));
    assert_int_equal(ps_sessions_next_due(w->sessions), UINT64_MAX);
    assert_int_equal(w->lost, 0);
}

static void
revoking_lifts_the_restriction_once_nothing_is_left(void **state)
{
    struct world *w = *state;
    struct ps_member *a = add(w, "a", true);
    w->now += LOST_AFTER;
    assert_int_equal(expire(w), PS_FLUSH);
    a->agent.revoked_ms = 1;
    assert_int_equal(ps_sessions_revoke(w->sessions, a, WRITE, w->now),
                     PS_FLUSH);
    assert_true(ps_sessions_restricted(w->sessions));
    w->now += LEASE + MARGIN + WRITE;
    assert_int_equal(expire(w), PS_FLUSH);
    assert_false(ps_sessions_restricted(w->sessions));
    assert_int_equal(ps_sessions_next_due(w->sessions), UINT64_MAX);
}

/* What the caller does with the hello of an instance. */
static enum ps_flush
hello_of(struct world *w, struct ps_member *member, const char *instance)
{
    if (ps_sessions_died(member, instance))
        member->agent.unsettled_ms = WRITE;
    snprintf(member->agent.instance, sizeof(member->agent.instance), "%s",
             instance);
    return hello(w, member);
}

static void
a_new_process_leaves_writes_of_the_old_one(void **state)
{
    struct world *w = *state;
    struct ps_member *a = add(w, "a", false);
    assert_int_equal(hello_of(w, a, "1"), PS_NO_FLUSH);
    assert_false(ps_sessions_restricted(w->sessions));
    /* It was only away. */
    assert_int_equal(hello_of(w, a, "1"), PS_FLUSH);
    assert_false(ps_sessions_restricted(w->sessions));
    assert_int_equal(hello_of(w, a, "2"), PS_FLUSH);
    assert_true(ps_sessions_restricted(w->sessions));
    for (unsigned passed = 0; passed + 1000 < WRITE; passed += 1000) {
        w->now += 1000;
        beat(w, a, 0);
        assert_int_equal(expire(w), PS_NO_FLUSH);
    }
    assert_true(ps_sessions_restricted(w->sessions));
    w->now += 1000;
    beat(w, a, 0);
    assert_int_equal(expire(w), PS_FLUSH);
    assert_true(a->changed); /* to be written down */
    assert_int_equal(a->agent.unsettled_ms, 0);
    assert_false(ps_sessions_restricted(w->sessions));
    assert_int_equal(w->lost, 0);
}

static void
an_instance_that_is_not_told_counts_as_a_new_one(void **state)
{
    struct world *w = *state;
    struct ps_member *a = add(w, "a", false);
    hello_of(w, a, "");
    assert_false(ps_sessions_restricted(w->sessions));
    hello_of(w, a, "");
    assert_true(ps_sessions_restricted(w->sessions));
}

static void
a_goodbye_may_leave_a_write_behind(void **state)
{
    struct world *w = *state;
    struct ps_member *a = add(w, "a", false);
    hello_of(w, a, "1");
    assert_int_equal(ps_sessions_goodbye(w->sessions, a, true, 700, w->now),
                     PS_FLUSH);
    assert_false(a->agent.open);
    assert_true(ps_sessions_restricted(w->sessions));
    /* The next process takes nothing of that away, and adds nothing. */
    w->now += 300;
    assert_int_equal(hello_of(w, a, "2"), PS_NO_FLUSH);
    assert_true(ps_sessions_restricted(w->sessions));
    w->now += 700;
    beat(w, a, 0);
    assert_int_equal(expire(w), PS_FLUSH);
    assert_false(ps_sessions_restricted(w->sessions));
}

static void
a_restart_of_ours_shortens_nothing(void **state)
{
    struct world *w = *state;
    const struct ps_agent agent = {.id = "a", .unsettled_ms = 700};
    assert_int_equal(ps_sessions_add(w->sessions, &agent, w->now), PS_OK);
    assert_true(ps_sessions_restricted(w->sessions));
    w->now += 699;
    assert_int_equal(expire(w), PS_NO_FLUSH);
    w->now += 1;
    assert_int_equal(expire(w), PS_FLUSH);
    assert_false(ps_sessions_restricted(w->sessions));
}

static void
a_forgotten_agent_is_still_flushed(void **state)
{
    struct world *w = *state;
    struct ps_member *a = add(w, "a", false);
    hello(w, a);
    beat(w, a, 0);
    a->agent.revoked_ms = 1;
    assert_int_equal(ps_sessions_revoke(w->sessions, a, WRITE, w->now),
                     PS_FLUSH);
    ps_sessions_forget(w->sessions, a);
    assert_null(ps_sessions_find(w->sessions, "a"));
    /* Its lease counts as long as it may be served from. */
    assert_false(ps_sessions_settled(w->sessions, "x", 1, w->now));
    w->now += LEASE + MARGIN;
    assert_int_equal(expire(w), PS_FLUSH);
    assert_true(ps_sessions_settled(w->sessions, "x", 1, w->now));
    assert_true(ps_sessions_restricted(w->sessions));
    w->now += WRITE;
    assert_int_equal(expire(w), PS_FLUSH);
    assert_false(ps_sessions_restricted(w->sessions));
    assert_int_equal(ps_sessions_next_due(w->sessions), UINT64_MAX);
}

/* -------------------------------------------------------- global writes */

static void
settled_when_all_others_have_applied(void **state)
{
    struct world *w = *state;
    struct ps_member *a = add(w, "a", false), *b = add(w, "b", false);
    struct ps_member *c = add(w, "c", false);
    hello(w, a);
    hello(w, b);
    hello(w, c); /* has no lease yet */
    beat(w, a, 4);
    beat(w, b, 4);
    assert_false(ps_sessions_settled(w->sessions, "a", 5, w->now));
    beat(w, b, 5);
    assert_true(ps_sessions_settled(w->sessions, "a", 5, w->now));
    assert_false(ps_sessions_settled(w->sessions, "b", 5, w->now));
}

static void
settled_when_the_lease_is_over(void **state)
{
    struct world *w = *state;
    struct ps_member *b = add(w, "b", false);
    hello(w, b);
    beat(w, b, 0);
    assert_int_equal(ps_sessions_settled_by(w->sessions),
                     w->now + LEASE + MARGIN);
    w->now += LEASE + MARGIN - 1;
    (void)expire(w); /* it is lost, which changes nothing about its lease */
    assert_false(ps_sessions_settled(w->sessions, "a", 5, w->now));
    w->now += 1;
    assert_true(ps_sessions_settled(w->sessions, "a", 5, w->now));
}

static void
the_lease_of_a_replaced_session_counts(void **state)
{
    struct world *w = *state;
    struct ps_member *b = add(w, "b", false);
    hello(w, b);
    beat(w, b, 9);
    hello(w, b);
    beat(w, b, 9);
    /* The first process may still serve; even b as the writer waits. */
    assert_false(ps_sessions_settled(w->sessions, "a", 5, w->now));
    assert_false(ps_sessions_settled(w->sessions, "b", 5, w->now));
    w->now += LEASE + MARGIN;
    assert_true(ps_sessions_settled(w->sessions, "a", 5, w->now));
}

static void
leases_from_before_our_start_count(void **state)
{
    struct world *w = *state;
    add(w, "b", true);
    assert_false(ps_sessions_settled(w->sessions, "a", 1, w->now));
    assert_int_equal(ps_sessions_settled_by(w->sessions),
                     w->now + LEASE + MARGIN);
    w->now += LEASE + MARGIN;
    assert_true(ps_sessions_settled(w->sessions, "a", 1, w->now));
}

static void
publishes_are_remembered_in_a_window(void **state)
{
    struct world *w = *state;
    char id[32];
    struct ps_member *a = add(w, "a", false);
    hello(w, a);
    for (uint64_t i = 1; i <= PS_PUBLISH_WINDOW + 1; i++) {
        snprintf(id, sizeof(id), "r%llu", (unsigned long long)i);
        assert_null(ps_sessions_published(a, id));
        ps_sessions_note_published(a, id, i, i + 1);
        assert_int_equal(ps_sessions_published(a, id)->first, i);
        assert_int_equal(ps_sessions_published(a, id)->last, i + 1);
    }
    assert_null(ps_sessions_published(a, "r1"));
    assert_non_null(ps_sessions_published(a, "r2"));
    hello(w, a);
    assert_null(ps_sessions_published(a, "r2"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_session_needs_its_secret),
        T(a_new_hello_ends_the_old_session),
        T(a_clean_goodbye_leaves_nothing),
        T(silence_makes_an_agent_lost),
        T(a_lost_agent_must_say_hello),
        T(known_from_before_and_silent_is_lost),
        T(known_from_before_and_back_flushes),
        T(an_unclean_goodbye_is_a_loss),
        T(revoking_flushes_now_and_when_the_lease_is_over),
        T(revoking_lifts_the_restriction_once_nothing_is_left),
        T(a_new_process_leaves_writes_of_the_old_one),
        T(an_instance_that_is_not_told_counts_as_a_new_one),
        T(a_goodbye_may_leave_a_write_behind),
        T(a_restart_of_ours_shortens_nothing),
        T(a_forgotten_agent_is_still_flushed),
        T(settled_when_all_others_have_applied),
        T(settled_when_the_lease_is_over),
        T(the_lease_of_a_replaced_session_counts),
        T(leases_from_before_our_start_count),
        T(publishes_are_remembered_in_a_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
