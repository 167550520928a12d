/*
 * The control plane's store: caches, regions, agents, tokens, reachability
 * runs and the version of the configuration, in one SQLite file. The only
 * user of sqlite3, and the only place where SQL is written.
 *
 * One connection, one thread (the control plane's loop); every operation is
 * short and complete: it has happened and is on disk, or it has not happened
 * and says why. What goes wrong below SQL (disk full, I/O, corruption) is
 * PS_DATABASE; a name that is taken or a row in use is PS_CONFLICT.
 *
 * Times are wall-clock milliseconds; 0 stands for "not yet".
 */
#ifndef PS_CONTROLPLANE_STORE_DB_H
#define PS_CONTROLPLANE_STORE_DB_H

#include "common/buf.h"
#include "common/err.h"
#include "controlplane/store/cache_def.h"

struct ps_db;

enum {
    PS_DB_HASH_LEN = 32,     /* SHA-256 */
    PS_DB_RUNS_KEPT = 10,    /* per cache */
    PS_DB_DEFS_MAX = 6 << 20 /* bytes of all definitions: one message holds
                                them (PS_BUS_MESSAGE_MAX) */
};

/* Opens or makes the file, brings its schema up to date. PS_CONFIG when it
 * was written by a newer version of this software. */
PS_MUST_USE enum ps_rc ps_db_open(struct ps_db **db, const char *path,
                                  struct ps_err *err);
void ps_db_close(struct ps_db **db);

/* One transaction around several operations: all of them or, when rc of the
 * end is not PS_OK or it fails, none. ps_db_end() gives rc back, or why it
 * could not commit. */
PS_MUST_USE enum ps_rc ps_db_begin(struct ps_db *db, struct ps_err *err);
PS_MUST_USE enum ps_rc ps_db_end(struct ps_db *db, enum ps_rc rc,
                                 struct ps_err *err);

/* A part of a list: at most limit rows behind the one with these sort keys,
 * whether or not it is still there; from the start unless `behind`. Where a
 * list takes one, NULL is all of it. */
struct ps_page {
    bool behind;
    const char *text[3];
    int64_t number;
    int64_t limit;
};

/* ---- caches: each change raises the version of the configuration ---- */

/* Of the configuration as a whole; 0 before the first cache. */
uint64_t ps_db_config_version(const struct ps_db *db);
/* created_ms, updated_ms and revision are taken from def as they are. */
PS_MUST_USE enum ps_rc ps_db_cache_insert(struct ps_db *db,
                                          const struct ps_cache_def *def,
                                          struct ps_err *err);
/* Replaces the row with def->id; PS_CACHE_NOT_FOUND. */
PS_MUST_USE enum ps_rc ps_db_cache_update(struct ps_db *db,
                                          const struct ps_cache_def *def,
                                          struct ps_err *err);
/* Fills def, to be released with ps_def_done(); PS_CACHE_NOT_FOUND. */
PS_MUST_USE enum ps_rc ps_db_cache_get(struct ps_db *db, const char *id,
                                       struct ps_cache_def *def,
                                       struct ps_err *err);
/* Every cache by name (page: text[0]), or those whose id is in ids, by comma,
 * where that is not ""; the first fn that fails ends it. def is lent. */
PS_MUST_USE enum ps_rc
ps_db_cache_each(struct ps_db *db, const struct ps_page *page, const char *ids,
                 enum ps_rc (*fn)(void *arg, const struct ps_cache_def *def),
                 void *arg, struct ps_err *err);
PS_MUST_USE enum ps_rc ps_db_cache_delete(struct ps_db *db, const char *id,
                                          struct ps_err *err);
PS_MUST_USE enum ps_rc ps_db_cache_count(struct ps_db *db, int64_t *count,
                                         struct ps_err *err);

/* ---- rules: each change raises the revision of its cache too ---- */

enum {
    PS_DB_RULES_MAX = 1000, /* per cache */
    PS_DB_RULE_KEY_MAX = 8192,
    PS_DB_RULE_SORT = 200 /* characters of the key by which rules are sorted */
};
/* Values are those of the fabric's messages (proto/portside.proto). */
extern const struct ps_def_choice ps_rule_types[], ps_rule_modes[];

