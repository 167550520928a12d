/*
 * What must change so that the caches are as a file wants them: a list of
 * changes, one for each cache that the file names (and, to prune, for each
 * that it does not), and how they are shown.
 *
 * A cache with its rules is one object: a change is one call, which the
 * control plane stores in one transaction. The list is made from what is there
 * now, so that after an interruption the next list is what is left to do; a
 * change of what somebody else changed in between is refused.
 */
#ifndef PS_CLI_PLAN_H
#define PS_CLI_PLAN_H

#include "cli/ctl.h"
#include "cli/manifest.h"

enum ps_change_kind {
    PS_CHANGE_NONE,
    PS_CHANGE_CREATE,
    PS_CHANGE_UPDATE,
    PS_CHANGE_DELETE
};

struct ps_change {
    enum ps_change_kind kind;
    char *name;
    char id[40];            /* "" when it is to be created */
    char etag[PS_ETAG_MAX]; /* of what is there; of changes only */
    size_t line;            /* of the file; 0: it is not in it */
    json_t *body;           /* what is sent; NULL to delete */
    json_t *parts; /* [{"change": "add|change|remove", "what", "from", "to"}],
                      texts as the file has them, null for none */
};

struct ps_plan {
    struct ps_change *changes;
    size_t count;
    json_t *kept; /* names of caches that are not in the file and stay */
};

/* Asks for what is there. where: the file's name, for messages. */
PS_MUST_USE enum ps_exit ps_plan_make(struct ps_ctl *ctl, const char *where,
                                      const struct ps_manifest *manifest,
                                      bool prune, struct ps_plan *plan);
void ps_plan_done(struct ps_plan *plan);
/* How many changes are more than PS_CHANGE_NONE. */
size_t ps_plan_work(const struct ps_plan *plan);
/* "create", "change", "delete", "none". */
const char *ps_change_word(enum ps_change_kind kind);

/* For people, on standard output. */
void ps_plan_print(const struct ps_ctl *ctl, const struct ps_plan *plan);
/* {"changes": [...], "unchanged": [...], "notInFile": [...]}; owned. */
json_t *ps_plan_json(const struct ps_plan *plan);

#endif
