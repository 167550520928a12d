/*
 * Caches in a file: what `psctl export` writes and `plan` and `apply` read,
 * in YAML or JSON (which is YAML, too).
 *
 *   version: 1
 *   caches:
 *     - name: shop
 *       type: postgres
 *       host: db.example.com
 *       ttl-max: 5m
 *       rules:
 *         - {table: public.orders, ttl: 30s}
 *         - {template: "SELECT * FROM t WHERE id = 1", mode: never}
 *     - {name: old, absent: true}
 *
 * Settings have the names of `cache create`'s options and its units. What a
 * cache's entry does not name stays as it is (or has its default, where the
 * cache is new); `rules`, where it is there, says all of them.
 *
 * Reading is strict: what is unknown, there twice or of the wrong kind is
 * refused with its line. Pure; the only user of libyaml.
 */
#ifndef PS_CLI_MANIFEST_H
#define PS_CLI_MANIFEST_H

#include "cli/rest.h"

enum {
    PS_MANIFEST_MAX = 16 << 20, /* bytes of a file */
    PS_MANIFEST_CACHES_MAX = 10000,
    PS_MANIFEST_RULES_MAX = 100000
};

/* One cache as the file wants it. */
struct ps_wanted {
    char *name;
    size_t line; /* of its entry, from 1 */
    bool absent;
    json_t *fields; /* of the REST API; without name and rules */
    json_t *rules;  /* each with every field, or NULL: none are said */
};

struct ps_manifest {
    struct ps_wanted *caches;
    size_t count;
};

/* where: the file's name, for messages. PS_EXIT_FAILED with the fault. */
PS_MUST_USE enum ps_exit ps_manifest_read(struct ps_str text, const char *where,
                                          struct ps_manifest *out,
                                          struct ps_fault *fault);
void ps_manifest_done(struct ps_manifest *manifest);

/* The file's content, of an array of definitions (REST API); owned. */
json_t *ps_manifest_of(const json_t *definitions);
/* The same as YAML: any JSON value. */
void ps_manifest_yaml(const json_t *content, struct ps_buf *out);

/* "ttl 30s, stale-if-error 1h" of a rule (REST API); to be freed. */
char *ps_rule_text(const json_t *rule);

#endif
