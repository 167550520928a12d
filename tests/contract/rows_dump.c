/*
 * Statements from standard input, each ended by a NUL byte, through the agent's
 * own driver and encoder: one line of JSON per statement on standard output,
 * or "! code: message". tests/e2e/types_driver.test.mjs compares the lines with
 * what knex and pg make of the same statements.
 */
#include "common/check.h"
#include "tests/contract/rig.h"

#include <stdio.h>
#include <stdlib.h>

int
main(void)
{
    struct rig rig;
    rig_init(&rig, false);
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