struct ps_rule_def {
    char id[37];
    char cache_id[37];
    char key[PS_DB_RULE_KEY_MAX + 1];
    int64_t type, mode;
    int64_t ttl_ms, stale_if_error_ms, stale_while_revalidate_ms;
    int64_t created_ms, updated_ms;
    char name[65]; /* for people */
    int64_t revision;
};
/* A new one, or in place of that with the same cache, type and key, whose id
 * and created_ms it takes over. Sets the revision. PS_CACHE_NOT_FOUND,
 * PS_TOO_BIG. */
PS_MUST_USE enum ps_rc ps_db_rule_put(struct ps_db *db,
                                      struct ps_rule_def *rule, bool *created,
                                      struct ps_err *err);
/* By type and the start of the key (page: type, PS_DB_RULE_SORT characters of
 * the key, id). */
PS_MUST_USE enum ps_rc
ps_db_rule_each(struct ps_db *db, const char *cache_id,
                const struct ps_page *page,
                enum ps_rc (*fn)(void *arg, const struct ps_rule_def *rule),
                void *arg, struct ps_err *err);
/* Those of any type with this key. */
PS_MUST_USE enum ps_rc
ps_db_rule_keyed(struct ps_db *db, const char *cache_id, const char *key,
                 enum ps_rc (*fn)(void *arg, const struct ps_rule_def *rule),
                 void *arg, struct ps_err *err);
/* PS_NOT_FOUND. */
PS_MUST_USE enum ps_rc ps_db_rule_get(struct ps_db *db, const char *id,
                                      struct ps_rule_def *rule,
                                      struct ps_err *err);
/*
 * A cache and all of its rules, both or neither. fresh: the cache is added,
 * else its row is replaced. A rule of a type and key that was there takes over
 * id and created_ms, and updated_ms where it says the same; the others of the
 * cache go. PS_CACHE_NOT_FOUND, PS_CONFLICT, PS_TOO_BIG.
 */
PS_MUST_USE enum ps_rc ps_db_definition_put(struct ps_db *db,
                                            const struct ps_cache_def *def,
                                            bool fresh,
                                            struct ps_rule_def *rules,
                                            size_t n_rules, struct ps_err *err);
/* PS_NOT_FOUND. */
PS_MUST_USE enum ps_rc ps_db_rule_delete(struct ps_db *db, const char *id,
                                         int64_t now_ms, struct ps_err *err);

/* ---- regions ---- */

struct ps_region {
    char name[33];
    char description[PS_DEF_DESCRIPTION_MAX + 1];
    int64_t created_ms;
    int64_t agents; /* not revoked; filled by ps_db_region_each */
};
PS_MUST_USE enum ps_rc ps_db_region_insert(struct ps_db *db,
                                           const struct ps_region *region,
                                           struct ps_err *err);
/* By name (page: text[0]). */
PS_MUST_USE enum ps_rc
ps_db_region_each(struct ps_db *db, const struct ps_page *page,
                  enum ps_rc (*fn)(void *arg, const struct ps_region *region),
                  void *arg, struct ps_err *err);
/* PS_NOT_FOUND. */
PS_MUST_USE enum ps_rc ps_db_region_get(struct ps_db *db, const char *name,
                                        struct ps_region *region,
                                        struct ps_err *err);
/* PS_NOT_FOUND; PS_CONFLICT while agents are in it. */
PS_MUST_USE enum ps_rc ps_db_region_delete(struct ps_db *db, const char *name,
                                           struct ps_err *err);

/* ---- agents ---- */

struct ps_agent {
    char id[37];
    char name[65];
    char region[33];
    char endpoint[513];
    char hostname[256];
    char version[65];
    unsigned char secret_hash[PS_DB_HASH_LEN];
    int64_t enrolled_ms, certificate_expires_ms;
    int64_t last_seen_ms, revoked_ms;
    /* Said hello and not goodbye: it may be running now. */
    bool open;
    /* Of its process; "" unknown. */
    char instance[37];
    /* Writes that it left behind may take effect for so long after the moment
     * it was noticed; 0: there are none. A duration, so that no wall clock
     * is trusted. */
    int64_t unsettled_ms;
    bool draining; /* is to be taken out of service; see ps_db_agent_drain() */
};
/* By region, name and id (page: all three). */
PS_MUST_USE enum ps_rc
ps_db_agent_each(struct ps_db *db, const struct ps_page *page,
                 enum ps_rc (*fn)(void *arg, const struct ps_agent *agent),
                 void *arg, struct ps_err *err);
PS_MUST_USE enum ps_rc ps_db_agent_get(struct ps_db *db, const char *id,
                                       struct ps_agent *agent,
                                       struct ps_err *err);
