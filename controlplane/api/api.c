/* Start and stop of the API. */
#include "common/clock.h"
#include "controlplane/api/api_private.h"

#include <stdio.h>
#include <stdlib.h>

/* "[2001:db8::1]" in a URL, anything else as it is. */
static void
make_url(struct ps_api *api)
{
    const char *name = api->conf.names[0];
    bool v6 = strchr(name, ':') != NULL;
    snprintf(api->url, sizeof(api->url), "https://%s%s%s:%d", v6 ? "[" : "",
             name, v6 ? "]" : "", api_server_port(api));
}

enum ps_rc
ps_api_start(struct ps_api **out, const struct ps_api_conf *conf,
             struct ps_err *err)
{
    struct ps_api *api = calloc(1, sizeof(*api));
    if (!api)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    api->magic = API_MAGIC;
    api->conf = *conf;
    api->started_ms = ps_wall_ms();
    enum ps_rc rc = api_server_start(api, err);
    if (rc != PS_OK) {
        ps_api_stop(&api);
        return rc;
    }
    make_url(api);
    *out = api;
    return PS_OK;
}

void
ps_api_stop(struct ps_api **apip)
{
    struct ps_api *api = *apip;
    if (!api)
        return;
    PS_CHECK_OBJ(api, API_MAGIC);
    api_server_stop(api);
    api->magic = 0;
    free(api);
    *apip = NULL;
}

int
ps_api_port(const struct ps_api *api)
{
    PS_CHECK_OBJ(api, API_MAGIC);
    return api_server_port(api);
}

const uint64_t *
ps_api_replies(const struct ps_api *api)
{
    PS_CHECK_OBJ(api, API_MAGIC);
    return api->replies;
}
