/*
 * Between the agent's own structs and the messages of proto/portside.proto.
 * Pure. Everything that arrives is checked: sizes, required fields, ranges.
 */
#ifndef PS_AGENT_LINK_CODEC_H
#define PS_AGENT_LINK_CODEC_H

#include "agent/cache/change.h"
#include "agent/cache/purge.h"
#include "agent/config/config.h"
#include "agent/link/uplink.h"
#include "common/err.h"
#include "proto/portside.pb-c.h"

/* A definition with one reference, or NULL when the message makes no sense
 * (bad id, no host, unknown provider) or without memory. */
struct ps_cache_conf *ps_codec_cache(const Portside__CacheConfig *message);

/* Tables of a change that point into the message; call ps_codec_change_done.
 * PS_BAD_REQUEST when the message is not usable. */
struct ps_codec_change {
    struct ps_change change;
    struct ps_table_name *tables;
    struct ps_row_set *rows;
    struct ps_row_column *columns;
    uint16_t *values;
};
PS_MUST_USE enum ps_rc ps_codec_change(const Portside__Invalidation *message,
                                       struct ps_codec_change *out);
void ps_codec_change_done(struct ps_codec_change *change);

/* Points into the message. PS_BAD_REQUEST when it is not usable. */
PS_MUST_USE enum ps_rc ps_codec_purge(const Portside__Purge *message,
                                      struct ps_purge *out);

/* Likewise. */
PS_MUST_USE enum ps_rc ps_codec_explain(const Portside__Explain *message,
                                        struct ps_uplink_explain *out);

/* A message of its own memory out of a change; NULL without memory. Free with
 * portside__invalidation__free_unpacked(m, NULL). */
Portside__Invalidation *ps_codec_invalidation(const struct ps_change *change);

/* Packs into a malloc'ed buffer. */
PS_MUST_USE enum ps_rc ps_codec_pack(const ProtobufCMessage *message,
                                     char **data, size_t *len);

#endif
