/* Answers to requests that created something, to be given again to the same
 * caller for the same Idempotency-Key. Bounded in age, number and bytes. */
#include "controlplane/store/db_private.h"

static void
column_blob(struct query *q, struct ps_buf *out)
{
    const void *bytes = sqlite3_column_blob(q->stmt, q->column);
    int len = sqlite3_column_bytes(q->stmt, q->column++);
    if (bytes)
        ps_buf_append(out, bytes, (size_t)len);
    if (ps_buf_rc(out) != PS_OK && q->rc == PS_OK)
        q->rc = ps_err_set(q->err, ps_buf_rc(out), NULL);
}

enum ps_rc
ps_db_replay_find(struct ps_db *db, struct ps_replay *replay, int64_t now_ms,
                  bool *found, struct ps_err *err)
{
    struct query q;
    *found = false;
    ps_buf_init(&replay->sealed, PS_DB_REPLAY_BYTES);
    query_begin(&q, db, STMT_REPLAY_FIND, err);
    query_text(&q, replay->token_id);
    query_hash(&q, replay->key_hash);
    query_int(&q, now_ms - PS_DB_REPLAY_MS);
    if (query_row(&q)) {
        column_hash(&q, replay->request_hash);
        replay->status = column_int(&q);
        column_text(&q, replay->location, sizeof(replay->location));
        column_text(&q, replay->etag, sizeof(replay->etag));
        column_blob(&q, &replay->sealed);
        *found = q.rc == PS_OK;
    }
    return query_end(&q);
}

enum ps_rc
ps_db_replay_put(struct ps_db *db, const struct ps_replay *replay,
                 struct ps_err *err)
{
    struct query q;
    query_begin(&q, db, STMT_REPLAY_PUT, err);
    query_text(&q, replay->token_id);
    query_hash(&q, replay->key_hash);
    query_hash(&q, replay->request_hash);
    query_int(&q, replay->status);
    query_text(&q, replay->location);
    query_text(&q, replay->etag);
    query_blob(&q, ps_buf_str(&replay->sealed));
    query_int(&q, replay->created_ms);
    enum ps_rc rc = query_run(&q, NULL);
    if (rc != PS_OK)
        return rc;
    query_begin(&q, db, STMT_REPLAY_PRUNE, err);
    query_int(&q, replay->created_ms - PS_DB_REPLAY_MS);
    query_int(&q, PS_DB_REPLAYS_KEPT);
    query_int(&q, PS_DB_REPLAY_BYTES);
    return query_run(&q, NULL);
}
