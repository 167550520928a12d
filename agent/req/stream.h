/*
 * The rows of a read on their way to the client while the origin still sends
 * them, for a protocol that takes parts (ps_req.part).
 *
 *   driver --row--> sink --> encoder --64 KiB, or the end of a turn--> part
 *      ^                                                                | front
 *      +-- ps_conn_pause <-- resume <-- less than LOW unwritten <-- freed+
 *
 * What is unwritten is bounded: beyond PS_STREAM_WINDOW_BYTES (and one row) the
 * origin waits, and all its waits together are at most conf.stream_wait_ms. An
 * answer that may be kept, or for which others wait, is whole
 * in the encoder as well, up to max_entry_bytes; beyond that it is neither kept
 * nor shared, and the encoder holds only what no part has taken yet.
 *
 * A small answer that is complete before the first turn ends never becomes a
 * stream: it is a reply like any other.
 *
 * On the run's home loop, but for ps_part_free. The stream outlives the run
 * by the parts that are not yet written.
 */
#ifndef PS_AGENT_REQ_STREAM_H
#define PS_AGENT_REQ_STREAM_H

#include "agent/req/req.h"

struct ps_run;
struct ps_stream;

/* The sink for the rows of run->encoder; NULL: this answer is not for parts,
 * or there is no memory. A second call is for a statement that is sent again.
 */
struct ps_sink *ps_stream_open(struct ps_run *run);
/* Has the client been sent anything? Then there is no other answer. */
bool ps_stream_begun(const struct ps_run *run);
/* BUILD: *given bytes of what the encoder holds went out before; those that it
 * no longer holds are added to *gone. */
void ps_stream_sent(const struct ps_run *run, size_t *given, uint64_t *gone);
/* Was the statement cancelled because the client did not take its rows? */
bool ps_stream_stalled(const struct ps_run *run);
/* Is all of it in the encoder (of an answer without a stream: yes)? */
bool ps_stream_whole(const struct ps_run *run);
/* No more parts. Nothing without a stream. */
void ps_stream_close(struct ps_run *run);

#endif
