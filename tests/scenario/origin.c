/*
 * What the origin answers: rows, delays, errors, breaks. The reply to a
 * statement is chosen when the statement is sent, so that a read in flight
 * keeps the rows of that moment, as a snapshot in a database does.
 */
#include "common/check.h"
#include "tests/scenario/world.h"

#include <stdio.h>
#include <stdlib.h>

/* "id:23 name:25|1 a|2 b": a line per row. */
static const struct ps_fake_rows *
read_rows(struct scn_world *world, struct scn_line *line)
{
    const char *rows = scn_option(line, "rows", NULL);
    uint64_t fill = scn_number(line, "fill", 0);
    if (!rows && !fill)
        return NULL;
    char *text = NULL;
    if (fill) { /* one row with that many bytes */
        PS_CHECK(asprintf(&text, "v:25|%0*d", (int)fill, 0) > 0);
    } else {
        text = strdup(rows);
    }
    PS_CHECK(text);
    for (char *at = text; (at = strchr(at, '|'));)
        *at = '\n';
    const struct ps_fake_rows *made = ps_fake_rows(world->fake, text);
    free(text);
    if (!made)
        scn_fail(line, "rows are \"name:oid name:oid|value value|...\"");
    return made;
}

/* The fake keeps pointers; few and small, they live until the program ends. */
static const char *
keep(struct scn_line *line, const char *key)
{
    static char kept[256][96];
    static size_t n;
    const char *text = scn_option(line, key, NULL);
    if (!text)
        return NULL;
    if (n == PS_ARRAY_LEN(kept) || strlen(text) >= sizeof(kept[0]))
        scn_fail(line, "too much text");
    snprintf(kept[n], sizeof(kept[n]), "%s", text);
    return kept[n++];
}

static void
read_reply(struct scn_world *world, struct scn_line *line,
           struct ps_fake_reply *reply)
{
    const char *error = scn_option(line, "error", NULL);
    memset(reply, 0, sizeof(*reply));
    reply->rows = read_rows(world, line);
    reply->delay_ms = scn_duration_ms(line, "delay", 0);
    reply->hang = scn_flag(line, "hang");
    reply->late_cancel = scn_flag(line, "late_cancel");
    reply->rc = error ? scn_rc(line, error) : PS_OK;
    reply->sqlstate = keep(line, "sqlstate");
    reply->message = keep(line, "message");
    reply->affected = scn_number(line, "affected", 0);
    if (scn_flag(line, "transaction"))
        reply->state = PS_CONN_TRANSACTION;
    if (scn_flag(line, "drop")) {
        reply->rc = PS_ORIGIN_LOST;
        reply->state = PS_CONN_BROKEN;
    }
}

static void
script(struct scn_world *world, struct scn_line *line, enum ps_fake_op op,
       const char *sql)
{
    struct ps_fake_reply reply;
    read_reply(world, line, &reply);
    unsigned times = (unsigned)scn_number(line, "times", 0);
    ps_fake_script(world->fake, op, sql, times, &reply);
}

/* origin "SQL" [rows=] [fill=] [affected=] [delay=] [hang] [late_cancel] [drop]
 * [transaction] [error= [sqlstate=] [message=]] [times=] */
void
scn_origin(struct scn_world *world, struct scn_line *line)
{
    script(world, line, PS_FAKE_EXECUTE, scn_operand(line, 1));
}

/* on_login [delay=] [hang] [error=] [times=] */
void
scn_on_login(struct scn_world *world, struct scn_line *line)
{
    script(world, line, PS_FAKE_OPEN, NULL);
}

/* on_reset [delay=] [hang] [error=] [times=] */
void
scn_on_reset(struct scn_world *world, struct scn_line *line)
{
    script(world, line, PS_FAKE_RESET, NULL);
}

/* user NAME PASSWORD: from now on passwords count. */
void
scn_user(struct scn_world *world, struct scn_line *line)
{
    const char *user = scn_operand(line, 1);
    ps_fake_password(world->fake, user, scn_operand(line, 2));
}

/* server down CODE | up | break | limit=N */
void
scn_server(struct scn_world *world, struct scn_line *line)
{
    const char *what = scn_operand_or(line, 1);
    if (!what)
        ps_fake_limit(world->fake, scn_number(line, "limit", 0));
    else if (strcmp(what, "down") == 0)
        ps_fake_down(world->fake, scn_rc(line, scn_operand(line, 2)));
    else if (strcmp(what, "up") == 0)
        ps_fake_down(world->fake, PS_OK);
    else if (strcmp(what, "break") == 0)
        ps_fake_break(world->fake);
    else
        scn_fail(line, "server down, up, break or limit=, not %s", what);
}

static void
expect_number(struct scn_line *line, const char *key, uint64_t got)
{
    if (got != scn_number(line, key, got))
        scn_fail(line, "%s is %d", key, (int)got);
}

/* expect_origin opens=1 executes=2 ...: counted since the start, connected and
 * executing now. */
void
scn_expect_origin(struct scn_world *world, struct scn_line *line)
{
    struct ps_fake_stats stats;
    ps_fake_stats(world->fake, &stats);
    expect_number(line, "opens", stats.opens);
    expect_number(line, "executes", stats.executes);
    expect_number(line, "resets", stats.resets);
    expect_number(line, "cancels", stats.cancels);
    expect_number(line, "closes", stats.closes);
    expect_number(line, "logins_failed", stats.logins_failed);
    expect_number(line, "connected", stats.connected);
    expect_number(line, "max_connected", stats.max_connected);
    expect_number(line, "executing", stats.executing);
    expect_number(line, "max_executing", stats.max_executing);
}
