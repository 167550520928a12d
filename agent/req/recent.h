/*
 * Who asked lately, on one loop: from the texts of a request straight to its
 * cache's definition and its principal, without the locks and hashes of the
 * two tables. It only remembers what the tables said: any change of a
 * definition forgets all of it, and a password is never looked at here.
 *
 * A place holds a reference to both, so few principals are kept from being
 * dropped; where few are allowed at all, nothing is remembered.
 *
 * Only on its loop's thread.
 */
#ifndef PS_AGENT_REQ_RECENT_H
#define PS_AGENT_REQ_RECENT_H

#include "agent/config/config.h"
#include "agent/pool/principal.h"

enum {
    PS_RECENT_PLACES = 16 /* a power of two */
};

struct ps_recent {
    bool off;
    uint64_t changes; /* ps_config_changes when all this was found */
    struct {
        struct ps_cache_conf *conf; /* NULL: free */
        struct ps_principal *principal;
    } places[PS_RECENT_PLACES];
};

/* References to both, or false. changes: of the definitions, read just now. */
PS_MUST_USE bool ps_recent_find(struct ps_recent *recent, uint64_t changes,
                                struct ps_str cache_id, struct ps_str database,
                                struct ps_str user, struct ps_cache_conf **conf,
                                struct ps_principal **principal);
/* changes: read before conf was found. Takes references of its own. */
void ps_recent_keep(struct ps_recent *recent, uint64_t changes,
                    struct ps_cache_conf *conf, struct ps_principal *principal);
void ps_recent_forget(struct ps_recent *recent);

#endif
