/*
 * What the SQL Server driver and its worker process say to each other over a
 * socket pair: frames of a length (32 bits, little endian, what follows it), a
 * type byte and fields. Numbers are little endian, strings have a length
 * (32 bits; all ones: absent).
 *
 *   driver                              worker
 *   OPEN  address, TLS, login       ->
 *                                   <-  OPENED rc, error
 *   EXECUTE seq, sql, parameters    ->
 *   [CANCEL seq]                    ->
 *                                   <-  COLUMNS, ROW, ROW, ..., COLUMNS, ...
 *                                   <-  DONE seq, outcome
 *   RESET                           ->
 *                                   <-  CLEAN rc
 *                                   <-  LOST, while nothing runs
 */
#ifndef PS_AGENT_BACKEND_TDS_WIRE_H
#define PS_AGENT_BACKEND_TDS_WIRE_H

#include "common/base.h"
#include "common/buf.h"

enum ps_tds_frame {
    PS_TDS_OPEN = 'O',
    PS_TDS_EXECUTE = 'E',
    PS_TDS_CANCEL = 'C',
    PS_TDS_RESET = 'R',
    PS_TDS_OPENED = 'o',
    PS_TDS_COLUMNS = 'c',
    PS_TDS_ROW = 'r',
    PS_TDS_DONE = 'd',
    PS_TDS_CLEAN = 'k',
    PS_TDS_LOST = 'l'
};

enum {
    PS_TDS_HEAD_BYTES = 5, /* length, type */
    /* A row or a statement with its parameters, and what frames them. */
    PS_TDS_FRAME_MAX = 300 << 20,
    PS_TDS_WORKER_FD = 3
};

/* Begins a frame at the end of buf; gives the place that ends it. */
size_t ps_tds_begin(struct ps_buf *buf, enum ps_tds_frame type);
void ps_tds_end(struct ps_buf *buf, size_t begin);
void ps_tds_put_u32(struct ps_buf *buf, uint32_t value);
void ps_tds_put_u64(struct ps_buf *buf, uint64_t value);
void ps_tds_put_str(struct ps_buf *buf, struct ps_str text);

/* Fields of one frame, in order. Past the end everything is 0 or absent and
 * bad is set. */
struct ps_tds_reader {
    const char *at, *end;
    bool bad;
};
uint32_t ps_tds_get_u32(struct ps_tds_reader *reader);
uint64_t ps_tds_get_u64(struct ps_tds_reader *reader);
struct ps_str ps_tds_get_str(struct ps_tds_reader *reader);

/*
 * The first frame of the bytes: its type (0 when it is not whole yet) and its
 * fields; *len is its length with its head. false: no frame of ours.
 */
bool ps_tds_frame(struct ps_str bytes, int *type, struct ps_tds_reader *fields,
                  size_t *len);

#endif
