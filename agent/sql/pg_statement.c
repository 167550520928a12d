/*
 * PostgreSQL's statements: where they end, and what those do that are neither
 * query nor INSERT, UPDATE, DELETE or MERGE. What has no case here is UNKNOWN
 * and may change anything.
 */
#include "agent/sql/pg.h"

/* The `;` that ends the statement, or the end of the text. A `;` in
 * parentheses (CREATE RULE) or between BEGIN ATOMIC and END (the body of an SQL
 * function) does not. */
static size_t
statement_end(const struct ps_sql_parser *p)
{
    size_t atomic = 0, at = p->pos;
    bool routine = p->tokens[at].word == PS_W_CREATE;

    while (at < p->n) {
        const struct ps_sql_token *t = &p->tokens[at];
        if (ps_sql_punct_is(t, ';') && atomic == 0)
            break;
        if (ps_sql_punct_is(t, '(') && t->info != PS_TOK_NO_MATCH) {
            at = t->info;
        } else if (routine && t->word == PS_W_BEGIN &&
                   p->tokens[at + 1].word == PS_W_ATOMIC) {
            atomic++;
        } else if (atomic && t->word == PS_W_CASE) {
            atomic++;
        } else if (atomic && t->word == PS_W_END) {
            atomic--;
        }
        at++;
    }
    return at;
}

/* Nothing is proven: everything may change, tables and structure. */
static void
anything(struct ps_sql_parser *p, enum ps_sql_class cls)
{
    p->cls = cls;
    p->out->changes_catalog = true;
    ps_sql_writes_all(p);
}

static void
skip_rest(struct ps_sql_parser *p)
{
    p->pos = p->end;
}

static void
session(struct ps_sql_parser *p)
{
    p->cls = PS_SQL_SESSION;
    p->out->touches_session = true;
    skip_rest(p);
}

/* ---- transactions ---- */

static void
transaction(struct ps_sql_parser *p)
{
    uint16_t word = ps_sql_take(p)->word;

    p->cls = PS_SQL_TRANSACTION;
    p->out->touches_session = true;
    switch (word) {
    case PS_W_BEGIN:
    case PS_W_START:
        p->out->opens_transaction = true;
        break;
    case PS_W_SAVEPOINT:
    case PS_W_RELEASE:
        break;
    case PS_W_PREPARE: /* TRANSACTION 'id' */
        p->out->ends_transaction = true;
        break;
    default: /* COMMIT, END, ROLLBACK, ABORT */
        if (ps_sql_at(p, PS_W_PREPARED)) {
            /* Somebody else's writes become visible. */
            ps_sql_writes_all(p);
            break;
        }
        if (!ps_sql_accept(p, PS_W_WORK))
            ps_sql_accept(p, PS_W_TRANSACTION);
        if (ps_sql_at(p, PS_W_TO)) /* SAVEPOINT */
            break;
        p->out->ends_transaction = true;
        if (ps_sql_accept2(p, PS_W_AND, PS_W_CHAIN))
            p->out->opens_transaction = true;
        break;
    }
    skip_rest(p);
}

/* ---- DDL ---- */

/* The relations of `TABLE [IF [NOT] EXISTS] [ONLY] a, b`, as far as the
 * statement has this form; the rest does not matter. */
static void
ddl_relations(struct ps_sql_parser *p, unsigned use, bool list)
{
    struct ps_sql_name name;

    if (ps_sql_accept(p, PS_W_IF)) {
        ps_sql_accept(p, PS_W_NOT);
        ps_sql_accept(p, PS_W_EXISTS);
    }
    do {
        const struct ps_sql_token *at = ps_sql_peek(p);
        ps_sql_accept(p, PS_W_ONLY);
        if (!ps_sql_is_name(p, ps_sql_peek(p)) || !ps_sql_qualified(p, &name))
            return;
        ps_sql_accept_op(p, '*');
        ps_sql_add_relation(p, &name, use, at);
    } while (list && ps_sql_accept_punct(p, ','));
}

