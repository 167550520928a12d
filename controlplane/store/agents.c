/* Regions and the agents in them. */
#include "controlplane/store/db_private.h"

/* ------------------------------------------------------------- regions */

enum ps_rc
ps_db_region_insert(struct ps_db *db, const struct ps_region *region,
                    struct ps_err *err)
{
    struct query q;
    query_begin(&q, db, STMT_REGION_INSERT, err);
    query_text(&q, region->name);
    query_text(&q, region->description);
    query_int(&q, region->created_ms);
    return query_run(&q, NULL);
}

static void
read_region(struct query *q, struct ps_region *region)
{
    column_text(q, region->name, sizeof(region->name));
    column_text(q, region->description, sizeof(region->description));
    region->created_ms = column_int(q);
    region->agents = column_int(q);
}

static enum ps_rc
region_not_found(struct ps_err *err)
{
    return ps_err_set(err, PS_NOT_FOUND, "no region has this name");
}

enum ps_rc
ps_db_region_get(struct ps_db *db, const char *name, struct ps_region *region,
                 struct ps_err *err)
{
    struct query q;
    bool found = false;
    query_begin(&q, db, STMT_REGION_GET, err);
    query_text(&q, name);
    if (query_row(&q)) {
        read_region(&q, region);
        found = true;
    }
    enum ps_rc rc = query_end(&q);
    return rc == PS_OK && !found ? region_not_found(err) : rc;
}

enum ps_rc
ps_db_region_each(struct ps_db *db, const struct ps_page *page,
                  enum ps_rc (*fn)(void *arg, const struct ps_region *region),
                  void *arg, struct ps_err *err)
{
    struct query q;
    enum ps_rc rc = PS_OK;
    query_begin(&q, db, STMT_REGION_EACH, err);
    query_page(&q, page, 1);
    while (rc == PS_OK && query_row(&q)) {
        struct ps_region region;
        read_region(&q, &region);
        rc = fn(arg, &region);
        if (rc != PS_OK)
            ps_err_set(err, rc, NULL);
    }
    enum ps_rc ended = query_end(&q);
    return rc != PS_OK ? rc : ended;
}

enum ps_rc
ps_db_region_delete(struct ps_db *db, const char *name, struct ps_err *err)
{
    struct query q;
    int changes = 0;
    query_begin(&q, db, STMT_REGION_DELETE, err);
    query_text(&q, name);
    enum ps_rc rc = query_run(&q, &changes);
    if (rc == PS_CONFLICT)
        return ps_err_set(err, PS_CONFLICT,
                          "region %s still has agents; revoke and delete "
                          "them first",
                          name);
    return rc == PS_OK && !changes ? region_not_found(err) : rc;
}

/* -------------------------------------------------------------- agents */

static void
read_agent(struct query *q, struct ps_agent *agent)
{
    column_text(q, agent->id, sizeof(agent->id));
    column_text(q, agent->name, sizeof(agent->name));
    column_text(q, agent->region, sizeof(agent->region));
    column_text(q, agent->endpoint, sizeof(agent->endpoint));
    column_text(q, agent->hostname, sizeof(agent->hostname));
    column_text(q, agent->version, sizeof(agent->version));
    column_hash(q, agent->secret_hash);
    agent->enrolled_ms = column_int(q);
    agent->certificate_expires_ms = column_int(q);
    agent->last_seen_ms = column_int(q);
    agent->revoked_ms = column_int(q);
    agent->open = column_int(q) != 0;
    column_text(q, agent->instance, sizeof(agent->instance));
    agent->unsettled_ms = column_int(q);
    agent->draining = column_int(q) != 0;
}

static enum ps_rc
agent_not_found(struct ps_err *err)
{
    return ps_err_set(err, PS_NOT_FOUND,
                      "no agent has this id; see `psctl agent list`");
}

enum ps_rc
ps_db_agent_each(struct ps_db *db, const struct ps_page *page,
                 enum ps_rc (*fn)(void *arg, const struct ps_agent *agent),
                 void *arg, struct ps_err *err)
{
    struct query q;
    enum ps_rc rc = PS_OK;
    query_begin(&q, db, STMT_AGENT_EACH, err);
    query_page(&q, page, 3);
    while (rc == PS_OK && query_row(&q)) {
        struct ps_agent agent;
        read_agent(&q, &agent);
        rc = fn(arg, &agent);
        if (rc != PS_OK)
            ps_err_set(err, rc, NULL);
    }
    enum ps_rc ended = query_end(&q);
    return rc != PS_OK ? rc : ended;
}

