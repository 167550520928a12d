/*
 * A store of answers as the agent has it, for the benches of agent/cache: the
 * i-th query is the i-th statement, and its answer depends on one table.
 */
#ifndef PS_TESTS_BENCH_KEPT_H
#define PS_TESTS_BENCH_KEPT_H

#include "agent/cache/spaces.h"
#include "agent/cache/store.h"

struct kept {
    struct ps_store *store;
    struct ps_spaces *spaces;
    struct ps_space *space;
};

/* What fails here ends the program with a message. */
void kept_open(struct kept *kept, uint64_t max_bytes);
void kept_close(struct kept *kept);

/* The i-th query's statement has at least this many bytes. */
enum {
    KEPT_SQL_BYTES = 64
};
size_t kept_sql_bytes(uint64_t i);
struct ps_table_name kept_table(unsigned table, char name[16]);

void kept_put(struct kept *kept, uint64_t i, unsigned table, size_t body_bytes);
/* As a request looks it up; true for an answer that may be served. */
bool kept_hit(struct kept *kept, uint64_t i);

/* Processor time of this thread: what else runs does not count. */
uint64_t kept_cpu_ns(void);
double kept_median(double *values, size_t n);
uint64_t kept_random(uint64_t *state);
void __attribute__((noreturn)) kept_fail(const char *what);

#endif