/* Is there an agent of this name that is not revoked? */
PS_MUST_USE enum ps_rc ps_db_agent_name_taken(struct ps_db *db,
                                              const char *name, bool *taken,
                                              struct ps_err *err);
/* Writes endpoint, hostname, version, last_seen_ms, open,
 * certificate_expires_ms, instance and unsettled_ms. */
PS_MUST_USE enum ps_rc ps_db_agent_update(struct ps_db *db,
                                          const struct ps_agent *agent,
                                          struct ps_err *err);
/* Marks it; harmless when it already is. PS_NOT_FOUND. */
PS_MUST_USE enum ps_rc ps_db_agent_revoke(struct ps_db *db, const char *id,
                                          int64_t now_ms, struct ps_err *err);
/* PS_NOT_FOUND; PS_CONFLICT unless it is revoked. */
PS_MUST_USE enum ps_rc ps_db_agent_drain(struct ps_db *db, const char *id,
                                         bool draining, struct ps_err *err);
PS_MUST_USE enum ps_rc ps_db_agent_delete(struct ps_db *db, const char *id,
                                          struct ps_err *err);

/* ---- join tokens ---- */

struct ps_join_token {
    char id[37];
    char region[33];
    char name[65];
    char agent_id[37]; /* "" until used */
    unsigned char secret_hash[PS_DB_HASH_LEN];
    int64_t created_ms, expires_ms, used_ms;
    int64_t seq; /* by age; set by reading */
};
/* Makes the region if it is missing. */
PS_MUST_USE enum ps_rc ps_db_join_insert(struct ps_db *db,
                                         const struct ps_join_token *join,
                                         struct ps_err *err);
/* Newest first (page: seq). */
PS_MUST_USE enum ps_rc
ps_db_join_each(struct ps_db *db, const struct ps_page *page,
                enum ps_rc (*fn)(void *arg, const struct ps_join_token *join),
                void *arg, struct ps_err *err);
/* PS_NOT_FOUND. */
PS_MUST_USE enum ps_rc ps_db_join_get(struct ps_db *db, const char *id,
                                      struct ps_join_token *join,
                                      struct ps_err *err);
PS_MUST_USE enum ps_rc ps_db_join_delete(struct ps_db *db, const char *id,
                                         struct ps_err *err);
/* The token with this hash that is unused and not expired; else
 * PS_UNAUTHORIZED. */
PS_MUST_USE enum ps_rc
ps_db_join_find(struct ps_db *db, const unsigned char hash[PS_DB_HASH_LEN],
                int64_t now_ms, struct ps_join_token *join, struct ps_err *err);
/* Uses the token up and adds the agent, both or neither. */
PS_MUST_USE enum ps_rc ps_db_enroll(struct ps_db *db, const char *join_id,
                                    const struct ps_agent *agent,
                                    struct ps_err *err);

/* ---- API tokens ---- */

/* What a token may do: each role all that the one before it may. */
enum ps_role {
    PS_ROLE_VIEWER,   /* look at caches, agents and statistics */
    PS_ROLE_OPERATOR, /* change caches and rules */
    PS_ROLE_ADMIN     /* regions, agents, join tokens, tokens */
};
/* "viewer", ...; false: none of them. */
bool ps_role_find(const char *text, enum ps_role *role);
const char *ps_role_text(enum ps_role role);

enum {
    PS_TOKEN_CACHES_MAX = 32
};
struct ps_api_token {
    char id[37];
    char name[65];
    enum ps_role role;
    /* Ids by comma: it sees no other cache. Empty: all. Never an admin's. */
    char caches[PS_TOKEN_CACHES_MAX * 37 + 1];
    unsigned char hash[PS_DB_HASH_LEN];
    int64_t created_ms, last_used_ms;
    int64_t seq; /* by age; set by reading */
};
PS_MUST_USE enum ps_rc ps_db_token_insert(struct ps_db *db,
                                          const struct ps_api_token *token,
                                          struct ps_err *err);
/* Oldest first (page: seq). */
PS_MUST_USE enum ps_rc
ps_db_token_each(struct ps_db *db, const struct ps_page *page,
                 enum ps_rc (*fn)(void *arg, const struct ps_api_token *t),
                 void *arg, struct ps_err *err);
/* PS_NOT_FOUND. */
PS_MUST_USE enum ps_rc ps_db_token_get(struct ps_db *db, const char *id,
                                       struct ps_api_token *token,
                                       struct ps_err *err);
