/* The audit log: who changed what through the API. Bounded: the oldest entries
 * go. */
#include "controlplane/store/db_private.h"

#include <stdlib.h>

enum ps_rc
ps_db_audit_begin(struct ps_db *db, struct ps_audit *entry, struct ps_err *err)
{
    enum ps_rc rc = db_begin(db, err);
    if (rc != PS_OK)
        return rc;
    struct query q;
    query_begin(&q, db, STMT_AUDIT_INSERT, err);
    query_int(&q, entry->at_ms);
    query_text(&q, entry->token_id);
    query_text(&q, entry->token_name);
    query_text(&q, entry->method);
    query_text(&q, entry->path);
    query_text(&q, entry->before);
    if (query_row(&q))
        entry->seq = column_int(&q);
    rc = query_end(&q);
    if (rc == PS_OK) {
        query_begin(&q, db, STMT_AUDIT_PRUNE, err);
        query_int(&q, entry->seq - PS_DB_AUDIT_KEPT);
        rc = query_run(&q, NULL);
    }
    return db_end(db, rc, err);
}

enum ps_rc
ps_db_audit_end(struct ps_db *db, int64_t seq, int status, const char *after,
                struct ps_err *err)
{
    struct query q;
    query_begin(&q, db, STMT_AUDIT_END, err);
    query_int(&q, status);
    query_text(&q, after);
    query_int(&q, seq);
    return query_run(&q, NULL);
}

enum ps_rc
ps_db_audit_each(struct ps_db *db, const struct ps_page *page,
                 enum ps_rc (*fn)(void *arg, const struct ps_audit *entry),
                 void *arg, struct ps_err *err)
{
    struct query q;
    enum ps_rc rc = PS_OK;
    struct ps_audit *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    query_begin(&q, db, STMT_AUDIT_EACH, err);
    query_page(&q, page, 0);
    while (rc == PS_OK && query_row(&q)) {
        entry->seq = column_int(&q);
        entry->at_ms = column_int(&q);
        column_text(&q, entry->token_id, sizeof(entry->token_id));
        column_text(&q, entry->token_name, sizeof(entry->token_name));
        column_text(&q, entry->method, sizeof(entry->method));
        column_text(&q, entry->path, sizeof(entry->path));
        entry->status = (int)column_int(&q);
        column_text(&q, entry->before, sizeof(entry->before));
        column_text(&q, entry->after, sizeof(entry->after));
        rc = fn(arg, entry);
        if (rc != PS_OK)
            ps_err_set(err, rc, NULL);
    }
    enum ps_rc ended = query_end(&q);
    free(entry);
    return rc != PS_OK ? rc : ended;
}
