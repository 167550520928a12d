/*
 * What happens in the fleet, written down as it happens: by the fleet itself,
 * by the API for what people change, by agents for what only they see
 * (notices in their heartbeats). What cannot be written is logged and lost.
 */
#include "common/clock.h"
#include "common/log.h"
#include "controlplane/fleet/fleet_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    NOTICES_MAX = 16, /* in one heartbeat */
    DAY_MS = 86400000
};

static void
put_names(struct ps_fleet *fleet, struct ps_event *event,
          const struct ps_event_about *about)
{
    struct ps_cache_def def;
    struct ps_err err;
    if (about->agent) {
        fleet_text(event->agent_id, sizeof(event->agent_id), about->agent->id);
        fleet_text(event->agent_name, sizeof(event->agent_name),
                   about->agent->name);
        fleet_text(event->region, sizeof(event->region), about->agent->region);
    }
    if (!about->cache_id)
        return;
    fleet_text(event->cache_id, sizeof(event->cache_id), about->cache_id);
    if (about->cache_name) {
        fleet_text(event->cache_name, sizeof(event->cache_name),
                   about->cache_name);
    } else if (ps_db_cache_get(fleet->conf.db, event->cache_id, &def, &err) ==
               PS_OK) {
        fleet_text(event->cache_name, sizeof(event->cache_name), def.name);
        ps_def_done(&def);
    }
}

void
ps_fleet_note(struct ps_fleet *fleet, enum ps_event_type type,
              const struct ps_event_about *about, const char *fmt, ...)
{
    PS_CHECK_OBJ(fleet, FLEET_MAGIC);
    char message[512];
    struct ps_err err;
    struct ps_event event = {.at_ms = ps_wall_ms() - (int64_t)about->age_ms};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    fleet_text(event.message, sizeof(event.message), message);
    fleet_text(event.type, sizeof(event.type), ps_event_text(type));
    put_names(fleet, &event, about);
    if (ps_db_event_insert(fleet->conf.db, &event, &err) != PS_OK)
        ps_error("fleet", "an event (%s) is not written down: %s", event.type,
                 err.message);
}

void
fleet_note_agent(struct ps_fleet *fleet, enum ps_event_type type,
                 const struct ps_member *member, const char *message)
{
    const struct ps_event_about about = {.agent = &member->agent};
    ps_fleet_note(fleet, type, &about, "%s", message);
}

void
fleet_note_restricted(struct ps_fleet *fleet)
{
    const struct ps_event_about about = {.agent = NULL};
    bool restricted = ps_sessions_restricted(fleet->sessions);
    if (restricted == fleet->restricted)
        return;
    fleet->restricted = restricted;
    if (restricted)
        ps_fleet_note(fleet, PS_EVENT_RESTRICTED, &about,
                      "answers older than %" PRIu64 " ms are not served: an "
                      "agent is lost, or left behind what may still take "
                      "effect",
                      fleet->conf.lease_ms);
    else
        ps_fleet_note(fleet, PS_EVENT_UNRESTRICTED, &about,
                      "memory is used as usual again");
}

/* ------------------------------------------------------------ breakers */

static bool
rests(const struct ps_resting *list, size_t n, const char *cache_id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].cache_id, cache_id) == 0)
            return true;
    return false;
}

void
fleet_note_resting(struct ps_fleet *fleet, const struct ps_member *member,
                   const struct ps_resting *now, size_t n)
{
    struct ps_event_about about = {.agent = &member->agent};
    for (size_t i = 0; i < n; i++) {
        about.cache_id = now[i].cache_id;
        if (!rests(member->resting, member->n_resting, about.cache_id))
            ps_fleet_note(fleet, PS_EVENT_BREAKER_OPEN, &about,
                          "its database failed several times in a row and is "
                          "left alone");
    }
    for (size_t i = 0; i < member->n_resting; i++) {
        about.cache_id = member->resting[i].cache_id;
        if (!rests(now, n, about.cache_id))
            ps_fleet_note(fleet, PS_EVENT_BREAKER_CLOSED, &about,
                          "its database is used again");
    }
}

/* --------------------------------------------------- what agents notice */

static void
note_one(struct ps_fleet *fleet, const struct ps_member *member,
         const Portside__Notice *notice)
{
    struct ps_event_about about = {.agent = &member->agent};
    char cache_id[37];
    about.age_ms = PS_MIN(notice->age_ms, (uint64_t)DAY_MS);
    switch (notice->kind) {
    case PORTSIDE__NOTICE_KIND__NOTICE_TEMPLATE_OFF:
        fleet_text(cache_id, sizeof(cache_id), notice->cache_id);
        about.cache_id = cache_id;
        if (notice->of == 0)
            ps_fleet_note(fleet, PS_EVENT_TEMPLATE_OFF, &about,
                          "answers of template %016" PRIx64
                          " are not kept for a while: they change too often "
                          "with no write seen",
                          notice->template_id);
        else
            ps_fleet_note(fleet, PS_EVENT_TEMPLATE_OFF, &about,
                          "answers of template %016" PRIx64
                          " are not kept for a while: %" PRIu64 " of %" PRIu64
                          " that were checked were stale with no write seen",
                          notice->template_id, notice->amount, notice->of);
        return;
    case PORTSIDE__NOTICE_KIND__NOTICE_LEASE_LOST:
        ps_fleet_note(fleet, PS_EVENT_LEASE_LOST, &about,
                      "it had no lease for %" PRIu64
                      " ms and served nothing from memory",
                      notice->amount);
        return;
    default: /* of a newer agent */
        return;
    }
}

uint64_t
fleet_take_notices(struct ps_fleet *fleet, struct ps_member *member,
                   const Portside__Heartbeat *body)
{
    for (size_t i = 0; i < body->n_notices && i < NOTICES_MAX; i++) {
        const Portside__Notice *notice = body->notices[i];
        if (notice->number <= member->noticed)
            continue; /* sent again */
        note_one(fleet, member, notice);
        member->noticed = notice->number;
    }
    return member->noticed;
}
