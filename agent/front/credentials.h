/*
 * Who asks, as the headers of HTTP tell it: Basic credentials (RFC 7617) and
 * the places where a cache's id travels in a user name.
 */
#ifndef PS_AGENT_FRONT_CREDENTIALS_H
#define PS_AGENT_FRONT_CREDENTIALS_H

#include "common/arena.h"
#include "common/err.h"

struct ps_credentials {
    struct ps_str cache_id; /* absent: not told here */
    struct ps_str database; /* absent: not told here */
    struct ps_str user, password;
};

/*
 * "Basic base64(user:password)". The user name is taken as it is; see
 * ps_credentials_split. PS_UNAUTHORIZED when the header is another one,
 * cannot be decoded, or holds what is no text.
 */
PS_MUST_USE enum ps_rc ps_credentials_basic(struct ps_str header,
                                            struct ps_arena *arena,
                                            struct ps_credentials *out,
                                            struct ps_err *err);
/*
 * Takes "{cacheId}-{user}" and "{cacheId}/{database}/{user}" apart; another
 * user name stays as it is.
 */
void ps_credentials_split(struct ps_credentials *credentials);

/* Decodes base64 (RFC 4648, padding optional) and base64url; an absent view
 * when it is neither, or the arena is full. */
struct ps_str ps_base64_decode(struct ps_str text, struct ps_arena *arena);
/* Has it the form of a cache's id (a UUID)? */
bool ps_is_cache_id(struct ps_str text);

#endif