/* CREATE, ALTER, DROP: structure changes, so every answer goes; relations
 * are named where they are easy to tell. */
static void
ddl(struct ps_sql_parser *p)
{
    static const uint16_t qualities[] = {
        PS_W_TEMP,      PS_W_TEMPORARY, PS_W_LOCAL,
        PS_W_GLOBAL,    PS_W_UNLOGGED,  PS_W_MATERIALIZED,
        PS_W_RECURSIVE, PS_W_FOREIGN,   PS_W_NO_WORD};
    uint16_t verb = ps_sql_take(p)->word;

    anything(p, PS_SQL_DDL);
    if (verb == PS_W_CREATE)
        ps_sql_accept2(p, PS_W_OR, PS_W_REPLACE);
    while (ps_sql_at_any(p, qualities))
        p->pos++;
    if (ps_sql_accept(p, PS_W_TABLE) || ps_sql_accept(p, PS_W_VIEW))
        ddl_relations(p, PS_SQL_REL_DDL, verb == PS_W_DROP);
    skip_rest(p);
}

static void
truncate(struct ps_sql_parser *p)
{
    ps_sql_expect(p, PS_W_TRUNCATE);
    ps_sql_accept(p, PS_W_TABLE);
    p->cls = PS_SQL_DDL;
    ddl_relations(p, PS_SQL_REL_DDL | PS_SQL_REL_WRITE, true);
    if (!ps_sql_accept2(p, PS_W_RESTART, PS_W_IDENTITY))
        ps_sql_accept2(p, PS_W_CONTINUE, PS_W_IDENTITY);
    if (ps_sql_accept(p, PS_W_CASCADE))
        ps_sql_writes_all(p); /* and whatever refers to them */
    else
        ps_sql_accept(p, PS_W_RESTRICT);
}

static void
refresh(struct ps_sql_parser *p)
{
    ps_sql_expect(p, PS_W_REFRESH);
    ps_sql_expect(p, PS_W_MATERIALIZED);
    ps_sql_expect(p, PS_W_VIEW);
    ps_sql_accept(p, PS_W_CONCURRENTLY);
    p->cls = PS_SQL_WRITE;
    /* The view's functions run now; they could set something. */
    p->out->touches_session = true;
    ddl_relations(p, PS_SQL_REL_WRITE, false);
    skip_rest(p);
}

/* ---- COPY ---- */

static void
copy(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_take(p);
    struct ps_sql_name name;

    p->out->touches_session = true; /* the connection changes its mode */
    p->out->may_write = true;       /* files, programs */
    if (ps_sql_at_punct(p, '(')) {
        ps_sql_expect_punct(p, '(');
        if (ps_sql_at_query(p))
            ps_sql_query(p, true);
        else if (!ps_sql_dml(p))
            ps_sql_fail(p, ps_sql_peek(p));
        ps_sql_expect_punct(p, ')');
        ps_sql_expect(p, PS_W_TO);
        if (p->writes && p->cls == PS_SQL_READ)
            p->cls = PS_SQL_WRITE;
        ps_sql_deny(p, PS_SQL_REASON_SELECT_INTO, at);
        skip_rest(p);
        return;
    }
    const struct ps_sql_token *table = ps_sql_peek(p);
    if (!ps_sql_qualified(p, &name))
        return;
    if (ps_sql_at_punct(p, '(')) {
        struct ps_str *columns;
        ps_sql_name_list(p, &columns);
    }
    if (ps_sql_accept(p, PS_W_TO)) {
        ps_sql_add_relation(p, &name, PS_SQL_REL_READ, table);
        ps_sql_deny(p, PS_SQL_REASON_SELECT_INTO, at);
    } else {
        ps_sql_expect(p, PS_W_FROM);
        size_t rel = ps_sql_add_relation(p, &name, PS_SQL_REL_WRITE, table);
        if (rel != PS_SQL_NO_RELATION) {
            p->relations[rel].insert_only = true;
            p->relations[rel].rows_known = true;
        }
        p->cls = PS_SQL_WRITE;
    }
    skip_rest(p);
}

