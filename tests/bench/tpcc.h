/*
 * A mix like TPC-C's for `precision`: its nine tables, small; its New-Order,
 * Payment and Delivery transactions; and reads as an application's pages send
 * them. Sizes and statements are ours: this is no TPC-C.
 */
#ifndef PS_TESTS_BENCH_TPCC_H
#define PS_TESTS_BENCH_TPCC_H

#include "common/base.h"

enum {
    TPCC_VALUES = 8
};
/* Integers only; $1 is values[0]. */
struct tpcc_statement {
    const char *sql;
    long values[TPCC_VALUES];
    size_t n;
};

struct tpcc {
    uint64_t random;
    /* Runs a write or a read within the transaction under way: the first
     * value of the answer, 0 when there is none. */
    long (*run)(const struct tpcc_statement *statement);
};

/* Makes and fills the tables. */
extern const char tpcc_setup[];

void tpcc_read(struct tpcc *t, struct tpcc_statement *out);
/* One transaction, without its BEGIN and COMMIT. */
void tpcc_transaction(struct tpcc *t);

#endif
