/*
 * Idempotency keys: a request that creates something and is sent again, with
 * the same key by the same caller, gets the first answer again and creates
 * nothing more.
 *
 *   same key, same request (method, path, body)  the first answer
 *   same key, another request                    422
 *   a first answer that was a refusal            is not kept: nothing was
 *                                                created, so it is tried anew
 *
 * The answer is written in the transaction of what it tells of. Requests run
 * one after the other, so there is never one with the same key under way.
 *
 * An answer may hold the text of a new token, which this server keeps nowhere
 * in clear. It is sealed under the caller's own token, of which only the hash
 * is kept: what lies on the disk cannot be read without that token's text.
 */
#include "common/clock.h"
#include "common/tls.h"
#include "common/tls_seal.h"
#include "controlplane/api/api_private.h"

#include <stdio.h>

static const char *const bounds = "portside replay";

/* Of the method, the path and the body. */
static void
hash_request(const struct api_request *request, unsigned char out[32])
{
    unsigned char parts[64];
    char head[32];
    snprintf(head, sizeof(head), "%d", (int)request->method);
    ps_sha256(ps_str_of(request->path), parts);
    ps_sha256(request->text, parts + 32);
    struct ps_buf all;
    ps_buf_init(&all, 256);
    ps_buf_append_c(&all, head);
    ps_buf_append(&all, parts, sizeof(parts));
    PS_CHECK(ps_buf_rc(&all) == PS_OK);
    ps_sha256(ps_buf_str(&all), out);
    ps_buf_done(&all);
}

static void
fill(const struct api_request *request, struct ps_str key,
     struct ps_replay *replay)
{
    memset(replay, 0, sizeof(*replay));
    snprintf(replay->token_id, sizeof(replay->token_id), "%s",
             request->token.id);
    ps_sha256(key, replay->key_hash);
}

static enum ps_rc
give_again(struct api_request *request, const struct ps_replay *replay,
           struct ps_err *err)
{
    enum ps_rc rc = ps_unseal(request->secret, ps_str_of(bounds),
                              ps_buf_str(&replay->sealed), &request->out);
    if (rc != PS_OK)
        return ps_err_set(err, PS_DATABASE,
                          "the kept answer cannot be read; look whether the "
                          "first request took effect");
    request->status = (int)replay->status;
    snprintf(request->location, sizeof(request->location), "%s",
             replay->location);
    snprintf(request->etag, sizeof(request->etag), "%s", replay->etag);
    request->replayed = true;
    return PS_OK;
}

enum ps_rc
api_replay(struct api_request *request, struct ps_err *err)
{
    struct ps_replay replay;
    struct ps_str key;
    unsigned char hash[PS_DB_HASH_LEN];
    bool found;
    if (!request->idempotency_key)
        return PS_OK;
    if (!api_read_key(ps_str_of(request->idempotency_key), &key))
        return ps_err_set(err, PS_BAD_REQUEST,
                          "Idempotency-Key must have 1 to %d visible ASCII "
                          "characters without quotes and backslashes, such as "
                          "a new UUID",
                          API_KEY_MAX);
    fill(request, key, &replay);
    enum ps_rc rc = ps_db_replay_find(request->api->conf.db, &replay,
                                      ps_wall_ms(), &found, err);
    if (rc == PS_OK && found) {
        hash_request(request, hash);
        if (memcmp(hash, replay.request_hash, sizeof(hash)) != 0)
            rc = ps_err_set(err, PS_KEY_REUSED, NULL);
        else
            rc = give_again(request, &replay, err);
    }
    ps_buf_done(&replay.sealed);
    return rc;
}

enum ps_rc
api_replay_keep(struct api_request *request, struct ps_err *err)
{
    struct ps_replay replay;
    struct ps_str key;
    if (!request->idempotency_key ||
        !api_read_key(ps_str_of(request->idempotency_key), &key))
        return PS_OK;
    fill(request, key, &replay);
    hash_request(request, replay.request_hash);
    replay.status = request->status;
    replay.created_ms = ps_wall_ms();
    snprintf(replay.location, sizeof(replay.location), "%s", request->location);
    snprintf(replay.etag, sizeof(replay.etag), "%s", request->etag);
    ps_buf_init(&replay.sealed, API_REPLY_MAX + PS_SEAL_EXTRA);
    ps_seal(request->secret, ps_str_of(bounds), ps_buf_str(&request->out),
            &replay.sealed);
    enum ps_rc rc = ps_buf_rc(&replay.sealed);
    if (rc == PS_OK)
        rc = ps_db_replay_put(request->api->conf.db, &replay, err);
    else
        ps_err_set(err, rc, NULL);
    ps_buf_done(&replay.sealed);
    return rc;
}
