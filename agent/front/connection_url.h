/*
 * postgresql://user:password@host:port/database?key=value (libpq, section
 * 34.1.1.2), as Neon's driver sends it: parts are percent-encoded.
 */
#ifndef PS_AGENT_FRONT_CONNECTION_URL_H
#define PS_AGENT_FRONT_CONNECTION_URL_H

#include "agent/front/credentials.h"

/*
 * The cache is named by ?cache=, by the user name (ps_credentials_split), or
 * by the first label of the host, in this order; absent where none is the id of
 * a cache. Parts are decoded into the arena. PS_BAD_FIELD when it is no such
 * URL, a part is no text, or user or database are missing; err repeats
 * nothing of it.
 */
PS_MUST_USE enum ps_rc ps_connection_url(struct ps_str url,
                                         struct ps_arena *arena,
                                         struct ps_credentials *out,
                                         struct ps_err *err);

#endif
