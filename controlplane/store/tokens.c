/* Join tokens and API tokens: only hashes of their secrets are kept. */
#include "controlplane/store/db_private.h"

/* --------------------------------------------------------- join tokens */

static void
read_join(struct query *q, struct ps_join_token *join)
{
    column_text(q, join->id, sizeof(join->id));
    column_text(q, join->region, sizeof(join->region));
    column_text(q, join->name, sizeof(join->name));
    column_text(q, join->agent_id, sizeof(join->agent_id));
    column_hash(q, join->secret_hash);
    join->created_ms = column_int(q);
    join->expires_ms = column_int(q);
    join->used_ms = column_int(q);
    join->seq = column_int(q);
}

enum ps_rc
ps_db_join_insert(struct ps_db *db, const struct ps_join_token *join,
                  struct ps_err *err)
{
    enum ps_rc rc = db_begin(db, err);
    if (rc != PS_OK)
        return rc;
    struct query q;
    query_begin(&q, db, STMT_REGION_MAKE, err);
    query_text(&q, join->region);
    query_int(&q, join->created_ms);
    rc = query_run(&q, NULL);
    if (rc == PS_OK) {
        query_begin(&q, db, STMT_JOIN_INSERT, err);
        query_text(&q, join->id);
        query_text(&q, join->region);
        query_text(&q, join->name);
        query_hash(&q, join->secret_hash);
        query_int(&q, join->created_ms);
        query_int(&q, join->expires_ms);
        rc = query_run(&q, NULL);
    }
    return db_end(db, rc, err);
}

enum ps_rc
ps_db_join_each(struct ps_db *db, const struct ps_page *page,
                enum ps_rc (*fn)(void *arg, const struct ps_join_token *join),
                void *arg, struct ps_err *err)
{
    struct query q;
    enum ps_rc rc = PS_OK;
    query_begin(&q, db, STMT_JOIN_EACH, err);
    query_page(&q, page, 0);
    while (rc == PS_OK && query_row(&q)) {
        struct ps_join_token join;
        read_join(&q, &join);
        rc = fn(arg, &join);
        if (rc != PS_OK)
            ps_err_set(err, rc, NULL);
    }
    enum ps_rc ended = query_end(&q);
    return rc != PS_OK ? rc : ended;
}

static enum ps_rc
join_not_found(struct ps_err *err)
{
    return ps_err_set(err, PS_NOT_FOUND, "no join token has this id");
}

enum ps_rc
ps_db_join_get(struct ps_db *db, const char *id, struct ps_join_token *join,
               struct ps_err *err)
{
    struct query q;
    bool found = false;
    query_begin(&q, db, STMT_JOIN_GET, err);
    query_text(&q, id);
    if (query_row(&q)) {
        read_join(&q, join);
        found = true;
    }
    enum ps_rc rc = query_end(&q);
    return rc == PS_OK && !found ? join_not_found(err) : rc;
}

enum ps_rc
ps_db_join_find(struct ps_db *db, const unsigned char hash[PS_DB_HASH_LEN],
                int64_t now_ms, struct ps_join_token *join, struct ps_err *err)
{
    struct query q;
    bool found = false;
    query_begin(&q, db, STMT_JOIN_FIND, err);
    query_hash(&q, hash);
    query_int(&q, now_ms);
    if (query_row(&q)) {
        read_join(&q, join);
        found = true;
    }
    enum ps_rc rc = query_end(&q);
    if (rc == PS_OK && !found)
        return ps_err_set(err, PS_UNAUTHORIZED,
                          "this join token is not known, was used or has "
                          "expired; make another one with `psctl agent "
                          "join-token`");
    return rc;
}

enum ps_rc
ps_db_join_delete(struct ps_db *db, const char *id, struct ps_err *err)
{
    struct query q;
    int changes = 0;
    query_begin(&q, db, STMT_JOIN_DELETE, err);
    query_text(&q, id);
    enum ps_rc rc = query_run(&q, &changes);
    return rc == PS_OK && !changes ? join_not_found(err) : rc;
}

/* ---------------------------------------------------------- API tokens */

static const char *const roles[] = {
    [PS_ROLE_VIEWER] = "viewer",
    [PS_ROLE_OPERATOR] = "operator",
    [PS_ROLE_ADMIN] = "admin",
};

bool
ps_role_find(const char *text, enum ps_role *role)
{
    for (size_t i = 0; i < PS_ARRAY_LEN(roles); i++) {
        if (strcmp(roles[i], text) != 0)
            continue;
        *role = (enum ps_role)i;
        return true;
    }
    return false;
}

const char *
ps_role_text(enum ps_role role)
{
    return roles[role];
}

