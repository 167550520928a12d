#include "tests/contract/steps.h"

#include "tests/unit.h"

#include <dirent.h>

int
rig_setup(void **state, const struct dialect *dialect)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig_init(rig, dialect);
    *state = rig;
    return 0;
}

int
rig_teardown(void **state)
{
    struct rig *rig = *state;
    rig_done(rig);
    free(rig);
    return 0;
}

struct ps_conn *
opened(struct rig *rig)
{
    struct ps_conn *conn = rig_open(rig);
    if (rig->rc != PS_OK)
        fail_msg("cannot open: %s", rig->err.message);
    return conn;
}

void
run(struct rig *rig, struct ps_conn *conn, const char *sql)
{
    const struct ps_statement statement = {.sql = ps_str_of(sql),
                                           .timeout_ms = 10000};
    rig_run(rig, conn, &statement, NULL);
}

void
expect_json(struct rig *rig, struct ps_conn *conn, const char *sql,
            const char *want)
{
    char *got = rig_json(rig, conn, sql);
    if (!got)
        fail_msg("%s: %s", sql, rig->err.message);
    assert_string_equal(got, want);
    free(got);
}

size_t
count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    size_t n = 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

void
expect_open(struct rig *rig, enum ps_rc want)
{
    struct ps_conn *conn = rig_open(rig);
    if (rig->rc != want)
        fail_msg("%s (%s), not %s", ps_err_info(rig->rc)->code,
                 rig->err.message, ps_err_info(want)->code);
    ps_conn_close(&conn);
}

/* As expect_open, with what the relay does in between. */
void
expect_open_by(struct rig *rig, struct relay_conf relay_conf, enum ps_rc want)
{
    struct relay *relay = relay_new(rig->loop, &relay_conf);
    rig->conf->port = relay_port(relay);
    expect_open(rig, want);
    rig->conf->port = rig->port;
    relay_free(&relay);
}

void
expect_params(struct rig *rig, struct ps_conn *conn, const char *sql,
              const struct ps_param *params, size_t n, const char *want)
{
    const struct ps_statement statement = {.sql = ps_str_of(sql),
                                           .params = params,
                                           .n_params = n,
                                           .timeout_ms = 10000};
    struct ps_rows_json *rows = ps_rows_json_new(1 << 20);
    char *body = NULL;
    size_t len = 0;
    ps_rows_json_set_provider(rows, (int)rig->conf->provider);
    rig_run(rig, conn, &statement, ps_rows_json_sink(rows));
    if (rig->rc != PS_OK)
        fail_msg("%s: %s", sql, rig->err.message);
    assert_int_equal(ps_rows_json_take(rows, &body, &len), PS_OK);
    body = realloc(body, len + 1);
    assert_non_null(body);
    body[len] = '\0';
    assert_string_equal(body, want);
    free(body);
    ps_rows_json_free(&rows);
}
