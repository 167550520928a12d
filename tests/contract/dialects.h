/*
 * What the contract's statements are in each server's language, and how to
 * reach the server: the part of the suite that differs by driver. One table in
 * dialects.c; a driver more is a row more.
 */
#ifndef PS_TESTS_CONTRACT_DIALECTS_H
#define PS_TESTS_CONTRACT_DIALECTS_H

#include "agent/config/config.h"

struct refused {
    const char *sql, *code, *message;
};

struct dialect {
    const char *name; /* first argument of the tests */
    enum ps_provider provider;
    bool fake;
    const char *port_env; /* where with_* says the port */
    const char *ca_env;   /* and its certificate; NULL: there is none */
    /* Each gives columns v and e: NULL and '' */
    const char *null_and_empty;
    const char *no_rows; /* column v */
    const char *make_table, *make_table_command, *insert_three;
    const char *hundred_thousand, *fifty_thousand; /* 1 .. n */
    const char *ten_mebibytes;                     /* of '0', as v */
    const char
        *beyond_the_basic_plane; /* 🎉𝄞é日, as "🦆 x" where it can */
    const char *beyond_json;     /* its row */
    const char *begin, *rollback, *divide_by_zero;
    enum ps_rc transaction_rc; /* what begin and rollback end with */
    const char *sleep;         /* a minute */
    const char *end_self;      /* the session ends while it runs */
    const char *end_others;    /* other sessions of this user end */
    bool no_commands;          /* an outcome does not say the command */
    struct refused refused[6];
};

/* NULL: none of that name. */
const struct dialect *dialect_find(const char *name);

#endif
