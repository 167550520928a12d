/* Inside api/: a request on its way through the route table. */
#ifndef PS_CONTROLPLANE_API_API_PRIVATE_H
#define PS_CONTROLPLANE_API_API_PRIVATE_H

#include "common/buf.h"
#include "common/check.h"
#include "common/list.h"
#include "controlplane/api/api.h"

#include <jansson.h>

enum {
    API_MAGIC = 0x70734150,
    API_PARAM_MAX = 64,
    API_KEY_MAX = 255, /* of an Idempotency-Key */
    API_PAGE_DEFAULT = 100,
    API_PAGE_MAX = 500,
    API_CURSOR_MAX = 1024, /* bytes; as text: */
    API_CURSOR_TEXT = API_CURSOR_MAX / 3 * 4 + 8,
    API_REPLY_MAX = 64 << 20
};

struct api_server; /* sockets, TLS, evhttp: server.c */

struct ps_api {
    unsigned magic;
    struct ps_api_conf conf;
    struct api_server *server;
    int64_t started_ms;  /* wall */
    uint64_t replies[6]; /* by the first digit of the status */
    char url[512];       /* in join tokens */
};

/* Methods the API knows; others are simply not in the table. */
enum api_method {
    API_GET,
    API_POST,
    API_PUT,
    API_PATCH,
    API_DELETE,
    API_OTHER
};

/*
 * Filled by server.c, completed by handlers. A handler that must wait for
 * something sets held and returns PS_OK; later, from the loop, it calls
 * api_finish(). What server.c gave (path, query, body) stays until then.
 */
struct api_request {
    struct ps_api *api;
    enum api_method method;
    const char *path;  /* without query */
    const char *run;   /* ?run=, or NULL */
    const char *query; /* all behind "?", as it came, or NULL */
    /* Headers, or NULL. */
    const char *authorization, *if_match, *if_none_match, *idempotency_key;
    const char *twice;  /* a header that may be there once and is not */
    struct ps_str text; /* the body as it came */
    /* For the handler: */
    char param[API_PARAM_MAX]; /* what stood for {} in the route */
    char word[API_PARAM_MAX];  /* for {word} */
    struct ps_str key;         /* for {key}, as it came */
    struct ps_api_token token; /* who asks; of routes that take one */
    struct ps_str secret;      /* its text */
    json_t *body;              /* an object; empty when there was no body */
    /* By the handler: */
    int status;        /* 200 unless set */
    struct ps_buf out; /* the reply's body; empty: none */
    char location[96]; /* "" : no Location header */
    char etag[72];     /* "" : no ETag header; of GET, and of what was made */
    char moment[12];   /* the part of it behind the revision */
    bool replayed;     /* out is an earlier answer */
    /* What is to follow once the change is on disk; see api_follow(). */
    unsigned follow;
    char changed[37]; /* id of the cache */
    bool rule_changed;
    char changed_name[65]; /* of one that is gone; else "" */
    bool held;
    struct ps_ask *ask; /* what a held one waits for; cancelled at the end */
    /* By the router: */
    char allow[48]; /* for 405 */
    struct ps_audit *audit;
    /* By server.c: */
    struct ps_link link; /* among the held ones */
    struct evhttp_request *http;
};

/* Runs the request. Afterwards, unless it is held, status and out are set
 * whatever happened; api_request_done() frees. */
void api_run(struct api_request *request);
/* What a held one waited for has come, or failed: status and out are set, the
 * reply leaves, the request is gone. */
void api_finish(struct api_request *request, enum ps_rc rc, struct ps_err *err);
/* routes.c: the part of it that needs no network. */
void api_complete(struct api_request *request, enum ps_rc rc,
                  struct ps_err *err);
void api_request_done(struct api_request *request);
/* Replaces what is in out by the error's body; the HTTP status. */
int api_put_error(struct ps_buf *out, enum ps_rc rc, const char *message);

/* ---- conditions.c ---- */