/* ---- EXPLAIN ---- */

static void dispatch(struct ps_sql_parser *p);

static void
explain(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_take(p);
    bool runs = false;

    ps_sql_deny(p, PS_SQL_REASON_SYSTEM_CATALOG, at); /* plans change */
    p->out->may_write = true;
    if (ps_sql_at_punct(p, '(') && !ps_sql_at_subquery(p)) {
        uint32_t close = ps_sql_peek(p)->info;
        for (; p->pos < p->end && p->pos < close; p->pos++)
            if (ps_sql_at(p, PS_W_ANALYZE) || ps_sql_at(p, PS_W_ANALYSE))
                runs = true;
        ps_sql_expect_punct(p, ')');
    }
    for (;;) {
        if (ps_sql_accept(p, PS_W_ANALYZE) || ps_sql_accept(p, PS_W_ANALYSE))
            runs = true;
        else if (!ps_sql_accept(p, PS_W_VERBOSE))
            break;
    }
    if (!runs) {
        skip_rest(p);
        return;
    }
    if (!ps_sql_enter(p))
        return;
    dispatch(p);
    ps_sql_leave(p);
}

/* ---- everything ---- */

void
ps_sql_pg_select_into(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_take(p); /* INTO */
    struct ps_sql_name name;

    ps_sql_deny(p, PS_SQL_REASON_SELECT_INTO, at);
    if (!ps_sql_accept(p, PS_W_LOCAL))
        ps_sql_accept(p, PS_W_GLOBAL);
    if (!ps_sql_accept(p, PS_W_TEMP) && !ps_sql_accept(p, PS_W_TEMPORARY))
        ps_sql_accept(p, PS_W_UNLOGGED);
    ps_sql_accept(p, PS_W_TABLE);
    const struct ps_sql_token *table = ps_sql_peek(p);
    anything(p, PS_SQL_DDL);
    if (ps_sql_qualified(p, &name))
        ps_sql_add_relation(p, &name, PS_SQL_REL_DDL | PS_SQL_REL_WRITE, table);
}

/* SHOW: tells of the session and leaves it alone. */
static void
show(struct ps_sql_parser *p)
{
    ps_sql_deny(p, PS_SQL_REASON_SESSION_STATE, ps_sql_peek(p));
    skip_rest(p);
}

/* Statements whose effect on tables is none, but on the server: VACUUM. */
static void
maintenance(struct ps_sql_parser *p)
{
    p->cls = PS_SQL_DDL;
    p->out->touches_session = true;
    skip_rest(p);
}

static void
call(struct ps_sql_parser *p)
{
    anything(p, PS_SQL_CALL);
    skip_rest(p);
}

/* Cursors run their query, functions included, when rows are fetched. */
static void
cursor(struct ps_sql_parser *p)
{
    ps_sql_writes_all(p);
    session(p);
}

static void
other_ddl(struct ps_sql_parser *p)
{
    anything(p, PS_SQL_DDL);
    skip_rest(p);
}

static void
prepare(struct ps_sql_parser *p)
{
    if (ps_sql_peek_at(p, 1)->word == PS_W_TRANSACTION)
        transaction(p);
    else
        session(p);
}

