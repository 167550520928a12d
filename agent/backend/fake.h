/*
 * An origin that exists only in memory: a driver whose answers are scripted,
 * for scenario and contract tests. Time is the loop's clock, so with a
 * virtual clock a delay is an advance.
 *
 *   struct ps_fake *origin = ps_fake_new();
 *   ps_fake_script(origin, PS_FAKE_EXECUTE, "SELECT 1", 0,
 *                  &(struct ps_fake_reply){.rows = &one, .delay_ms = 5});
 *   ... ps_conn_open(ps_fake_driver(origin), &open) ...
 *
 * Which reply: (1) the hook, if it says so; (2) the first script of this
 * operation and text that has uses left; (3) the latest script for always;
 * (4) open and reset succeed at once, an unknown statement fails with
 * PS_ORIGIN_SQL.
 *
 * Connections belong to their loops as always; the fake itself may be shared
 * by several loops (hook and scripts are used under a lock).
 */
#ifndef PS_AGENT_BACKEND_FAKE_H
#define PS_AGENT_BACKEND_FAKE_H

#include "agent/backend/backend.h"

struct ps_fake;

enum ps_fake_op {
    PS_FAKE_OPEN,
    PS_FAKE_EXECUTE,
    PS_FAKE_RESET
};

struct ps_fake_rows {
    const struct ps_column *columns;
    size_t n_columns;
    const struct ps_cell *cells; /* n_rows * n_columns, row by row */
    size_t n_rows;
};

/* Zeroed: success at once, without a result set, idle afterwards. What it
 * points to must live as long as the fake. */
struct ps_fake_reply {
    uint64_t delay_ms;
    /* Never answers: only deadline, cancel, ps_fake_break or close end it. */
    bool hang;
    /* A cancel comes too late: the statement ends in its own time, with the
     * rows dropped and the connection given up, as with the real drivers. */
    bool late_cancel;
    enum ps_rc rc;
    const char *sqlstate; /* NULL: the table's */
    const char *message;  /* NULL: the table's */
    const struct ps_fake_rows *rows;
    const char *command; /* NULL: "SELECT" with rows, else "" */
    uint64_t affected;   /* counted when there are no rows */
    /* PS_CONN_BROKEN with PS_ORIGIN_LOST: the connection dies there (and is
     * PS_OUTCOME_UNKNOWN when the statement may write). */
    enum ps_conn_state state;
};

struct ps_fake_call {
    enum ps_fake_op op;
    uint64_t conn; /* number of the connection: 1, 2, ... in order of open */
    struct ps_str user, password, database;
    const char *application_name;         /* OPEN */
    const struct ps_statement *statement; /* EXECUTE */
};

struct ps_fake_stats {
    uint64_t opens, executes, resets, cancels, closes;
    uint64_t logins_failed;
    uint64_t connected;     /* now: logged in and not closed or broken */
    uint64_t max_connected; /* most at a time */
    uint64_t executing;     /* now */
    uint64_t max_executing;
};

struct ps_fake *ps_fake_new(void);
/* Every connection closed. */
void ps_fake_free(struct ps_fake **fake);
const struct ps_driver *ps_fake_driver(struct ps_fake *fake);

/* times: how often it is used, 0: always. sql (copied) is compared whole;
 * NULL: any. Later scripts for always replace earlier ones of the same text. */
void ps_fake_script(struct ps_fake *fake, enum ps_fake_op op, const char *sql,
                    unsigned times, const struct ps_fake_reply *reply);
/* Called for every operation with a zeroed reply; true: use it. */
void ps_fake_hook(struct ps_fake *fake,
                  bool (*hook)(void *arg, const struct ps_fake_call *call,
                               struct ps_fake_reply *reply),
                  void *arg);
/* From now on a login of this user needs this password (NULL: any user that
 * was not named is refused only when at least one was). */
void ps_fake_password(struct ps_fake *fake, const char *user,
                      const char *password);
/* Further logins get PS_ORIGIN_TOO_MANY; 0: no limit. */
void ps_fake_limit(struct ps_fake *fake, uint64_t max_connected);
/* rc != PS_OK: further opens fail with it (PS_ORIGIN_REFUSED: server down). */
void ps_fake_down(struct ps_fake *fake, enum ps_rc rc);
/* Every connection breaks now, as when the server is killed: callbacks run on
 * the next turn of their loop. Loop's thread (one loop only). */
void ps_fake_break(struct ps_fake *fake);
void ps_fake_stats(struct ps_fake *fake, struct ps_fake_stats *out);

/*
 * Rows out of text, for scripts: the first line names the columns with their
 * type OIDs ("id:23 name:25"), each further line is a row; words are
 * separated by single spaces, "\N" is NULL, "\s" a space, "\n" a line feed,
 * "\e" nothing. Lives until ps_fake_free. NULL when the text is not that.
 */
const struct ps_fake_rows *ps_fake_rows(struct ps_fake *fake, const char *text);

#endif