/* Whether etag (with its quotes) is in the list of If-Match (strong) or
 * If-None-Match; false when the header is not such a list. What is behind a dot
 * in a tag is of the moment: for If-Match it does not count. */
bool api_etag_listed(struct ps_str header, struct ps_str etag, bool strong,
                     bool *listed);
/* The key, without the quotes that it may have; false when it is none. */
bool api_read_key(struct ps_str header, struct ps_str *key);
/* The reply's ETag: of an object with a revision, or of the reply as it is. */
void api_tag_revision(struct api_request *request, int64_t revision);
void api_tag_reply(struct api_request *request);
/* Before api_tag_revision(): what the reply has from here on is of the moment
 * and no part of the object's version. */
void api_tag_moment(struct api_request *request, size_t from);
/* PS_PRECONDITION when there is an If-Match without this tag ("": there is no
 * object). */
PS_MUST_USE enum ps_rc api_check_match(const struct api_request *request,
                                       const char *etag, struct ps_err *err);
/* *listed: there is an If-None-Match with this tag or *. */
PS_MUST_USE enum ps_rc api_check_none_match(const struct api_request *request,
                                            const char *etag, bool *listed,
                                            struct ps_err *err);

/* ---- replay.c: a request that is repeated with its Idempotency-Key ---- */

/* The first answer, if there is one (replayed is true then); PS_KEY_REUSED. */
PS_MUST_USE enum ps_rc api_replay(struct api_request *request,
                                  struct ps_err *err);
/* Keeps this one, within the transaction of what it tells of. */
PS_MUST_USE enum ps_rc api_replay_keep(struct api_request *request,
                                       struct ps_err *err);

/* ---- page.c: lists in pages ---- */

struct api_cursor {
    char text[API_CURSOR_MAX];
    const char *key[3]; /* in text */
};
/* False: it is not a cursor of this list with so many keys. */
bool api_cursor_read(const char *text, const char *list, size_t keys,
                     struct api_cursor *cursor);
/* False: it does not fit. */
bool api_cursor_write(char out[API_CURSOR_TEXT], const char *list,
                      const char *const *keys, size_t n);
/* Without padding; out has room for n * 4 / 3 + 3. The length. */
size_t api_base64url(const unsigned char *in, size_t n, char *out);

/* A page being written. Set name, keys or by_number; the rest is begun empty
 * and filled by api_list_begin(). */
struct api_list {
    const char *name;
    size_t keys; /* texts by which it is sorted, or */
    bool by_number;
    bool more_params; /* the handler looks for unknown ones */
    struct api_request *request;
    struct ps_page page; /* for the store */
    struct api_cursor cursor;
    int64_t shown;
    bool more;
    char next[API_CURSOR_TEXT];
};
/* Reads limit and cursor. */
PS_MUST_USE enum ps_rc api_list_begin(struct api_request *request,
                                      struct api_list *list,
                                      struct ps_err *err);
/* {"items": [ */
void api_list_open(struct api_list *list);
/* Before a row is written, with its sort keys; false: it is for the next
 * page. */
bool api_list_row(struct api_list *list, const char *const *keys);
bool api_list_row_number(struct api_list *list, int64_t number);
/* Of rules (3 keys). */
bool api_list_row_rule(struct api_list *list, const struct ps_rule_def *rule);
/* ], "next": ...} */
void api_list_close(struct api_list *list);
/* Absent: *out stays. */
PS_MUST_USE enum ps_rc api_read_number(const struct api_request *request,
                                       const char *name, int64_t max,
                                       int64_t *out, struct ps_err *err);

/* ---- what follows a change ---- */

enum api_follow {
    API_TELL = 1,       /* agents: the configuration has a new version */
    API_INVALIDATE = 2, /* the cache's answers */
    API_PROBE = 4,      /* a reachability run */
    API_FORGET = 8,     /* the cache's statistics: it is gone */
    API_CREATED = 16    /* for the list of events */
};
/* caches.c: does what request->follow says. The change is on disk: what fails
 * here is only logged. */