static const struct {
    uint16_t word;
    void (*parse)(struct ps_sql_parser *p);
} statements[] = {
    {PS_W_BEGIN,      transaction},
    {PS_W_START,      transaction},
    {PS_W_COMMIT,     transaction},
    {PS_W_END,        transaction},
    {PS_W_ROLLBACK,   transaction},
    {PS_W_ABORT,      transaction},
    {PS_W_SAVEPOINT,  transaction},
    {PS_W_RELEASE,    transaction},
    {PS_W_PREPARE,    prepare    },
    {PS_W_SET,        session    },
    {PS_W_RESET,      session    },
    {PS_W_DISCARD,    session    },
    {PS_W_LISTEN,     session    },
    {PS_W_UNLISTEN,   session    },
    {PS_W_NOTIFY,     session    },
    {PS_W_LOAD,       session    },
    {PS_W_DEALLOCATE, session    },
    {PS_W_LOCK,       session    },
    {PS_W_CLOSE,      session    },
    {PS_W_DECLARE,    cursor     },
    {PS_W_FETCH,      cursor     },
    {PS_W_MOVE,       cursor     },
    {PS_W_SHOW,       show       },
    {PS_W_EXPLAIN,    explain    },
    {PS_W_COPY,       copy       },
    {PS_W_TRUNCATE,   truncate   },
    {PS_W_REFRESH,    refresh    },
    {PS_W_CALL,       call       },
    {PS_W_DO,         call       },
    {PS_W_EXECUTE,    call       },
    {PS_W_CREATE,     ddl        },
    {PS_W_ALTER,      ddl        },
    {PS_W_DROP,       ddl        },
    {PS_W_GRANT,      other_ddl  },
    {PS_W_REVOKE,     other_ddl  },
    {PS_W_COMMENT,    other_ddl  },
    {PS_W_SECURITY,   other_ddl  },
    {PS_W_REASSIGN,   other_ddl  },
    {PS_W_IMPORT,     other_ddl  },
    {PS_W_CLUSTER,    other_ddl  },
    {PS_W_REINDEX,    other_ddl  },
    {PS_W_VACUUM,     maintenance},
    {PS_W_ANALYZE,    maintenance},
    {PS_W_ANALYSE,    maintenance},
    {PS_W_CHECKPOINT, maintenance},
};

static void
dispatch(struct ps_sql_parser *p)
{
    const struct ps_sql_token *first = ps_sql_peek(p);

    if (ps_sql_at_query(p)) {
        ps_sql_query(p, true);
        return;
    }
    if (ps_sql_dml(p))
        return;
    if (first->kind == PS_TOK_WORD)
        for (size_t i = 0; i < PS_ARRAY_LEN(statements); i++)
            if (statements[i].word == first->word) {
                statements[i].parse(p);
                return;
            }
    anything(p, PS_SQL_UNKNOWN);
    ps_sql_fail(p, first);
}

/* The statement begins like a query and holds no word of a write: it can
 * only be a read, whatever else it says. (Its functions are another matter.) */
static bool
surely_query(const struct ps_sql_parser *p, size_t start, size_t end)
{
    if (!ps_sql_at_query(p))
        return false;
    for (size_t i = start; i < end; i++) {
        const struct ps_sql_token *t = &p->tokens[i];
        uint16_t before = i > start ? p->tokens[i - 1].word : PS_W_NO_WORD;
        switch (t->word) {
        case PS_W_UPDATE:
            if (before == PS_W_FOR || before == PS_W_KEY)
                break;
            return false;
        case PS_W_INSERT:
        case PS_W_DELETE:
        case PS_W_MERGE:
        case PS_W_INTO:
            return false;
        default:
            break;
        }
    }
    return true;
}

void
ps_sql_pg_statement(struct ps_sql_parser *p)
{
    size_t start = p->pos, end = statement_end(p);

    p->end = end;
    dispatch(p);
    if (!ps_sql_at_end(p))
        ps_sql_fail(p, ps_sql_peek(p));
    if (p->failed) {
        p->pos = start;
        p->end = end;
        ps_sql_writes_all(p);
        if (p->cls == PS_SQL_READ && !surely_query(p, start, end))
            p->cls = PS_SQL_WRITE;
    } else if (p->writes && p->cls == PS_SQL_READ) {
        p->cls = PS_SQL_WRITE;
    }
    p->pos = end < p->n ? end + 1 : end;
    p->end = p->n;
}
