/*
 * What happened in the fleet, in the order in which it happened. Whoever wants
 * to follow asks again with the number he was given (`last`).
 */
#include "common/clock.h"
#include "controlplane/api/api_private.h"

#include <stdlib.h>

enum {
    LIMIT_DEFAULT = 100,
    LIMIT_MAX = 500
};

struct found {
    struct ps_buf *out;
    int64_t last, count;
};

static enum ps_rc
put_event(void *arg, const struct ps_event *event)
{
    struct found *found = arg;
    struct ps_buf *out = found->out;
    found->last = event->seq;
    found->count++;
    api_open(out, NULL, '{');
    api_put_int(out, "number", event->seq);
    api_put_time(out, "at", event->at_ms);
    api_put_text(out, "type", event->type);
    api_put_text_or_null(out, "agentId", event->agent_id);
    api_put_text_or_null(out, "agentName", event->agent_name);
    api_put_text_or_null(out, "region", event->region);
    api_put_text_or_null(out, "cacheId", event->cache_id);
    api_put_text_or_null(out, "cacheName", event->cache_name);
    api_put_text(out, "message", event->message);
    api_close(out, '}');
    return PS_OK;
}

/* A whole number from 0; *out stays when it is not given. */
static enum ps_rc
read_after(const struct api_request *request, struct ps_event_ask *ask,
           struct ps_err *err)
{
    char text[24], *end;
    bool given;
    enum ps_rc rc =
        api_param(request, "after", text, sizeof(text), &given, err);
    if (rc != PS_OK || !given)
        return rc;
    ask->newest = false;
    ask->after = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end)
        return ps_err_set(err, PS_BAD_FIELD,
                          "after must be the number of an event, or 0");
    return PS_OK;
}

static enum ps_rc
read_since(const struct api_request *request, struct ps_event_ask *ask,
           struct ps_err *err)
{
    char text[24];
    bool given;
    int64_t ms;
    enum ps_rc rc =
        api_param(request, "since", text, sizeof(text), &given, err);
    if (rc != PS_OK || !given)
        return rc;
    if (!api_read_duration(text, &ms))
        return ps_err_set(err, PS_BAD_FIELD,
                          "since must be a duration such as 90s, 15m, 1h, 7d");
    ask->since_ms = ps_wall_ms() - ms;
    return PS_OK;
}

static enum ps_rc
read_type(const struct api_request *request, char out[32], struct ps_err *err)
{
    enum ps_event_type type;
    bool given;
    enum ps_rc rc = api_param(request, "type", out, 32, &given, err);
    if (rc == PS_OK && given && !ps_event_find(out, &type))
        return ps_err_set(err, PS_BAD_FIELD,
                          "there is no such type of event; `psctl help "
                          "events` lists them");
    return rc;
}

enum ps_rc
api_list_events(struct api_request *request, struct ps_err *err)
{
    static const char *const names[] = {"after", "limit", "since", "type",
                                        NULL};
    struct ps_db *db = request->api->conf.db;
    struct ps_buf *out = &request->out;
    struct found found = {.out = out};
    char type[32] = "";
    struct ps_event_ask ask = {.type = type,
                               .caches = request->token.caches,
                               .limit = LIMIT_DEFAULT,
                               .newest = true};
    int64_t newest = 0;
    enum ps_rc rc = api_only_params(request, names, err);
    if (rc == PS_OK)
        rc = read_after(request, &ask, err);
    if (rc == PS_OK)
        rc = api_read_number(request, "limit", LIMIT_MAX, &ask.limit, err);
    if (rc == PS_OK)
        rc = read_since(request, &ask, err);
    if (rc == PS_OK)
        rc = read_type(request, type, err);
    if (rc == PS_OK)
        rc = ps_db_event_newest(db, &newest, err);
    if (rc != PS_OK)
        return rc;
    api_open(out, NULL, '{');
    api_open(out, "items", '[');
    rc = ps_db_event_each(db, &ask, put_event, &found, err);
    api_close(out, ']');
    /* Where the limit cut it off there are more. */
    bool cut = !ask.newest && found.count == ask.limit;
    api_put_int(out, "last",
                cut ? found.last
                    : PS_MAX(newest, PS_MAX(found.last, ask.after)));
    api_close(out, '}');
    return rc;
}