static void
read_token(struct query *q, struct ps_api_token *token)
{
    char role[16];
    column_text(q, token->id, sizeof(token->id));
    column_text(q, token->name, sizeof(token->name));
    column_hash(q, token->hash);
    token->created_ms = column_int(q);
    token->last_used_ms = column_int(q);
    column_text(q, role, sizeof(role));
    column_text(q, token->caches, sizeof(token->caches));
    token->seq = column_int(q);
    /* What this program does not know may do the least. */
    if (!ps_role_find(role, &token->role))
        token->role = PS_ROLE_VIEWER;
}

enum ps_rc
ps_db_token_insert(struct ps_db *db, const struct ps_api_token *token,
                   struct ps_err *err)
{
    struct query q;
    query_begin(&q, db, STMT_TOKEN_INSERT, err);
    query_text(&q, token->id);
    query_text(&q, token->name);
    query_hash(&q, token->hash);
    query_int(&q, token->created_ms);
    query_text(&q, ps_role_text(token->role));
    query_text(&q, token->caches);
    return query_run(&q, NULL);
}

enum ps_rc
ps_db_token_each(struct ps_db *db, const struct ps_page *page,
                 enum ps_rc (*fn)(void *arg, const struct ps_api_token *t),
                 void *arg, struct ps_err *err)
{
    struct query q;
    enum ps_rc rc = PS_OK;
    query_begin(&q, db, STMT_TOKEN_EACH, err);
    query_page(&q, page, 0);
    while (rc == PS_OK && query_row(&q)) {
        struct ps_api_token token;
        read_token(&q, &token);
        rc = fn(arg, &token);
        if (rc != PS_OK)
            ps_err_set(err, rc, NULL);
    }
    enum ps_rc ended = query_end(&q);
    return rc != PS_OK ? rc : ended;
}

static enum ps_rc
token_not_found(struct ps_err *err)
{
    return ps_err_set(err, PS_NOT_FOUND, "no token has this id");
}

enum ps_rc
ps_db_token_get(struct ps_db *db, const char *id, struct ps_api_token *token,
                struct ps_err *err)
{
    struct query q;
    bool found = false;
    query_begin(&q, db, STMT_TOKEN_GET, err);
    query_text(&q, id);
    if (query_row(&q)) {
        read_token(&q, token);
        found = true;
    }
    enum ps_rc rc = query_end(&q);
    return rc == PS_OK && !found ? token_not_found(err) : rc;
}

enum ps_rc
ps_db_token_find(struct ps_db *db, const unsigned char hash[PS_DB_HASH_LEN],
                 struct ps_api_token *token, struct ps_err *err)
{
    struct query q;
    bool found = false;
    query_begin(&q, db, STMT_TOKEN_FIND, err);
    query_hash(&q, hash);
    if (query_row(&q)) {
        read_token(&q, token);
        found = true;
    }
    enum ps_rc rc = query_end(&q);
    if (rc == PS_OK && !found)
        return ps_err_set(err, PS_UNAUTHORIZED, "this token is not valid");
    return rc;
}

enum ps_rc
ps_db_token_used(struct ps_db *db, const char *id, int64_t now_ms,
                 struct ps_err *err)
{
    struct query q;
    query_begin(&q, db, STMT_TOKEN_USED, err);
    query_int(&q, now_ms);
    query_text(&q, id);
    return query_run(&q, NULL);
}

static enum ps_rc
count_by(struct ps_db *db, enum stmt_id statement, int64_t *count,
         struct ps_err *err)
{
    struct query q;
    query_begin(&q, db, statement, err);
    if (query_row(&q))
        *count = column_int(&q);
    return query_end(&q);
}

enum ps_rc
ps_db_token_delete(struct ps_db *db, const char *id, struct ps_err *err)
{
    int changes = 0;
    int64_t left = 0;
    enum ps_rc rc = db_begin(db, err);
    if (rc != PS_OK)
        return rc;
    struct query q;
    query_begin(&q, db, STMT_TOKEN_DELETE, err);
    query_text(&q, id);
    rc = query_run(&q, &changes);
    if (rc == PS_OK && !changes)
        rc = token_not_found(err);
    if (rc == PS_OK)
        rc = count_by(db, STMT_TOKEN_ADMINS, &left, err);
    if (rc == PS_OK && left == 0)
        rc = ps_err_set(err, PS_CONFLICT,
                        "this is the last token of an admin; make another "
                        "one first");
    return db_end(db, rc, err);
}

enum ps_rc
ps_db_token_count(struct ps_db *db, int64_t *count, struct ps_err *err)
{
    return count_by(db, STMT_TOKEN_COUNT, count, err);
}
