/* The rules of sessions.h. Fleets have tens or hundreds of agents, so sums
 * over all of them are made anew when they are needed. */
#include "controlplane/fleet/sessions.h"

#include "common/check.h"
#include "common/map.h"
#include "common/tls.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SESSIONS_MAGIC = 0x70735353,
    MEMBER_MAGIC = 0x70734d42
};

struct ps_sessions {
    unsigned magic;
    struct ps_sessions_conf conf;
    struct ps_member **members;
    size_t count, capacity;
    struct ps_map *by_session;
};

struct ps_sessions *
ps_sessions_new(const struct ps_sessions_conf *conf)
{
    struct ps_sessions *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->magic = SESSIONS_MAGIC;
    s->conf = *conf;
    s->by_session = ps_map_new();
    if (!s->by_session)
        ps_sessions_free(&s);
    return s;
}

static void
free_member(struct ps_member *member)
{
    explicit_bzero(member, sizeof(*member));
    free(member);
}

void
ps_sessions_free(struct ps_sessions **sp)
{
    struct ps_sessions *s = *sp;
    if (!s)
        return;
    PS_CHECK_OBJ(s, SESSIONS_MAGIC);
    for (size_t i = 0; i < s->count; i++)
        free_member(s->members[i]);
    free(s->members);
    if (s->by_session)
        ps_map_free(&s->by_session, NULL);
    s->magic = 0;
    free(s);
    *sp = NULL;
}

static uint64_t
lease_end(const struct ps_sessions *s, uint64_t now_ms)
{
    return now_ms + s->conf.lease_ms + s->conf.margin_ms;
}

enum ps_rc
ps_sessions_add(struct ps_sessions *s, const struct ps_agent *agent,
                uint64_t now_ms)
{
    PS_CHECK_OBJ(s, SESSIONS_MAGIC);
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 16;
        struct ps_member **grown =
            realloc(s->members, capacity * sizeof(struct ps_member *));
        if (!grown)
            return PS_NO_MEMORY;
        s->members = grown;
        s->capacity = capacity;
    }
    struct ps_member *member = calloc(1, sizeof(*member));
    if (!member)
        return PS_NO_MEMORY;
    member->magic = MEMBER_MAGIC;
    member->agent = *agent;
    member->heard_ms = now_ms;
    member->unsettled_until_ms = now_ms + (uint64_t)agent->unsettled_ms;
    /* It may hold a lease that an earlier process of ours renewed. */
    if (agent->open)
        member->ghost_until_ms = lease_end(s, now_ms);
    s->members[s->count++] = member;
    return PS_OK;
}

struct ps_member *
ps_sessions_find(struct ps_sessions *s, const char *agent_id)
{
    size_t at = 0;
    struct ps_member *member;
    while ((member = ps_sessions_next(s, &at)))
        if (strcmp(member->agent.id, agent_id) == 0)
            return member;
    return NULL;
}

struct ps_member *
ps_sessions_next(struct ps_sessions *s, size_t *at)
{
    PS_CHECK_OBJ(s, SESSIONS_MAGIC);
    while (*at < s->count) {
        struct ps_member *member = s->members[(*at)++];
        PS_CHECK_OBJ(member, MEMBER_MAGIC);
        if (!member->forgotten)
            return member;
    }
    return NULL;
}

/* ------------------------------------------------------------ sessions */

static void
end_session(struct ps_sessions *s, struct ps_member *member)
{
    if (!member->connected)
        return;
    ps_map_remove(s->by_session, ps_str_of(member->session_id));
    member->connected = false;
    member->n_resting = 0;
}

/* The session's lease goes on without us hearing of it. */
static void
leave_ghost(struct ps_member *member)
{
    member->ghost_until_ms =
        PS_MAX(member->ghost_until_ms, member->lease_until_ms);
    member->lease_until_ms = 0;
}

/* Writes it left behind may take effect for so long. */
static void
leave_unsettled(struct ps_member *member, uint64_t ms, uint64_t now_ms)
{
    member->unsettled_until_ms =
        PS_MAX(member->agent.unsettled_ms ? member->unsettled_until_ms : 0,
               now_ms + ms);
    member->agent.unsettled_ms = (int64_t)(member->unsettled_until_ms - now_ms);
}

bool
ps_sessions_died(const struct ps_member *member, const char *instance)
{
    return member->agent.open &&
           (!instance[0] || strcmp(member->agent.instance, instance) != 0);
}

