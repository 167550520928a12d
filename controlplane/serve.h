/*
 * Everything that runs, started in order and stopped in reverse:
 *
 *   data directory and its lock -> CA -> store -> first token -> fleet
 *   -> fabric (bus) -> REST API -> ports.json
 */
#ifndef PS_CONTROLPLANE_SERVE_H
#define PS_CONTROLPLANE_SERVE_H

#include "common/err.h"
#include "common/io/loop.h"
#include "controlplane/settings.h"

struct ps_serve;

/* settings must outlive it. */
PS_MUST_USE enum ps_rc ps_serve_start(struct ps_serve **serve,
                                      struct ps_loop *loop,
                                      const struct ps_settings *settings,
                                      struct ps_err *err);
/* Stops the loop: at once, or where somebody was waiting for agents and is told
 * that it is over now, in half a second. */
void ps_serve_end(struct ps_serve *serve);
/* NULL inside is fine. */
void ps_serve_stop(struct ps_serve **serve);

#endif
