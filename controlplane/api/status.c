/* Health, the CA, the state of the whole. */
#include "controlplane/api/api_private.h"

enum ps_rc
api_health(struct api_request *request, PS_UNUSED struct ps_err *err)
{
    api_open(&request->out, NULL, '{');
    api_put_text(&request->out, "status", "ok");
    api_close(&request->out, '}');
    return PS_OK;
}

enum ps_rc
api_get_ca(struct api_request *request, PS_UNUSED struct ps_err *err)
{
    const struct ps_ca *ca = request->api->conf.ca;
    api_open(&request->out, NULL, '{');
    api_put_text(&request->out, "certificate", ps_ca_certificate(ca));
    api_put_text(&request->out, "fingerprint", ps_ca_fingerprint(ca));
    api_close(&request->out, '}');
    return PS_OK;
}

enum ps_rc
api_get_status(struct api_request *request, struct ps_err *err)
{
    struct ps_api *api = request->api;
    struct ps_fleet_status fleet;
    int64_t caches = 0;
    enum ps_rc rc = ps_db_cache_count(api->conf.db, &caches, err);
    if (rc != PS_OK)
        return rc;
    ps_fleet_status(api->conf.fleet, &fleet);
    struct ps_buf *out = &request->out;
    api_open(out, NULL, '{');
    api_put_text(out, "version", PS_VERSION);
    api_put_text(out, "epoch", fleet.epoch);
    api_put_int(out, "configVersion",
                (int64_t)ps_db_config_version(api->conf.db));
    api_put_int(out, "invalidationNumber", (int64_t)fleet.newest);
    api_put_time(out, "startedAt", api->started_ms);
    if (request->token.caches[0]) /* of those it sees */
        caches = (int64_t)(strlen(request->token.caches) + 1) / 37;
    api_put_int(out, "caches", caches);
    api_open(out, "agents", '{');
    api_put_int(out, "connected", (int64_t)fleet.connected);
    api_put_int(out, "lost", (int64_t)fleet.lost);
    api_put_int(out, "total", (int64_t)fleet.total);
    api_close(out, '}');
    api_put_bool(out, "restricted", fleet.restricted);
    api_close(out, '}');
    return PS_OK;
}
