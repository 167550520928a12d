/*
 * Definitions: fetched when their version moves, kept on disk, so that an agent
 * that starts while the control plane is away can serve (pass-through,
 * because without a lease nothing comes from memory).
 */
#include "agent/link/codec.h"
#include "agent/link/uplink_private.h"
#include "common/file.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    CONFIG_MAX = 16 << 20
};

static void
path_of(const struct ps_uplink *u, char out[4096])
{
    snprintf(out, 4096, "%s/config.bin", u->conf.state->dir);
}

/* False: nothing was changed. */
static bool
install(struct ps_uplink *u, const Portside__Snapshot *s)
{
    struct ps_cache_conf **confs = calloc(s->n_caches + 1, sizeof(*confs));
    size_t n = 0;
    if (!confs)
        return false;
    for (size_t i = 0; i < s->n_caches; i++) {
        confs[n] = ps_codec_cache(s->caches[i]);
        if (confs[n])
            n++;
        else
            ps_warn("link", "cache %s is not understood and not served",
                    s->caches[i]->id);
    }
    enum ps_rc rc = ps_config_replace(u->conf.config, s->version, confs, n);
    if (rc != PS_OK)
        for (size_t i = 0; i < n; i++)
            ps_cache_conf_unref(&confs[i]);
    free(confs);
    if (rc == PS_OK)
        u->config_version = s->version;
    return rc == PS_OK;
}

void
ps_uplink_load_config(struct ps_uplink *u)
{
    char path[4096], *data = NULL;
    size_t len = 0;
    path_of(u, path);
    if (ps_file_read(path, CONFIG_MAX, &data, &len, NULL) != PS_OK)
        return; /* a new agent */
    Portside__Snapshot *s =
        portside__snapshot__unpack(NULL, len, (const uint8_t *)data);
    free(data);
    if (!s) {
        ps_warn("link", "%s cannot be read and is ignored", path);
        return;
    }
    if (install(u, s))
        ps_info("link", "config %llu with %zu caches read from disk",
                (unsigned long long)s->version, s->n_caches);
    portside__snapshot__free_unpacked(s, NULL);
    /* What is on disk may be of another control plane's count: ask anyway. */
    u->config_version = 0;
}

static void
keep_on_disk(struct ps_uplink *u, const Portside__Snapshot *s)
{
    char path[4096], *data = NULL;
    size_t len = 0;
    struct ps_err err = {0};
    path_of(u, path);
    enum ps_rc rc = ps_codec_pack(&s->base, &data, &len);
    if (rc == PS_OK)
        rc = ps_file_write(path, (struct ps_str){data, len}, 0600, &err);
    if (rc != PS_OK)
        ps_warn("link", "config not kept on disk: %s", err.message);
    free(data);
}

static void
on_snapshot(struct ps_uplink_call *call, const Portside__Reply *reply)
{
    struct ps_uplink *u = call->uplink;
    u->snapshot_under_way = false;
    if (!reply || reply->body_case != PORTSIDE__REPLY__BODY_SNAPSHOT)
        return; /* the next tick or heartbeat asks again */
    if (install(u, reply->snapshot)) {
        ps_info("link", "config %llu with %zu caches",
                (unsigned long long)u->config_version,
                reply->snapshot->n_caches);
        keep_on_disk(u, reply->snapshot);
        u->conf.reconfigured(u->conf.arg);
    }
}

void
ps_uplink_want_config(struct ps_uplink *u, uint64_t version)
{
    if (version == u->config_version || u->snapshot_under_way)
        return;
    Portside__SnapshotCall snapshot;
    portside__snapshot_call__init(&snapshot);
    Portside__Call call;
    portside__call__init(&call);
    u->snapshot_under_way = true;
    snapshot.have_version = u->config_version;
    call.body_case = PORTSIDE__CALL__BODY_SNAPSHOT;
    call.snapshot = &snapshot;
    ps_uplink_call(u, &call, PS_UPLINK_CALL_TIMEOUT_MS, NULL, on_snapshot);
}
