/*
 * The JSON body of the PolyScale serverless protocol, from bytes to checked
 * fields.
 *
 *   bytes -> UTF-8 check -> scan in place --ok--------------> field rules
 *                                |                               ^
 *                                +-- anything unusual --> jansson +
 *
 * The scanner may only accept: what it does not like (bad syntax, nesting
 * beyond its depth, numbers beyond a double) is read again by jansson, which
 * decides and says what is wrong. Where the scanner accepts, jansson would
 * have read the same values; polyscale_body_test.c and the fuzzer hold the two
 * together.
 *
 * Nothing is copied but strings with escapes and lists of bindings, which go
 * to the arena. Everything else points into the body.
 */
#ifndef PS_AGENT_FRONT_POLYSCALE_BODY_H
#define PS_AGENT_FRONT_POLYSCALE_BODY_H

#include "agent/front/knex.h"
#include "common/arena.h"
#include "common/err.h"

/* X(name, key, what is expected), in the order in which they are checked */
#define PS_POLYSCALE_FIELD_TABLE(X)                                        \
    X(CACHE_ID, "cacheId", "the id of the cache (see `psctl cache list`)") \
    X(USERNAME, "username", "the user name for the database")              \
    X(PASSWORD, "password", "the password for the database")               \
    X(SQL, "sql", "the statement to run")                                  \
    X(DATABASE, "database", "the name of the database")                    \
    X(PROVIDER, "provider",                                                \
      "one of postgres, mysql, mariadb, mssql, or no such field")          \
    X(BINDINGS, "bindings", "an array or an object of values, or no such field")

enum ps_polyscale_field_id {
#define X(name, key, expected) PS_POLYSCALE_##name,
    PS_POLYSCALE_FIELD_TABLE(X)
#undef X
    PS_POLYSCALE_FIELD_COUNT
};

enum ps_json_kind {
    PS_JSON_ABSENT,
    PS_JSON_NULL,
    PS_JSON_BOOL,
    PS_JSON_NUMBER,
    PS_JSON_STRING,
    PS_JSON_ARRAY,
    PS_JSON_OBJECT
};

struct ps_polyscale_field {
    enum ps_json_kind kind;
    struct ps_str text; /* STRING: decoded, no NUL */
    size_t at, end;     /* the value's place in the body (scanner only) */
};

struct ps_polyscale_body {
    struct ps_polyscale_field fields[PS_POLYSCALE_FIELD_COUNT];
    struct ps_knex_bindings bindings;
    size_t room;     /* of bindings.list */
    size_t n_values; /* in bindings, members of arrays included */
};

enum {
    PS_POLYSCALE_MAX_VALUES = 262144,          /* in bindings altogether */
    PS_POLYSCALE_MAX_UNUSUAL_BYTES = 128 << 10 /* jansson needs up to 90 times
                                                  as much memory */
};

/* All of the picture above. out points into body and arena. */
PS_MUST_USE enum ps_rc ps_polyscale_body_read(struct ps_str body,
                                              struct ps_arena *arena,
                                              struct ps_polyscale_body *out,
                                              struct ps_err *err);

/* The parts, for the tests that compare them. */

/* false: let jansson decide. hint->rc is set then when a value was the
 * reason (an escape that is no character, a value bindings cannot hold). */
PS_MUST_USE bool ps_polyscale_body_scan(struct ps_str body,
                                        struct ps_arena *arena,
                                        struct ps_polyscale_body *out,
                                        struct ps_err *hint);
PS_MUST_USE enum ps_rc ps_polyscale_body_load(struct ps_str body,
                                              struct ps_arena *arena,
                                              struct ps_polyscale_body *out,
                                              struct ps_err *err);
/* Missing, empty or of the wrong type? */
PS_MUST_USE enum ps_rc
ps_polyscale_body_check(const struct ps_polyscale_body *body,
                        struct ps_err *err);

/* Shared by both readers. */

const char *ps_polyscale_key(enum ps_polyscale_field_id id);
/* PS_POLYSCALE_FIELD_COUNT when the key is none of ours. */
enum ps_polyscale_field_id ps_polyscale_find(struct ps_str key);
/* A field is (re)set to this kind; bindings start empty again. */
void ps_polyscale_set(struct ps_polyscale_body *body,
                      enum ps_polyscale_field_id id, enum ps_json_kind kind);
/* Room for one more binding, NULL when there are too many (err is set). */
struct ps_knex_binding *ps_polyscale_add(struct ps_polyscale_body *body,
                                         struct ps_arena *arena,
                                         struct ps_err *err);
/* A growing list of an array binding's items. */
struct ps_polyscale_items {
    struct ps_param *list;
    size_t count, room;
    enum ps_param_kind kind; /* of all items that are not null */
};
/* Appends; PS_BAD_BINDINGS when the item's type differs from the others'.
 * number: which binding, for the message (from 1). */
PS_MUST_USE enum ps_rc ps_polyscale_add_item(struct ps_polyscale_body *body,
                                             struct ps_arena *arena,
                                             struct ps_polyscale_items *items,
                                             const struct ps_param *item,
                                             size_t number, struct ps_err *err);
/* A string holds what no statement or value may hold. number 0: field id
 * itself, else that value of bindings. */
enum ps_rc ps_polyscale_bad_text(enum ps_polyscale_field_id id, size_t number,
                                 bool surrogate, struct ps_err *err);
/* An object, or an array within an array. */
enum ps_rc ps_polyscale_bad_value(size_t number, const char *what,
                                  struct ps_err *err);

#endif