void api_follow(struct api_request *request);

/* Whether the request's token sees the cache of this id. */
bool api_sees_cache(const struct api_request *request, const char *id);

typedef enum ps_rc api_handler(struct api_request *request, struct ps_err *err);

/* caches.c */
api_handler api_list_caches, api_create_cache, api_get_cache, api_update_cache,
    api_delete_cache, api_test_cache, api_get_reachability;
/* Every member of the cache but its rules, into an open object. */
void api_put_cache(struct ps_buf *out, const struct ps_cache_def *def);
/* The fields that may be set now (create: at creation), from body into def. */
PS_MUST_USE enum ps_rc api_read_cache(const json_t *body, bool create,
                                      struct ps_cache_def *def,
                                      struct ps_err *err);
/* A change of the cache that the path names: its update() gets the cache as it
 * is, and once more, to be changed and stored. */
typedef enum ps_rc (*api_cache_update)(struct api_request *request,
                                       const struct ps_cache_def *old,
                                       struct ps_cache_def *def,
                                       struct ps_err *err);
PS_MUST_USE enum ps_rc api_change_cache(struct api_request *request,
                                        api_cache_update update,
                                        struct ps_err *err);
/* The body into def, checked, with its next revision. */
PS_MUST_USE enum ps_rc api_read_change(struct api_request *request,
                                       struct ps_cache_def *def,
                                       struct ps_err *err);
/* What is to follow a change that is stored: agents are told, and another
 * origin starts anew. Sets the ETag. */
void api_cache_changed(struct api_request *request,
                       const struct ps_cache_def *old,
                       const struct ps_cache_def *def);
/* One of the cache's rules was, or is gone. */
void api_rule_changed(struct api_request *request, const char *cache_id);
/* definition.c */
api_handler api_get_definition, api_update_definition;
/* All rules of a cache, as sent with its definition; freed with
 * api_rules_done(). */
struct api_rules {
    struct ps_rule_def *list; /* NULL: none were sent, those there stay */
    size_t count;
};
/* Takes "rules" out of the request's body. */
PS_MUST_USE enum ps_rc api_rules_take(struct api_request *request,
                                      const char *cache_id,
                                      struct api_rules *rules,
                                      struct ps_err *err);
void api_rules_done(struct api_rules *rules);
/* "rules": [...] of the cache as they are stored. */
PS_MUST_USE enum ps_rc api_put_rules(struct api_request *request,
                                     const char *key, const char *cache_id,
                                     struct ps_err *err);
/* purge.c */
api_handler api_purge_cache;
/* explain.c */
api_handler api_explain;
/* events.c */
api_handler api_list_events;
/* rules.c */
/* body into rule, whose id, cache and times are set. */
PS_MUST_USE enum ps_rc
api_read_rule(const json_t *body, struct ps_rule_def *rule, struct ps_err *err);
api_handler api_list_rules, api_set_rule, api_get_rule, api_delete_rule;
/* A rule of the path's cache, of now and with an id; the rest is unset. */
struct ps_rule_def api_new_rule(const struct api_request *request);
/* Checks If-Match and If-None-Match against the rule in whose place this one
 * goes, and puts it there; the reply is the caller's. */
PS_MUST_USE enum ps_rc api_put_rule(struct api_request *request,
                                    struct ps_rule_def *rule,
                                    struct ps_err *err);
/* ttls.c */
api_handler api_list_ttls, api_create_ttl, api_get_ttl, api_update_ttl,
    api_delete_ttl;
/* agents.c */
api_handler api_list_regions, api_create_region, api_get_region,
    api_delete_region, api_list_agents, api_get_agent, api_delete_agent,
    api_revoke_agent, api_drain_agent, api_undrain_agent;
/* tokens.c */
api_handler api_list_join_tokens, api_create_join_token, api_get_join_token,
    api_delete_join_token, api_enroll, api_list_tokens, api_create_token,
    api_get_token, api_delete_token;
