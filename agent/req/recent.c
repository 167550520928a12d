/* One place for each value of a cheap hash; the last one who asked has it. */
#include "agent/req/recent.h"

static size_t
mix(size_t hash, struct ps_str text)
{
    if (text.len == 0)
        return hash * 31;
    size_t first = (unsigned char)text.ptr[0];
    size_t last = (unsigned char)text.ptr[text.len - 1];
    return hash * 31 + text.len * 7 + first * 5 + last;
}

static size_t
place_of(struct ps_str cache_id, struct ps_str database, struct ps_str user)
{
    size_t hash = mix(mix(mix(0, cache_id), database), user);
    return (hash ^ hash >> 4) % PS_RECENT_PLACES;
}

bool
ps_recent_find(struct ps_recent *recent, uint64_t changes,
               struct ps_str cache_id, struct ps_str database,
               struct ps_str user, struct ps_cache_conf **conf,
               struct ps_principal **principal)
{
    size_t i = place_of(cache_id, database, user);
    struct ps_principal *found = recent->places[i].principal;
    if (!found || recent->changes != changes ||
        /* As it is written there, in lower case: another case looks it up. */
        !ps_str_eq(found->cache_id, cache_id) ||
        !ps_str_eq(found->database, database) || !ps_str_eq(found->user, user))
        return false;
    *conf = ps_cache_conf_ref(recent->places[i].conf);
    *principal = ps_principal_ref(found);
    return true;
}

void
ps_recent_forget(struct ps_recent *recent)
{
    for (size_t i = 0; i < PS_RECENT_PLACES; i++) {
        ps_cache_conf_unref(&recent->places[i].conf);
        ps_principal_unref(&recent->places[i].principal);
    }
}

void
ps_recent_keep(struct ps_recent *recent, uint64_t changes,
               struct ps_cache_conf *conf, struct ps_principal *principal)
{
    if (recent->off)
        return;
    if (recent->changes != changes) {
        ps_recent_forget(recent);
        recent->changes = changes;
    }
    size_t i =
        place_of(principal->cache_id, principal->database, principal->user);
    ps_cache_conf_unref(&recent->places[i].conf);
    ps_principal_unref(&recent->places[i].principal);
    recent->places[i].conf = ps_cache_conf_ref(conf);
    recent->places[i].principal = ps_principal_ref(principal);
}
