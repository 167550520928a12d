/* Regions and the agents in them. */
#include "common/clock.h"
#include "controlplane/api/api_private.h"

#include <stdio.h>

/* ------------------------------------------------------------- regions */

static void
put_region(struct api_request *request, const struct ps_region *region)
{
    struct ps_buf *out = &request->out;
    size_t connected =
        ps_fleet_connected_in(request->api->conf.fleet, region->name);
    api_open(out, NULL, '{');
    api_put_text(out, "name", region->name);
    api_put_text(out, "description", region->description);
    api_put_time(out, "createdAt", region->created_ms);
    api_put_int(out, "agents", region->agents);
    api_put_int(out, "connected", (int64_t)connected);
    api_close(out, '}');
}

static enum ps_rc
list_region(void *arg, const struct ps_region *region)
{
    struct api_list *list = arg;
    const char *name = region->name;
    if (api_list_row(list, &name))
        put_region(list->request, region);
    return PS_OK;
}

enum ps_rc
api_list_regions(struct api_request *request, struct ps_err *err)
{
    struct api_list list = {.name = "regions", .keys = 1};
    enum ps_rc rc = api_list_begin(request, &list, err);
    if (rc != PS_OK)
        return rc;
    api_list_open(&list);
    rc = ps_db_region_each(request->api->conf.db, &list.page, list_region,
                           &list, err);
    api_list_close(&list);
    return rc;
}

enum ps_rc
api_get_region(struct api_request *request, struct ps_err *err)
{
    struct ps_region region;
    enum ps_rc rc =
        ps_db_region_get(request->api->conf.db, request->param, &region, err);
    if (rc == PS_OK) {
        put_region(request, &region);
        api_tag_reply(request);
    }
    return rc;
}

enum ps_rc
api_create_region(struct api_request *request, struct ps_err *err)
{
    static const char *const fields[] = {"name", "description", NULL};
    const char *name, *description;
    struct ps_region region = {.created_ms = ps_wall_ms()};
    enum ps_rc rc = api_only_fields(request->body, fields, err);
    if (rc == PS_OK)
        rc = api_region_name(request->body, "name", &name, err);
    if (rc == PS_OK)
        rc = api_text(request->body, "description", 0, PS_DEF_DESCRIPTION_MAX,
                      &description, err);
    if (rc != PS_OK)
        return rc;
    snprintf(region.name, sizeof(region.name), "%s", name);
    snprintf(region.description, sizeof(region.description), "%s", description);
    rc = ps_db_region_insert(request->api->conf.db, &region, err);
    if (rc != PS_OK)
        return rc;
    request->status = 201;
    put_region(request, &region);
    api_tag_reply(request);
    return PS_OK;
}

enum ps_rc
api_delete_region(struct api_request *request, struct ps_err *err)
{
    request->status = 204;
    return ps_db_region_delete(request->api->conf.db, request->param, err);
}

/* -------------------------------------------------------------- agents */

static void
put_agent(struct api_request *request, const struct ps_agent *agent)
{
    struct ps_buf *out = &request->out;
    struct ps_fleet_agent live = {.state = "disconnected"};
    if (!ps_fleet_agent(request->api->conf.fleet, agent->id, &live))
        live.last_seen_ms = agent->last_seen_ms;
    api_open(out, NULL, '{');
    api_put_text(out, "id", agent->id);
    api_put_text(out, "name", agent->name);
    api_put_text(out, "region", agent->region);
    api_put_text(out, "endpoint", agent->endpoint);
    api_put_text(out, "hostname", agent->hostname);
    api_put_text(out, "version", agent->version);
    api_put_text(out, "state", live.state);
    api_put_bool(out, "draining", live.draining);
    api_put_int(out, "busy", (int64_t)PS_MIN(live.busy, (uint64_t)INT64_MAX));
    api_put_time(out, "lastSeenAt", live.last_seen_ms);
    api_put_time(out, "enrolledAt", agent->enrolled_ms);
    api_put_time(out, "certificateExpiresAt", agent->certificate_expires_ms);
    api_put_int(out, "appliedNumber", (int64_t)live.applied);
    api_put_int(out, "configVersion", (int64_t)live.config_version);
    api_put_int(out, "leaseMs", (int64_t)live.lease_left_ms);
    api_close(out, '}');
}

static enum ps_rc
list_agent(void *arg, const struct ps_agent *agent)
{
    struct api_list *list = arg;
    const char *const keys[] = {agent->region, agent->name, agent->id};
    if (api_list_row(list, keys))
        put_agent(list->request, agent);
    return PS_OK;
}

enum ps_rc
api_list_agents(struct api_request *request, struct ps_err *err)
{
    struct api_list list = {.name = "agents", .keys = 3};
    enum ps_rc rc = api_list_begin(request, &list, err);
    if (rc != PS_OK)
        return rc;
    api_list_open(&list);
    rc = ps_db_agent_each(request->api->conf.db, &list.page, list_agent, &list,
                          err);
    api_list_close(&list);
    return rc;
}

enum ps_rc
api_get_agent(struct api_request *request, struct ps_err *err)
{
    struct ps_agent agent;
    enum ps_rc rc =
        ps_db_agent_get(request->api->conf.db, request->param, &agent, err);
    if (rc == PS_OK) {
        put_agent(request, &agent);
        api_tag_reply(request);
    }
    return rc;
}

enum ps_rc
api_revoke_agent(struct api_request *request, struct ps_err *err)
{
    static const char *const fields[] = {NULL};
    enum ps_rc rc = api_only_fields(request->body, fields, err);
    if (rc != PS_OK)
        return rc;
    request->status = 204;
    return ps_fleet_revoke(request->api->conf.fleet, request->param, err);
}

static enum ps_rc
drain(struct api_request *request, bool draining, struct ps_err *err)
{
    static const char *const fields[] = {NULL};
    enum ps_rc rc = api_only_fields(request->body, fields, err);
    if (rc != PS_OK)
        return rc;
    if (request->token.caches[0])
        return ps_err_set(err, PS_FORBIDDEN,
                          "this token is for some caches only; an agent serves "
                          "all of them");
    request->status = 204;
    return ps_fleet_drain(request->api->conf.fleet, request->param, draining,
                          err);
}

enum ps_rc
api_drain_agent(struct api_request *request, struct ps_err *err)
{
    return drain(request, true, err);
}

enum ps_rc
api_undrain_agent(struct api_request *request, struct ps_err *err)
{
    return drain(request, false, err);
}

enum ps_rc
api_delete_agent(struct api_request *request, struct ps_err *err)
{
    request->status = 204;
    return ps_fleet_forget(request->api->conf.fleet, request->param, err);
}
