/*
 * The steps of a request, in the order of the usual way of a miss. The one
 * list: enum, names for logs and tests, and the dispatch of engine.c are made
 * from it. X(NAME, function, what it is for)
 *
 *   hit:    RECV IDENTIFY LOOKUP ------------------------------------> FINISH
 *   miss:   RECV IDENTIFY LOOKUP HOME VERIFY PREPARE ANALYSE CATALOG DECIDE
 *           FLIGHT ACQUIRE STAMP EXECUTE JUDGE BUILD STORE -----> LEAVE FINISH
 *   write:  ... DECIDE ACQUIRE STAMP EXECUTE JUDGE INVALIDATE BUILD LEAVE ...
 *   login:  ... VERIFY LOOKUP ... (once the origin has confirmed the password)
 *   within a transaction:
 *           RECV IDENTIFY LOOKUP HOME SESSION PREPARE ANALYSE CATALOG DECIDE
 *           ACQUIRE STAMP EXECUTE JUDGE [INVALIDATE] BUILD LEAVE FINISH
 *   error:  any --> FAIL LEAVE FINISH
 */
#ifndef PS_AGENT_REQ_STEPS_H
#define PS_AGENT_REQ_STEPS_H

#define PS_STEP_TABLE(X)                                                   \
    X(RECV, recv, "is the agent taking requests?")                         \
    X(IDENTIFY, identify, "which cache, which principal, known password?") \
    X(LOOKUP, lookup, "is the answer in memory and still right?")          \
    X(HOME, home, "go to the loop where the principal lives")              \
    X(SESSION, session, "the connection of an open transaction")           \
    X(VERIFY, verify, "let the origin check the password")                 \
    X(PREPARE, prepare, "the protocol's text and bindings to a statement") \
    X(ANALYSE, analyse, "what does the statement do?")                     \
    X(CATALOG, catalog, "what does the origin's catalogue add to that?")   \
    X(DECIDE, decide, "miss, bypass, write or refusal")                    \
    X(FLIGHT, flight, "is an equal read under way?")                       \
    X(ACQUIRE, acquire, "a connection")                                    \
    X(STAMP, stamp, "snapshot for a read, commit window for a write")      \
    X(EXECUTE, execute, "send it and wait")                                \
    X(JUDGE, judge, "what came out; connection back; retry or not")        \
    X(INVALIDATE, invalidate, "close the window, tell the other agents")   \
    X(BUILD, build, "rows to the bytes of the reply")                      \
    X(STORE, store, "keep the answer, share it with those who wait")       \
    X(FAIL, fail, "the one place where errors become replies")             \
    X(LEAVE, leave, "let go of everything that lives on the home loop")    \
    X(FINISH, finish, "hand over to the front")

enum ps_step {
#define X(name, fn, what) PS_STEP_##name,
    PS_STEP_TABLE(X)
#undef X
    PS_STEP_COUNT
};

/* What a step function tells the engine. */
enum ps_next {
    PS_NEXT_GO,   /* run->step is the next one */
    PS_NEXT_WAIT, /* a callback goes on (it may already have) */
    PS_NEXT_DONE  /* the request is not to be touched any more */
};

struct ps_run;
#define X(name, fn, what) enum ps_next ps_step_##fn(struct ps_run *run);
PS_STEP_TABLE(X)
#undef X

static inline enum ps_next
ps_go(enum ps_step *step, enum ps_step next)
{
    *step = next;
    return PS_NEXT_GO;
}

#endif
