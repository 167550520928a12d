/*
 * A server for sql-semantic. It runs on a connection of its own; what cannot
 * be (no connection, a script that fails) ends the program with status 2.
 */
#ifndef PS_TESTS_TOOLS_SQL_PROVIDER_H
#define PS_TESTS_TOOLS_SQL_PROVIDER_H

#include "tests/tools/sql/maker.h"

struct provider {
    const char *name; /* the program's first argument */
    enum ps_dialect dialect;
    const struct maker_traits *traits;
    void (*open)(void);
    void (*close)(void);
    /* Several statements, none of which may fail. */
    void (*run)(const char *script);
    /* One statement, with its parameters. Its answer: the sum of
     * provider_hash_row over its rows, plus their number. False: the server
     * refuses it; the transaction may be broken then. */
    bool (*execute)(const struct maker_text *t, uint64_t *answer);
};
extern const struct provider provider_pg, provider_my;

/* Of one row: its values one after the other, NULL pointers for NULL. Sums of
 * these do not tell the order of rows. */
uint64_t provider_hash_row(const char *const *values, size_t n);

/* Says what went wrong and ends the program. */
void provider_die(const char *what, const char *why);

#endif