enum ps_rc
ps_sessions_hello(struct ps_sessions *s, struct ps_member *member,
                  uint64_t now_ms, char secret[PS_SESSION_SECRET_HEX],
                  enum ps_flush *flush)
{
    PS_CHECK_OBJ(member, MEMBER_MAGIC);
    PS_CHECK(!member->agent.revoked_ms && !member->forgotten);
    unsigned char random[32];
    char id[37];
    ps_uuid_make(id);
    enum ps_rc rc = ps_map_put(s->by_session, ps_str_of(id), member, NULL);
    if (rc != PS_OK)
        return rc;
    end_session(s, member);
    leave_ghost(member);
    *flush = member->agent.open ? PS_FLUSH : PS_NO_FLUSH;
    if (member->agent.unsettled_ms)
        leave_unsettled(member, (uint64_t)member->agent.unsettled_ms, now_ms);
    ps_random_bytes(random, sizeof(random));
    ps_hex(random, sizeof(random), secret);
    ps_sha256(ps_str_of(secret), member->session_hash);
    memcpy(member->session_id, id, sizeof(id));
    memset(member->published, 0, sizeof(member->published));
    member->published_next = 0;
    member->connected = true;
    member->agent.open = true;
    member->lost = false;
    member->heard_ms = now_ms;
    member->applied = 0;
    member->config_version = 0;
    return PS_OK;
}

enum ps_rc
ps_sessions_authenticate(struct ps_sessions *s, const char *session_id,
                         const char *secret, struct ps_member **out)
{
    PS_CHECK_OBJ(s, SESSIONS_MAGIC);
    unsigned char hash[32];
    struct ps_member *member =
        ps_map_find(s->by_session, ps_str_of(session_id));
    if (!member)
        return PS_UNAUTHORIZED;
    PS_CHECK_OBJ(member, MEMBER_MAGIC);
    ps_sha256(ps_str_of(secret), hash);
    if (!ps_equal_const_time(hash, member->session_hash, sizeof(hash)))
        return PS_UNAUTHORIZED;
    /* Its session stays known so that it learns why. */
    if (member->agent.revoked_ms)
        return PS_FORBIDDEN;
    *out = member;
    return PS_OK;
}

void
ps_sessions_heartbeat(struct ps_sessions *s, struct ps_member *member,
                      uint64_t applied, uint64_t config_version,
                      uint64_t now_ms)
{
    PS_CHECK_OBJ(member, MEMBER_MAGIC);
    PS_CHECK(member->connected);
    member->applied = PS_MAX(member->applied, applied);
    member->config_version = config_version;
    member->heard_ms = now_ms;
    member->lease_until_ms = lease_end(s, now_ms);
}

void
ps_sessions_note_resting(struct ps_member *member,
                         const struct ps_resting *resting, size_t n)
{
    PS_CHECK_OBJ(member, MEMBER_MAGIC);
    member->n_resting = PS_MIN(n, (size_t)PS_RESTING_MAX);
    if (member->n_resting)
        memcpy(member->resting, resting, member->n_resting * sizeof(*resting));
}

enum ps_flush
ps_sessions_goodbye(struct ps_sessions *s, struct ps_member *member, bool clean,
                    uint64_t unsettled_ms, uint64_t now_ms)
{
    PS_CHECK_OBJ(member, MEMBER_MAGIC);
    PS_CHECK(member->connected);
    end_session(s, member);
    member->heard_ms = now_ms;
    if (!clean) {
        leave_ghost(member);
        member->lost = true;
        return PS_FLUSH;
    }
    member->agent.open = false;
    member->lease_until_ms = 0;
    if (!unsettled_ms)
        return PS_NO_FLUSH;
    leave_unsettled(member, unsettled_ms, now_ms);
    return PS_FLUSH;
}

enum ps_flush
ps_sessions_revoke(struct ps_sessions *s, struct ps_member *member,
                   uint64_t write_ms, uint64_t now_ms)
{
    PS_CHECK_OBJ(member, MEMBER_MAGIC);
    bool was_open = member->agent.open;
    leave_ghost(member);
    member->lost = false;
    member->agent.open = false;
    if (!was_open)
        return PS_NO_FLUSH;
    member->flush_at_ms = lease_end(s, now_ms);
    leave_unsettled(member, member->flush_at_ms - now_ms + write_ms, now_ms);
    return PS_FLUSH;
}

void
ps_sessions_forget(struct ps_sessions *s, struct ps_member *member)
{
    PS_CHECK_OBJ(member, MEMBER_MAGIC);
    PS_CHECK(member->agent.revoked_ms);
    end_session(s, member);
    member->forgotten = true;
}

/* ---------------------------------------------------------------- time */

