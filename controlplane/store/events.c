/* What happened in the fleet. Bounded: by number and by age. */
#include "controlplane/store/db_private.h"

static const char *const texts[] = {
#define X(name, text, meaning) text,
    PS_EVENT_TABLE(X)
#undef X
};

const char *
ps_event_text(enum ps_event_type type)
{
    return texts[type];
}

bool
ps_event_find(const char *text, enum ps_event_type *type)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(texts); i++) {
        if (strcmp(texts[i], text) != 0)
            continue;
        *type = (enum ps_event_type)i;
        return true;
    }
    return false;
}

enum ps_rc
ps_db_event_insert(struct ps_db *db, const struct ps_event *event,
                   struct ps_err *err)
{
    int64_t seq = 0;
    enum ps_rc rc = db_begin(db, err);
    if (rc != PS_OK)
        return rc;
    struct query q;
    query_begin(&q, db, STMT_EVENT_INSERT, err);
    query_int(&q, event->at_ms);
    query_text(&q, event->type);
    query_text(&q, event->agent_id);
    query_text(&q, event->agent_name);
    query_text(&q, event->region);
    query_text(&q, event->cache_id);
    query_text(&q, event->cache_name);
    query_text(&q, event->message);
    if (query_row(&q))
        seq = column_int(&q);
    rc = query_end(&q);
    if (rc == PS_OK) {
        query_begin(&q, db, STMT_EVENT_PRUNE, err);
        query_int(&q, seq - PS_DB_EVENTS_KEPT);
        query_int(&q, event->at_ms - PS_DB_EVENTS_MS);
        rc = query_run(&q, NULL);
    }
    return db_end(db, rc, err);
}

enum ps_rc
ps_db_event_each(struct ps_db *db, const struct ps_event_ask *ask,
                 enum ps_rc (*fn)(void *arg, const struct ps_event *event),
                 void *arg, struct ps_err *err)
{
    struct query q;
    enum ps_rc rc = PS_OK;
    query_begin(&q, db, ask->newest ? STMT_EVENT_NEWEST : STMT_EVENT_AFTER,
                err);
    query_int(&q, ask->after);
    query_int(&q, ask->since_ms);
    query_text(&q, ask->type);
    query_text(&q, ask->type);
    query_text(&q, ask->caches);
    query_text(&q, ask->caches);
    query_int(&q, ask->limit);
    while (rc == PS_OK && query_row(&q)) {
        struct ps_event event;
        event.seq = column_int(&q);
        event.at_ms = column_int(&q);
        column_text(&q, event.type, sizeof(event.type));
        column_text(&q, event.agent_id, sizeof(event.agent_id));
        column_text(&q, event.agent_name, sizeof(event.agent_name));
        column_text(&q, event.region, sizeof(event.region));
        column_text(&q, event.cache_id, sizeof(event.cache_id));
        column_text(&q, event.cache_name, sizeof(event.cache_name));
        column_text(&q, event.message, sizeof(event.message));
        rc = fn(arg, &event);
        if (rc != PS_OK)
            ps_err_set(err, rc, NULL);
    }
    enum ps_rc ended = query_end(&q);
    return rc != PS_OK ? rc : ended;
}

enum ps_rc
ps_db_event_newest(struct ps_db *db, int64_t *seq, struct ps_err *err)
{
    struct query q;
    query_begin(&q, db, STMT_EVENT_LAST, err);
    if (query_row(&q))
        *seq = column_int(&q);
    return query_end(&q);
}

enum ps_rc
ps_db_run_last_result(struct ps_db *db, const char *cache_id,
                      const char *agent_id, const char *but_run_id,
                      struct ps_run_outcome *out, struct ps_err *err)
{
    struct query q;
    *out = (struct ps_run_outcome){.known = false};
    query_begin(&q, db, STMT_RUN_LAST_RESULT, err);
    query_text(&q, cache_id);
    query_text(&q, agent_id);
    query_text(&q, but_run_id);
    if (query_row(&q)) {
        out->known = true;
        out->ok = column_int(&q) != 0;
        column_text(&q, out->code, sizeof(out->code));
    }
    return query_end(&q);
}
