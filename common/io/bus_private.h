/*
 * What the two sides of the fabric share. Included by common/io/bus*.c only;
 * the only header that includes nng's.
 */
#ifndef PS_COMMON_IO_BUS_PRIVATE_H
#define PS_COMMON_IO_BUS_PRIVATE_H

#include "common/io/bus.h"

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

#include <signal.h>

enum {
    BUS_QUEUE_MESSAGES = 8192, /* the most nng takes */
    /* nng adds some words of its own to the largest message. */
    BUS_WIRE_MAX = PS_BUS_MESSAGE_MAX + 64,
    BUS_URL_MAX = 256
};

/* Sets err to `<what> <name>: <nng's reason>`. */
enum ps_rc bus_fail(struct ps_err *err, enum ps_rc rc, const char *what,
                    const char *name, int code);

/* nng starts threads at first use; they inherit the mask: no signals. */
void bus_block_signals(sigset_t *before);
void bus_restore_signals(const sigset_t *before);

PS_MUST_USE enum ps_rc bus_make_tls(const struct ps_bus_tls *tls,
                                    nng_tls_mode mode, nng_tls_config **out,
                                    struct ps_err *err);
/* "host:port" to nng's URL; false when it does not fit. */
/* nng takes the first address of a name only; a family asks for the first of
 * that one. */
enum bus_family {
    BUS_ANY,
    BUS_V4,
    BUS_V6,
    BUS_FAMILIES
};
bool bus_make_url(enum bus_family family, const char *address,
                  char url[BUS_URL_MAX]);

struct ps_str bus_body(nng_msg *msg);
/* A message with a copy of body, or NULL. */
nng_msg *bus_message(struct ps_str body);
/* Takes the message, if any, out of an nng_aio that is at rest. */
nng_msg *bus_take_message(nng_aio *aio);
/* Stops an nng_aio of ours whose completions post task, and frees it. */
void bus_end_aio(struct ps_loop *loop, nng_aio **aio, struct ps_task *task);

/*
 * Closes two sockets (id 0: none) on a thread of its own and then runs
 * after(arg), there. Waits for that for wait_ms at most: nng_close() can hang
 * for ever (see bus.c), in which case what belongs to these sockets is lost,
 * and nothing else.
 */
void bus_close(nng_socket a, nng_socket b, void (*after)(void *arg), void *arg,
               unsigned wait_ms);

#endif