static uint64_t
due_of(const struct ps_sessions *s, const struct ps_member *member)
{
    uint64_t due = UINT64_MAX;
    if (member->agent.open && !member->lost)
        due = member->heard_ms + s->conf.lost_after_ms;
    if (member->flush_at_ms)
        due = PS_MIN(due, member->flush_at_ms);
    if (member->agent.unsettled_ms)
        due = PS_MIN(due, member->unsettled_until_ms);
    /* Freed when no lease of it can be left. */
    if (member->forgotten && due == UINT64_MAX)
        due = member->ghost_until_ms;
    return due;
}

uint64_t
ps_sessions_next_due(struct ps_sessions *s)
{
    PS_CHECK_OBJ(s, SESSIONS_MAGIC);
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < s->count; i++)
        next = PS_MIN(next, due_of(s, s->members[i]));
    return next;
}

static void
remove_forgotten(struct ps_sessions *s, uint64_t now_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct ps_member *member = s->members[i];
        if (member->forgotten && !member->flush_at_ms &&
            !member->agent.unsettled_ms && member->ghost_until_ms <= now_ms)
            free_member(member);
        else
            s->members[kept++] = member;
    }
    s->count = kept;
}

enum ps_flush
ps_sessions_expire(struct ps_sessions *s, uint64_t now_ms,
                   void (*on_lost)(void *arg, struct ps_member *member),
                   void *arg)
{
    PS_CHECK_OBJ(s, SESSIONS_MAGIC);
    enum ps_flush flush = PS_NO_FLUSH;
    for (size_t i = 0; i < s->count; i++) {
        struct ps_member *member = s->members[i];
        if (due_of(s, member) > now_ms)
            continue;
        if (member->flush_at_ms && member->flush_at_ms <= now_ms) {
            member->flush_at_ms = 0;
            flush = PS_FLUSH;
        }
        if (member->agent.unsettled_ms &&
            member->unsettled_until_ms <= now_ms) {
            member->agent.unsettled_ms = 0;
            member->changed = true;
            flush = PS_FLUSH;
        }
        if (member->agent.open && !member->lost &&
            member->heard_ms + s->conf.lost_after_ms <= now_ms) {
            end_session(s, member);
            leave_ghost(member);
            member->lost = true;
            flush = PS_FLUSH;
            if (on_lost)
                on_lost(arg, member);
        }
    }
    remove_forgotten(s, now_ms);
    return flush;
}

bool
ps_sessions_restricted(struct ps_sessions *s)
{
    PS_CHECK_OBJ(s, SESSIONS_MAGIC);
    for (size_t i = 0; i < s->count; i++) {
        const struct ps_member *member = s->members[i];
        if ((member->lost && !member->forgotten) || member->agent.unsettled_ms)
            return true;
    }
    return false;
}

uint64_t
ps_sessions_settled_by(struct ps_sessions *s)
{
    PS_CHECK_OBJ(s, SESSIONS_MAGIC);
    uint64_t by = 0;
    for (size_t i = 0; i < s->count; i++) {
        by = PS_MAX(by, s->members[i]->lease_until_ms);
        by = PS_MAX(by, s->members[i]->ghost_until_ms);
    }
    return by;
}

bool
ps_sessions_settled(struct ps_sessions *s, const char *writer_id,
                    uint64_t number, uint64_t now_ms)
{
    PS_CHECK_OBJ(s, SESSIONS_MAGIC);
    for (size_t i = 0; i < s->count; i++) {
        const struct ps_member *member = s->members[i];
        if (member->ghost_until_ms > now_ms)
            return false;
        bool applied = member->connected && member->applied >= number;
        if (member->lease_until_ms > now_ms && !applied &&
            strcmp(member->agent.id, writer_id) != 0)
            return false;
    }
    return true;
}

/* ----------------------------------------------------------- publishes */

const struct ps_published *
ps_sessions_published(const struct ps_member *member, const char *request_id)
{
    PS_CHECK_OBJ(member, MEMBER_MAGIC);
    for (size_t i = 0; i < PS_PUBLISH_WINDOW; i++)
        if (member->published[i].first &&
            strcmp(member->published[i].request_id, request_id) == 0)
            return &member->published[i];
    return NULL;
}

void
ps_sessions_note_published(struct ps_member *member, const char *request_id,
                           uint64_t first, uint64_t last)
{
    PS_CHECK_OBJ(member, MEMBER_MAGIC);
    PS_CHECK(strlen(request_id) <= PS_REQUEST_ID_MAX);
    struct ps_published *p =
        &member->published[member->published_next++ % PS_PUBLISH_WINDOW];
    snprintf(p->request_id, sizeof(p->request_id), "%s", request_id);
    p->first = first;
    p->last = last;
}
