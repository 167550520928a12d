/*
 * Is every loop of the agent still turning? The main thread asks them from
 * time to time and tells the service manager only while all answer, so that
 * an agent with a hung loop is restarted rather than left half dead.
 */
#ifndef PS_AGENT_ALIVE_H
#define PS_AGENT_ALIVE_H

#include "common/io/loop.h"

struct ps_alive;

/* A question for each of n loops, which live longer; NULL without memory.
 * Main thread, as all of it. */
struct ps_alive *ps_alive_new(struct ps_loop *const *loops, size_t n);
/* True when every loop has answered the question before; asks them anew. The
 * first call says true. */
bool ps_alive_ask(struct ps_alive *alive);
/* After the loops have stopped and run what was posted to them. */
void ps_alive_free(struct ps_alive **alive);

#endif
