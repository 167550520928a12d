/*
 * Statements from standard input, each ended by a NUL byte, through the agent's
 * own driver and encoder: one line of JSON per statement on standard output,
 * or "! code: message". The argument says whose driver (dialects.h). Tests of
 * tests/e2e compare the lines with what knex makes of the same statements.
 */
#include "common/check.h"
#include "tests/contract/rig.h"

#include <stdio.h>
#include <stdlib.h>

int
main(int argc, char **argv)
{
    const struct dialect *dialect =
        dialect_find(argc > 1 ? argv[1] : "postgres");
    struct rig rig;
    if (!dialect || dialect->fake) {
        fprintf(stderr, "usage: %s [postgres|mariadb|mssql]\n", argv[0]);
        return 2;
    }
    rig_init(&rig, dialect);
    struct ps_conn *conn = rig_open(&rig);
    if (rig.rc != PS_OK) {
        fprintf(stderr, "cannot connect: %s\n", rig.err.message);
        return 1;
    }
    char *sql = NULL;
    size_t cap = 0;
    while (getdelim(&sql, &cap, '\0', stdin) > 0) {
        char *json = rig_json(&rig, conn, sql);
        if (json)
            printf("%s\n", json);
        else
            printf("! %s: %s\n", ps_err_info(rig.rc)->code, rig.err.message);
        fflush(stdout);
        free(json);
        if (rig.outcome.state == PS_CONN_BROKEN) {
            ps_conn_close(&conn);
            conn = rig_open(&rig);
            PS_CHECK(rig.rc == PS_OK);
        }
    }
    free(sql);
    ps_conn_close(&conn);
    rig_done(&rig);
    return 0;
}