/* audit.c */
api_handler api_list_audit;
/* Before a handler that may change something; NULL (err says why) when it
 * cannot be written down: then nothing may be changed. */
struct ps_audit *api_audit_begin(struct api_request *request,
                                 const char *method, struct ps_err *err);
/* After it, with the status; frees. */
void api_audit_end(struct api_request *request, struct ps_audit **entry);
/* routes.c: runs the handler of a GET for request->token, which has been
 * authorized for more; false when there is none or it fails. */
bool api_look(struct api_request *request);
/* stats.c */
api_handler api_get_stats, api_list_stats;
/* status.c */
api_handler api_health, api_get_ca, api_get_status;

/* server.c */
PS_MUST_USE enum ps_rc api_server_start(struct ps_api *api, struct ps_err *err);
void api_server_stop(struct ps_api *api);
int api_server_port(const struct ps_api *api);

/* query.c: parameters behind the "?". */

/* Every one is among names (NULL-terminated), else PS_BAD_FIELD. */
PS_MUST_USE enum ps_rc api_only_params(const struct api_request *request,
                                       const char *const *names,
                                       struct ps_err *err);
/* Decoded; "" and *given false when it is not there. PS_BAD_FIELD when it is
 * there twice, does not fit or is not UTF-8. */
PS_MUST_USE enum ps_rc api_param(const struct api_request *request,
                                 const char *name, char *out, size_t size,
                                 bool *given, struct ps_err *err);
/* Percent-encoded text; with plus, "+" is a space. False: it does not fit, is
 * not what may stand there, not UTF-8 or has a NUL. */
bool api_decode(struct ps_str in, bool plus, char *out, size_t size);
/* "90s", "15m", "1h", "7d"; ten years at most. */
bool api_read_duration(const char *text, int64_t *ms);
/* RFC 3339 in UTC. */
bool api_read_time(const char *text, int64_t *wall_ms);

/* body.c: fields of a request's body. Messages name the field. */

/* Every key is one of names (NULL-terminated), else PS_BAD_FIELD. */
PS_MUST_USE enum ps_rc api_only_fields(const json_t *body,
                                       const char *const *names,
                                       struct ps_err *err);
/* A text of min..max bytes; absent: PS_MISSING_FIELD when min > 0, else "".
 * *out points into body. */
PS_MUST_USE enum ps_rc api_text(const json_t *body, const char *name,
                                size_t min, size_t max, const char **out,
                                struct ps_err *err);
/* Absent: *out stays as it is. */
PS_MUST_USE enum ps_rc api_int(const json_t *body, const char *name,
                               int64_t min, int64_t max, int64_t *out,
                               struct ps_err *err);
PS_MUST_USE enum ps_rc api_bool(const json_t *body, const char *name,
                                int64_t *out, struct ps_err *err);
/* A region's name: [a-z0-9-]{1,32}. */
PS_MUST_USE enum ps_rc api_region_name(const json_t *body, const char *field,
                                       const char **out, struct ps_err *err);

/* write.c: the reply's JSON. Commas are put where they belong; key is NULL in
 * arrays. A failure (memory, size) sticks in the buffer. */
void api_open(struct ps_buf *out, const char *key, char bracket);
void api_close(struct ps_buf *out, char bracket);
void api_put_text(struct ps_buf *out, const char *key, const char *text);
void api_put_int(struct ps_buf *out, const char *key, int64_t value);
void api_put_bool(struct ps_buf *out, const char *key, bool value);
/* A time of the store: RFC 3339, null for 0. */
void api_put_time(struct ps_buf *out, const char *key, int64_t wall_ms);
/* null when text is empty. */
void api_put_text_or_null(struct ps_buf *out, const char *key,
                          const char *text);
/* json is JSON already. */
void api_put_raw(struct ps_buf *out, const char *key, const char *json);

#endif