/* PS_UNAUTHORIZED when none has this hash. */
PS_MUST_USE enum ps_rc
ps_db_token_find(struct ps_db *db, const unsigned char hash[PS_DB_HASH_LEN],
                 struct ps_api_token *token, struct ps_err *err);
PS_MUST_USE enum ps_rc ps_db_token_used(struct ps_db *db, const char *id,
                                        int64_t now_ms, struct ps_err *err);
/* PS_NOT_FOUND; PS_CONFLICT when it is the last one of an admin. */
PS_MUST_USE enum ps_rc ps_db_token_delete(struct ps_db *db, const char *id,
                                          struct ps_err *err);
PS_MUST_USE enum ps_rc ps_db_token_count(struct ps_db *db, int64_t *count,
                                         struct ps_err *err);

/* ---- audit log ---- */

enum {
    PS_AUDIT_TEXT_MAX = 16384,
    PS_DB_AUDIT_KEPT = 20000 /* entries */
};
/* before, after: JSON, or empty. status 0: not known. */
struct ps_audit {
    int64_t seq, at_ms;
    char token_id[37], token_name[65];
    char method[8], path[256];
    int status;
    char before[PS_AUDIT_TEXT_MAX + 1], after[PS_AUDIT_TEXT_MAX + 1];
};
/* Writes an entry without its end; sets seq. */
PS_MUST_USE enum ps_rc
ps_db_audit_begin(struct ps_db *db, struct ps_audit *entry, struct ps_err *err);
PS_MUST_USE enum ps_rc ps_db_audit_end(struct ps_db *db, int64_t seq,
                                       int status, const char *after,
                                       struct ps_err *err);
/* Newest first (page: seq). */
PS_MUST_USE enum ps_rc
ps_db_audit_each(struct ps_db *db, const struct ps_page *page,
                 enum ps_rc (*fn)(void *arg, const struct ps_audit *entry),
                 void *arg, struct ps_err *err);

/* ---- answers to requests that created something, to be given again ---- */

enum {
    PS_DB_REPLAYS_KEPT = 4096,
    PS_DB_REPLAY_BYTES = 64 << 20 /* of all sealed answers */
};
#define PS_DB_REPLAY_MS INT64_C(86400000)
struct ps_replay {
    char token_id[37]; /* whose request it was; goes with the token */
    unsigned char key_hash[PS_DB_HASH_LEN], request_hash[PS_DB_HASH_LEN];
    int64_t status, created_ms;
    char location[96], etag[72];
    struct ps_buf sealed; /* the body; only the caller's token opens it */
};
/* Fills what is behind key_hash; sealed is to be released whatever happened.
 * *found false: none, or older than PS_DB_REPLAY_MS. */
PS_MUST_USE enum ps_rc ps_db_replay_find(struct ps_db *db,
                                         struct ps_replay *replay,
                                         int64_t now_ms, bool *found,
                                         struct ps_err *err);
/* Forgets the old ones and those that are too many. */
PS_MUST_USE enum ps_rc ps_db_replay_put(struct ps_db *db,
                                        const struct ps_replay *replay,
                                        struct ps_err *err);

/* ---- reachability runs ---- */

struct ps_run {
    char id[37];
    char cache_id[37];
    int64_t started_ms, finished_ms;
};
struct ps_run_result {
    char agent_id[37];
    char agent_name[65];
    char region[33];
    bool done, ok;
    char code[33];
    char source_address[129];
    char target_address[129];
    char server_version[257];
    char advice[1025];
    /* A JSON array of stages, as the API shows it; lent, never NULL. */
    const char *stages;
};
/* Adds the run, forgets all but the newest ones of this cache. */
PS_MUST_USE enum ps_rc ps_db_run_insert(struct ps_db *db,
                                        const struct ps_run *run,
                                        struct ps_err *err);
/* Adds or replaces one agent's result; PS_NOT_FOUND when the run is gone. */
PS_MUST_USE enum ps_rc ps_db_run_result_put(struct ps_db *db,
                                            const char *run_id,
                                            const struct ps_run_result *result,
                                            struct ps_err *err);
/* Ends the run; results that are not done get this code and advice. */
PS_MUST_USE enum ps_rc ps_db_run_finish(struct ps_db *db, const char *run_id,
                                        int64_t now_ms, const char *code,
                                        const char *advice, struct ps_err *err);
