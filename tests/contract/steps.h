/*
 * Steps that the contract tests share. Each fails the test when it does not go
 * as it says.
 */
#ifndef PS_TESTS_CONTRACT_STEPS_H
#define PS_TESTS_CONTRACT_STEPS_H

#include "tests/contract/relay.h"
#include "tests/contract/rig.h"

/* For a test's setup and teardown: *state is a rig. */
int rig_setup(void **state, const struct dialect *dialect);
int rig_teardown(void **state);
/* An open connection. */
struct ps_conn *opened(struct rig *rig);
/* Whatever the outcome: rig->rc, rig->outcome. */
void run(struct rig *rig, struct ps_conn *conn, const char *sql);
void expect_json(struct rig *rig, struct ps_conn *conn, const char *sql,
                 const char *want);
void expect_params(struct rig *rig, struct ps_conn *conn, const char *sql,
                   const struct ps_param *params, size_t n, const char *want);
/* A login that ends with this code. */
void expect_open(struct rig *rig, enum ps_rc want);
/* As expect_open, with what the relay does in between. */
void expect_open_by(struct rig *rig, struct relay_conf relay_conf,
                    enum ps_rc want);
/* Of this process. */
size_t count_descriptors(void);

#endif
