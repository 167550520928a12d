#include "tests/contract/rig.h"

#include "common/check.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    RESULT_MAX = 256 << 20
};

static char *
file_text(const char *path)
{
    FILE *file = path ? fopen(path, "r") : NULL;
    char *text = NULL;
    size_t cap = 0;
    PS_CHECK(file && getdelim(&text, &cap, '\0', file) > 0);
    fclose(file);
    return text;
}

static void
reach_server(struct rig *rig, const struct dialect *dialect)
{
    const char *port = getenv(dialect->port_env);
    PS_CHECK(port);
    rig->conf->provider = dialect->provider;
    rig->port = rig->conf->port = (uint16_t)strtoul(port, NULL, 10);
    if (dialect->ca_env) {
        rig->conf->tls_ca_pem = file_text(getenv(dialect->ca_env));
        rig->conf->tls_mode = PS_TLS_VERIFY_FULL;
    }
    rig->resolver = ps_resolver_new(1, 1000);
    rig->driver = ps_driver_find(dialect->provider);
}

/* Where everything is slow, time must be so too: of real servers' tests the
 * clock goes so many times slower (tests/contract/README.md). */
static unsigned
slowness(void)
{
    const char *text = getenv("PS_CONTRACT_PATIENCE");
    unsigned long n = text ? strtoul(text, NULL, 10) : 1;
    PS_CHECK(n > 0 && n <= 1000);
    return (unsigned)n;
}

void
rig_init(struct rig *rig, const struct dialect *dialect)
{
    bool fake = dialect->fake;
    memset(rig, 0, sizeof(*rig));
    ps_backend_init();
    rig->dialect = dialect;
    rig->slow = fake ? 1 : slowness();
    rig->began_us = ps_clock_now_us(ps_clock_real());
    rig->clock =
        fake || rig->slow > 1 ? ps_clock_virtual_new() : ps_clock_real();
    rig->born_us = ps_clock_now_us(rig->clock);
    rig->loop = ps_loop_new(rig->clock, "contract");
    rig->conf = ps_cache_conf_new("0b0e5f2a-0000-4000-8000-00000000000a",
                                  "contract", "localhost");
    PS_CHECK(rig->clock && rig->loop && rig->conf);
    if (fake) {
        rig->fake = ps_fake_new();
        rig->driver = ps_fake_driver(rig->fake);
    } else {
        reach_server(rig, dialect);
    }
    PS_CHECK(rig->driver);
}

void
rig_done(struct rig *rig)
{
    ps_resolver_free(&rig->resolver);
    ps_loop_free(&rig->loop);
    ps_fake_free(&rig->fake);
    ps_cache_conf_unref(&rig->conf);
    if (ps_clock_is_virtual(rig->clock))
        ps_clock_virtual_free(&rig->clock);
}

uint16_t
rig_unused_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    PS_CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0);
    PS_CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    close(fd);
    return ntohs(at.sin_port);
}

/* One turn; the clock goes on by what the machine's did, divided. */
static void
turn_slowly(struct rig *rig)
{
    const struct timespec while_idle = {.tv_nsec = 1000000};
    if (ps_loop_turn(rig->loop) == 0)
        nanosleep(&while_idle, NULL);
    uint64_t real = ps_clock_now_us(ps_clock_real()) - rig->began_us;
    uint64_t here = ps_clock_now_us(rig->clock) - rig->born_us;
    ps_clock_virtual_advance_us(rig->clock, real / rig->slow - here);
}

void
rig_wait(struct rig *rig)
{
    while (!rig->done) {
        if (rig->slow > 1) {
            turn_slowly(rig);
        } else if (!rig->fake) {
            ps_loop_run(rig->loop);
        } else if (ps_loop_turn(rig->loop) == 0) {
            ps_clock_virtual_advance_us(rig->clock, 1000);
        }
    }
}

void
rig_finish(struct rig *rig)
{
    rig->done = true;
    if (!rig->fake && rig->slow == 1)
        ps_loop_stop(rig->loop);
}

static void
on_linger(void *arg)
{
    rig_finish(arg);
}

void
rig_linger(struct rig *rig, uint64_t ms)
{
    struct ps_timer timer;
    ps_timer_init(&timer, rig->loop, on_linger, rig);
    ps_timer_start_ms(&timer, ms);
    rig->done = false;
    rig_wait(rig);
}

struct ps_login
rig_login(void)
{
    return (struct ps_login){.user = PS_STR("app"),
                             .password = PS_STR("app secret"),
                             .database = PS_STR("app")};
}

static void
on_open(void *arg, struct ps_conn *conn, enum ps_rc rc,
        const struct ps_err *err)
{
    struct rig *rig = arg;
    (void)conn;
    rig->rc = rc;
    rig->err = err ? *err : (struct ps_err){.rc = PS_OK};
    rig_finish(rig);
}

struct ps_conn *
rig_open_as(struct rig *rig, struct ps_login login)
{
    const struct ps_conn_open open = {
        .loop = rig->loop,
        .resolver = rig->resolver,
        .conf = rig->conf,
        .login = login,
        .application_name = "contract",
        .fn = on_open,
        .arg = rig,
    };
    rig->done = false;
    struct ps_conn *conn = ps_conn_open(rig->driver, &open);
    PS_CHECK(conn && !rig->done);
    rig_wait(rig);
    return conn;
}

struct ps_conn *
rig_open(struct rig *rig)
{
    return rig_open_as(rig, rig_login());
}

void
rig_on_outcome(void *arg, const struct ps_outcome *outcome)
{
    struct rig *rig = arg;
    rig->outcome = *outcome;
    rig->rc = outcome->rc;
    rig->err = outcome->err;
    rig_finish(rig);
}

void
rig_run(struct rig *rig, struct ps_conn *conn,
        const struct ps_statement *statement, struct ps_sink *sink)
{
    rig->done = false;
    ps_conn_execute(conn, statement, sink, rig_on_outcome, rig);
    PS_CHECK(!rig->done);
    rig_wait(rig);
}

char *
rig_json(struct rig *rig, struct ps_conn *conn, const char *sql)
{
    const struct ps_statement statement = {.sql = ps_str_of(sql),
                                           .timeout_ms = 10000};
    struct ps_rows_json *rows = ps_rows_json_new(RESULT_MAX);
    char *body = NULL;
    size_t len = 0;
    PS_CHECK(rows);
    ps_rows_json_set_provider(rows, (int)rig->dialect->provider);
    rig_run(rig, conn, &statement, ps_rows_json_sink(rows));
    if (rig->rc == PS_OK) {
        PS_CHECK(ps_rows_json_take(rows, &body, &len) == PS_OK);
        body = realloc(body, len + 1);
        PS_CHECK(body);
        body[len] = '\0';
    }
    ps_rows_json_free(&rows);
    return body;
}

static void
on_reset(void *arg, enum ps_rc rc)
{
    struct rig *rig = arg;
    rig->rc = rc;
    rig_finish(rig);
}

enum ps_rc
rig_reset(struct rig *rig, struct ps_conn *conn)
{
    rig->done = false;
    ps_conn_reset(conn, 5000, on_reset, rig);
    PS_CHECK(!rig->done);
    rig_wait(rig);
    return rig->rc;
}