/* The same for every run that was under way when the last process ended. */
PS_MUST_USE enum ps_rc ps_db_run_finish_all(struct ps_db *db, int64_t now_ms,
                                            const char *code,
                                            const char *advice,
                                            struct ps_err *err);
/* run_id NULL: the newest of the cache. PS_NOT_FOUND. */
PS_MUST_USE enum ps_rc ps_db_run_get(struct ps_db *db, const char *cache_id,
                                     const char *run_id, struct ps_run *run,
                                     struct ps_err *err);
PS_MUST_USE enum ps_rc ps_db_run_result_each(
    struct ps_db *db, const char *run_id,
    enum ps_rc (*fn)(void *arg, const struct ps_run_result *result), void *arg,
    struct ps_err *err);

/* ---- events ---- */

/* X(name, text, meaning): what happens in the fleet; texts are stable. */
#define PS_EVENT_TABLE(X)                                                    \
    X(AGENT_CONNECTED, "agent_connected", "an agent has said hello")         \
    X(AGENT_STOPPED, "agent_stopped", "an agent has said goodbye")           \
    X(AGENT_LOST, "agent_lost", "its heartbeats stopped without goodbye")    \
    X(AGENT_DRAINING, "agent_draining", "it is to be taken out of service")  \
    X(AGENT_DRAINED, "agent_drained", "it has nothing to do any more")       \
    X(AGENT_SERVING, "agent_serving", "it is taken back into service")       \
    X(AGENT_REVOKED, "agent_revoked", "it was ended for good")               \
    X(LEASE_LOST, "lease_lost", "it served nothing from memory for a while") \
    X(RESTRICTED, "restricted", "agents serve no old answers for now")       \
    X(UNRESTRICTED, "unrestricted", "that is over")                          \
    X(CACHE_CREATED, "cache_created", "a cache was made")                    \
    X(CACHE_CHANGED, "cache_changed", "its settings or rules were changed")  \
    X(CACHE_DELETED, "cache_deleted", "it was removed")                      \
    X(REACHABILITY, "reachability", "an agent reaches its database, or not") \
    X(BREAKER_OPEN, "breaker_open", "an agent leaves its database alone")    \
    X(BREAKER_CLOSED, "breaker_closed", "it uses the database again")        \
    X(TEMPLATE_OFF, "template_off", "answers of a template were too stale")  \
    X(PURGE, "purge", "answers were purged")

enum ps_event_type {
#define X(name, text, meaning) PS_EVENT_##name,
    PS_EVENT_TABLE(X)
#undef X
};
/* Static. */
const char *ps_event_text(enum ps_event_type type);
bool ps_event_find(const char *text, enum ps_event_type *type);

enum {
    PS_DB_EVENTS_KEPT = 10000
};
#define PS_DB_EVENTS_MS (INT64_C(30) * 86400000)

struct ps_event {
    int64_t seq; /* 1, 2, 3 ... */
    int64_t at_ms;
    char type[24];
    char agent_id[37], agent_name[65], region[33]; /* "": no agent's */
    char cache_id[37], cache_name[129];            /* "": no cache's */
    char message[257];
};
/* seq is given by the store. What is too old or too many goes. */
PS_MUST_USE enum ps_rc ps_db_event_insert(struct ps_db *db,
                                          const struct ps_event *event,
                                          struct ps_err *err);
struct ps_event_ask {
    int64_t after;      /* those with a greater number */
    int64_t since_ms;   /* wall; not older */
    const char *type;   /* "": any */
    const char *caches; /* ids by comma, and what is no cache's; "": all */
    int64_t limit;
    bool newest; /* the last `limit` of them instead of the first */
};
/* In the order in which they happened. */
PS_MUST_USE enum ps_rc
ps_db_event_each(struct ps_db *db, const struct ps_event_ask *ask,
                 enum ps_rc (*fn)(void *arg, const struct ps_event *event),
                 void *arg, struct ps_err *err);
/* *seq stays where there is none. */
PS_MUST_USE enum ps_rc ps_db_event_newest(struct ps_db *db, int64_t *seq,
                                          struct ps_err *err);

/* What an agent found out about a cache's origin in the last finished run that
 * is not this one. */
struct ps_run_outcome {
    bool known, ok;
    char code[33];
};
PS_MUST_USE enum ps_rc
ps_db_run_last_result(struct ps_db *db, const char *cache_id,
                      const char *agent_id, const char *but_run_id,
                      struct ps_run_outcome *out, struct ps_err *err);

#endif