enum ps_rc
ps_db_agent_get(struct ps_db *db, const char *id, struct ps_agent *agent,
                struct ps_err *err)
{
    struct query q;
    bool found = false;
    query_begin(&q, db, STMT_AGENT_GET, err);
    query_text(&q, id);
    if (query_row(&q)) {
        read_agent(&q, agent);
        found = true;
    }
    enum ps_rc rc = query_end(&q);
    return rc == PS_OK && !found ? agent_not_found(err) : rc;
}

enum ps_rc
ps_db_agent_name_taken(struct ps_db *db, const char *name, bool *taken,
                       struct ps_err *err)
{
    struct query q;
    query_begin(&q, db, STMT_AGENT_NAMED, err);
    query_text(&q, name);
    bool found = query_row(&q);
    enum ps_rc rc = query_end(&q);
    if (rc == PS_OK)
        *taken = found;
    return rc;
}

enum ps_rc
ps_db_agent_update(struct ps_db *db, const struct ps_agent *agent,
                   struct ps_err *err)
{
    struct query q;
    int changes = 0;
    query_begin(&q, db, STMT_AGENT_UPDATE, err);
    query_text(&q, agent->endpoint);
    query_text(&q, agent->hostname);
    query_text(&q, agent->version);
    query_time(&q, agent->last_seen_ms);
    query_int(&q, agent->open);
    query_int(&q, agent->certificate_expires_ms);
    query_text(&q, agent->instance);
    query_int(&q, agent->unsettled_ms);
    query_text(&q, agent->id);
    enum ps_rc rc = query_run(&q, &changes);
    return rc == PS_OK && !changes ? agent_not_found(err) : rc;
}

enum ps_rc
ps_db_agent_revoke(struct ps_db *db, const char *id, int64_t now_ms,
                   struct ps_err *err)
{
    struct query q;
    int changes = 0;
    query_begin(&q, db, STMT_AGENT_REVOKE, err);
    query_int(&q, now_ms);
    query_text(&q, id);
    enum ps_rc rc = query_run(&q, &changes);
    return rc == PS_OK && !changes ? agent_not_found(err) : rc;
}

enum ps_rc
ps_db_agent_drain(struct ps_db *db, const char *id, bool draining,
                  struct ps_err *err)
{
    struct query q;
    int changes = 0;
    query_begin(&q, db, STMT_AGENT_DRAIN, err);
    query_int(&q, draining);
    query_text(&q, id);
    enum ps_rc rc = query_run(&q, &changes);
    return rc == PS_OK && !changes ? agent_not_found(err) : rc;
}

enum ps_rc
ps_db_agent_delete(struct ps_db *db, const char *id, struct ps_err *err)
{
    struct ps_agent agent;
    enum ps_rc rc = ps_db_agent_get(db, id, &agent, err);
    if (rc != PS_OK)
        return rc;
    if (!agent.revoked_ms)
        return ps_err_set(err, PS_CONFLICT,
                          "agent %s is not revoked; revoke it first",
                          agent.name);
    struct query q;
    query_begin(&q, db, STMT_AGENT_DELETE, err);
    query_text(&q, id);
    return query_run(&q, NULL);
}

enum ps_rc
ps_db_enroll(struct ps_db *db, const char *join_id,
             const struct ps_agent *agent, struct ps_err *err)
{
    int changes = 0;
    enum ps_rc rc = db_begin(db, err);
    if (rc != PS_OK)
        return rc;
    struct query q;
    query_begin(&q, db, STMT_AGENT_INSERT, err);
    query_text(&q, agent->id);
    query_text(&q, agent->name);
    query_text(&q, agent->region);
    query_text(&q, agent->endpoint);
    query_text(&q, agent->hostname);
    query_text(&q, agent->version);
    query_hash(&q, agent->secret_hash);
    query_int(&q, agent->enrolled_ms);
    query_int(&q, agent->certificate_expires_ms);
    rc = query_run(&q, NULL);
    if (rc == PS_OK) {
        query_begin(&q, db, STMT_JOIN_USE, err);
        query_int(&q, agent->enrolled_ms);
        query_text(&q, agent->id);
        query_text(&q, join_id);
        rc = query_run(&q, &changes);
    }
    if (rc == PS_OK && !changes)
        rc = ps_err_set(err, PS_UNAUTHORIZED,
                        "this join token has been used or withdrawn");
    return db_end(db, rc, err);
}
