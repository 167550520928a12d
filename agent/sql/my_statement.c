/*
 * The statements of MySQL and MariaDB: where they end, and what those do that
 * are neither query nor INSERT, UPDATE, DELETE or REPLACE. What has no case
 * here is UNKNOWN and may change anything.
 *
 * Structure is changed outside of transactions: such statements, and LOCK
 * TABLES, commit first (ends_transaction).
 */
#include "agent/sql/my.h"

/* The statement's `;` or the end of the text. The body of a routine holds `;`,
 * and where it ends the grammar of routines would have to tell: what follows
 * such a statement in the same text counts as part of it. */
static size_t
statement_end(const struct ps_sql_parser *p)
{
    size_t at = p->pos;
    bool block = p->tokens[at].word == PS_W_BEGIN &&
                 p->tokens[at + 1].word == PS_W_NOT; /* MariaDB: NOT ATOMIC */
    bool create =
        p->tokens[at].word == PS_W_CREATE || p->tokens[at].word == PS_W_ALTER;

    for (; at < p->n && !(ps_sql_punct_is(&p->tokens[at], ';') && !block); at++)
        switch (p->tokens[at].word) {
        case PS_W_PROCEDURE:
        case PS_W_FUNCTION:
        case PS_W_TRIGGER:
        case PS_W_EVENT:
        case PS_W_PACKAGE:
            block = block || create;
            break;
        default:
            break;
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

static void
call(struct ps_sql_parser *p)
{
    anything(p, PS_SQL_CALL);
    skip_rest(p);
}

/* ---- transactions ---- */

/* [WORK] [AND [NO] CHAIN] [[NO] RELEASE] [TO [SAVEPOINT] x] */
static void
end_of_transaction(struct ps_sql_parser *p)
{
    ps_sql_accept(p, PS_W_WORK);
    if (ps_sql_at(p, PS_W_TO)) /* a savepoint */
        return;
    p->out->ends_transaction = true;
    if (ps_sql_accept2(p, PS_W_AND, PS_W_CHAIN))
        p->out->opens_transaction = true;
}

static void
xa(struct ps_sql_parser *p)
{
    ps_sql_expect(p, PS_W_XA);
    switch (ps_sql_take(p)->word) {
    case PS_W_START:
    case PS_W_BEGIN:
        p->out->opens_transaction = true;
        break;
    case PS_W_COMMIT:
    case PS_W_ROLLBACK: /* perhaps of somebody else's writes */
        p->out->ends_transaction = true;
        ps_sql_writes_all(p);
        break;
    default: /* END, PREPARE, RECOVER */
        break;
    }
}

static void
transaction(struct ps_sql_parser *p)
{
    p->cls = PS_SQL_TRANSACTION;
    p->out->touches_session = true;
    switch (ps_sql_peek(p)->word) {
    case PS_W_XA:
        xa(p);
        break;
    case PS_W_BEGIN:
        /* NOT ATOMIC: code, which may leave a transaction open as a procedure
         * that is called may. */
        if (ps_sql_peek_at(p, 1)->word == PS_W_NOT)
            anything(p, PS_SQL_CALL);
        else
            p->out->opens_transaction = true;
        break;
    case PS_W_START:
        p->out->opens_transaction = true;
        break;
    case PS_W_COMMIT:
    case PS_W_ROLLBACK:
        p->pos++;
        end_of_transaction(p);
        break;
    default: /* SAVEPOINT, RELEASE */
        break;
    }
    skip_rest(p);
}

static void
start(struct ps_sql_parser *p)
{
    if (ps_sql_peek_at(p, 1)->word == PS_W_TRANSACTION)
        transaction(p);
    else /* REPLICA, SLAVE, GROUP_REPLICATION */
        call(p);
}

/* ---- DDL ---- */

/* TABLE | VIEW [IF [NOT] EXISTS] a, b: as far as the statement has this form;
 * the rest does not matter. */
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
        if (!ps_sql_is_name(p, at) || !ps_sql_qualified(p, &name))
            return;
        ps_sql_add_relation(p, &name, use, at);
    } while (list && ps_sql_accept_punct(p, ','));
}

/* CREATE, ALTER, DROP and more: structure, rights or the server change. */
static void
ddl(struct ps_sql_parser *p)
{
    uint16_t verb = ps_sql_take(p)->word;

    anything(p, PS_SQL_DDL);
    if (verb == PS_W_DROP && ps_sql_at(p, PS_W_PREPARE)) {
        p->cls = PS_SQL_SESSION;
        skip_rest(p);
        return;
    }
    bool temporary = false;
    while (!ps_sql_at_end(p) && !ps_sql_at(p, PS_W_TABLE) &&
           !ps_sql_at(p, PS_W_VIEW) && !ps_sql_at_punct(p, '('))
        temporary = ps_sql_take(p)->word == PS_W_TEMPORARY || temporary;
    if (!temporary)
        p->out->ends_transaction = true;
    if (verb != PS_W_GRANT && verb != PS_W_REVOKE &&
        (ps_sql_accept(p, PS_W_TABLE) || ps_sql_accept(p, PS_W_VIEW)))
        ddl_relations(p, PS_SQL_REL_DDL, verb == PS_W_DROP);
    skip_rest(p);
}

/* RENAME TABLE a TO b, c TO d */
static void
rename_tables(struct ps_sql_parser *p)
{
    struct ps_sql_name name;

    ps_sql_expect(p, PS_W_RENAME);
    anything(p, PS_SQL_DDL);
    p->out->ends_transaction = true;
    if (ps_sql_accept(p, PS_W_TABLE) || ps_sql_accept(p, PS_W_TABLES))
        do {
            for (int i = 0; i < 2; i++) {
                const struct ps_sql_token *at = ps_sql_peek(p);
                if (!ps_sql_is_name(p, at) || !ps_sql_qualified(p, &name))
                    break;
                ps_sql_add_relation(p, &name, PS_SQL_REL_DDL, at);
                ps_sql_accept(p, PS_W_TO);
            }
        } while (ps_sql_accept_punct(p, ','));
    skip_rest(p);
}

static void
truncate(struct ps_sql_parser *p)
{
    ps_sql_expect(p, PS_W_TRUNCATE);
    ps_sql_accept(p, PS_W_TABLE);
    p->cls = PS_SQL_DDL;
    p->out->ends_transaction = p->out->touches_session = true;
    ddl_relations(p, PS_SQL_REL_DDL | PS_SQL_REL_WRITE, false);
    if (ps_sql_accept(p, PS_W_WAIT))
        p->pos++;
    else
        ps_sql_accept(p, PS_W_NOWAIT);
}

/* CHECKSUM TABLE reads; the others change files or statistics, REPAIR rows. */
static void
maintenance(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_take(p);

    if (at->word == PS_W_CHECKSUM) {
        ps_sql_deny(p, PS_SQL_REASON_SYSTEM_CATALOG, at);
        p->out->may_write = true;
    } else if (at->word == PS_W_REPAIR) {
        anything(p, PS_SQL_DDL);
    } else {
        p->cls = PS_SQL_DDL;
        p->out->ends_transaction = p->out->touches_session = true;
    }
    skip_rest(p);
}

/* ---- the session ---- */

static void dispatch(struct ps_sql_parser *p);

/* @@global.x, @@persist.x: what sessions begin with, and so what they answer.
 */
static bool
is_for_all(struct ps_str text)
{
    static const char *const heads[] = {"@@global.", "@@persist"};
    for (size_t i = 0; i < PS_ARRAY_LEN(heads); i++) {
        struct ps_str head = ps_str_of(heads[i]);
        if (text.len > head.len &&
            ps_str_eq_nocase((struct ps_str){text.ptr, head.len}, head))
            return true;
    }
    return false;
}

/* [GLOBAL | SESSION | ...] name, @v, @@name, `NAMES x`: one variable and its
 * value. */
static void
set_one(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);
    struct ps_sql_expr e;
    bool autocommit = false, off = false;

    if (ps_sql_at_punct(p, '@')) { /* @@session.autocommit */
        struct ps_str text = ps_sql_token_text(p, at);
        if (is_for_all(text))
            anything(p, PS_SQL_SESSION);
        size_t n = PS_MIN(text.len, (size_t)10);
        text = (struct ps_str){.ptr = text.ptr + text.len - n, .len = n};
        autocommit = ps_str_eq_nocase(text, PS_STR("autocommit"));
        p->pos++;
        if (at->len == 1)
            p->pos++; /* @'name' */
    } else {
        struct ps_sql_name name;
        if (ps_sql_peek_at(p, 1)->kind == PS_TOK_WORD) {
            if (ps_sql_my_in_list(ps_sql_token_text(p, at),
                                  " global persist persist_only "))
                anything(p, PS_SQL_SESSION);
            p->pos++; /* GLOBAL, SESSION, LOCAL, PERSIST, PERSIST_ONLY */
        }
        if (!ps_sql_qualified(p, &name))
            return;
        autocommit =
            ps_str_eq_nocase(name.part[name.n - 1], PS_STR("autocommit"));
    }
    if (!ps_sql_accept_op(p, '=') && !ps_sql_accept_punct(p, PS_TOK_ASSIGN)) {
        ps_sql_fail(p, ps_sql_peek(p));
        return;
    }
    if (ps_sql_accept(p, PS_W_ON) || ps_sql_accept(p, PS_W_DEFAULT) ||
        ps_sql_accept(p, PS_W_ALL) || ps_sql_accept(p, PS_W_BINARY)) {
        off = false;
    } else {
        at = ps_sql_peek(p);
        ps_sql_expr(p, &e);
        off = !(e.kind == PS_EXPR_VALUE && e.value.kind == PS_SQL_VALUE_INT &&
                e.value.integer == 1);
    }
    /* On: commits if it was off, but not what BEGIN has opened. */
    p->out->opens_transaction =
        p->out->opens_transaction || (autocommit && off);
}

/* SET STATEMENT a = 1, b = 2 FOR statement (MariaDB) */
static void
set_statement(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);

    p->pos++;
    do {
        set_one(p);
    } while (ps_sql_accept_punct(p, ','));
    ps_sql_expect(p, PS_W_FOR);
    p->out->touches_session = true;
    ps_sql_deny(p, PS_SQL_REASON_SESSION_STATE, at);
    if (p->failed || !ps_sql_enter(p))
        return;
    p->cls = PS_SQL_READ;
    dispatch(p);
    ps_sql_leave(p);
}

/* SET PASSWORD, SET [DEFAULT] ROLE, SET NAMES, SET TRANSACTION, SET a = b */
static void
set(struct ps_sql_parser *p)
{
    struct ps_str word;

    ps_sql_expect(p, PS_W_SET);
    p->cls = PS_SQL_SESSION;
    p->out->touches_session = true;
    word = ps_sql_token_text(p, ps_sql_peek(p));
    if (ps_sql_at(p, PS_W_STATEMENT) &&
        ps_sql_peek_at(p, 1)->kind == PS_TOK_WORD) {
        set_statement(p);
        return;
    }
    if (ps_sql_my_in_list(word, " password default ")) {
        anything(p, PS_SQL_DDL);
        skip_rest(p);
        return;
    }
    uint16_t next = ps_sql_peek_at(p, 1)->word;
    if (ps_sql_my_in_list(word, " names character charset role transaction "
                                "resource ") ||
        next == PS_W_TRANSACTION || next == PS_W_CHARACTER) {
        skip_rest(p);
        return;
    }
    do {
        set_one(p);
    } while (ps_sql_accept_punct(p, ','));
}

/* LOCK TABLES commits; UNLOCK TABLES only behind it. */
static void
lock(struct ps_sql_parser *p)
{
    if (ps_sql_at(p, PS_W_LOCK))
        p->out->ends_transaction = true;
    session(p);
}

/* HANDLER t OPEN | READ .. | CLOSE: a cursor that reads what is not
 * committed. */
static void
handler(struct ps_sql_parser *p)
{
    struct ps_sql_name name;
    const struct ps_sql_token *at = ps_sql_peek_at(p, 1);

    p->pos++;
    if (ps_sql_qualified(p, &name))
        ps_sql_add_relation(p, &name, PS_SQL_REL_READ, at);
    for (size_t i = p->pos; i < p->end; i++)
        if (p->tokens[i].word == PS_W_WHERE) /* and whatever it calls */
            ps_sql_writes_all(p);
    session(p);
}

static void
prepare(struct ps_sql_parser *p)
{
    for (size_t i = p->pos; i < p->end; i++)
        if (ps_sql_punct_is(&p->tokens[i], '('))
            ps_sql_writes_all(p); /* PREPARE s FROM (SELECT f()) */
    session(p);
}

/* ---- reads of the server ---- */

/* SHOW: tells of the session or the server. Its WHERE may call a function that
 * writes. */
static void
show(struct ps_sql_parser *p)
{
    ps_sql_deny(p, PS_SQL_REASON_SESSION_STATE, ps_sql_peek(p));
    for (size_t i = p->pos; i < p->end; i++)
        if (ps_sql_punct_is(&p->tokens[i], '(')) {
            p->cls = PS_SQL_CALL;
            ps_sql_writes_all(p);
        }
    skip_rest(p);
}

/* What an EXPLAIN does not run changes nothing: its tables are read at most. */
static void
only_planned(struct ps_sql_parser *p, size_t relations)
{
    for (size_t i = relations; i < p->n_relations; i++) {
        struct ps_sql_relation *rel = &p->relations[i];
        *rel = (struct ps_sql_relation){.database = rel->database,
                                        .schema = rel->schema,
                                        .name = rel->name,
                                        .use = PS_SQL_REL_READ};
    }
    p->writes = false;
    p->cls = PS_SQL_READ;
}

/* {EXPLAIN | DESCRIBE | DESC} [EXTENDED | PARTITIONS | FORMAT = x] [ANALYZE]
 * statement or table; ANALYZE [FORMAT = x] statement (MariaDB). */
static void
explain(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_take(p);
    bool runs = at->word == PS_W_ANALYZE;
    size_t relations = p->n_relations;
    struct ps_sql_name name;

    ps_sql_deny(p, PS_SQL_REASON_SYSTEM_CATALOG, at);
    p->out->may_write = true;
    for (;;) {
        if (ps_sql_accept(p, PS_W_ANALYZE))
            runs = true;
        else if (ps_sql_accept(p, PS_W_FORMAT))
            p->pos += 2;
        else if (!ps_sql_accept(p, PS_W_EXTENDED) &&
                 !ps_sql_accept(p, PS_W_PARTITIONS))
            break;
    }
    const struct ps_sql_token *first = ps_sql_peek(p);
    if (ps_sql_is_name(p, first)) { /* a table */
        if (ps_sql_qualified(p, &name))
            ps_sql_add_relation(p, &name, PS_SQL_REL_READ, first);
        if (!ps_sql_at_end(p))
            p->pos++; /* a column or a pattern */
        return;
    }
    if (!ps_sql_enter(p))
        return;
    dispatch(p);
    ps_sql_leave(p);
    if (!runs && !p->failed)
        only_planned(p, relations);
}

/* ---- LOAD DATA ---- */

static void
load(struct ps_sql_parser *p)
{
    struct ps_sql_name name;
    bool replace = false;

    p->pos++;
    if (!ps_sql_at(p, PS_W_DATA) &&
        !ps_str_eq_nocase(ps_sql_token_text(p, ps_sql_peek(p)),
                          PS_STR("xml"))) {
        anything(p, PS_SQL_DDL); /* LOAD INDEX, LOAD TABLE */
        skip_rest(p);
        return;
    }
    p->cls = PS_SQL_WRITE;
    p->out->may_write = p->out->touches_session = true;
    while (!ps_sql_at_end(p) && !ps_sql_at(p, PS_W_INTO)) {
        replace = replace || ps_sql_at(p, PS_W_REPLACE);
        p->pos++;
    }
    ps_sql_expect(p, PS_W_INTO);
    ps_sql_expect(p, PS_W_TABLE);
    const struct ps_sql_token *at = ps_sql_peek(p);
    if (!ps_sql_qualified(p, &name))
        return;
    size_t rel = ps_sql_add_relation(p, &name, PS_SQL_REL_WRITE, at);
    if (rel != PS_SQL_NO_RELATION && !replace) {
        p->relations[rel].insert_only = true;
        p->relations[rel].rows_known = true;
    }
    /* CHARACTER SET x is no SET. */
    while (!ps_sql_at_end(p) && !ps_sql_at(p, PS_W_SET)) {
        if (ps_sql_accept(p, PS_W_CHARACTER))
            ps_sql_accept(p, PS_W_SET);
        p->pos += !ps_sql_at_end(p);
    }
    if (ps_sql_accept(p, PS_W_SET))
        ps_sql_my_skip_assignments(p);
}

/* ---- everything ---- */

static void
analyze(struct ps_sql_parser *p)
{
    uint16_t next = ps_sql_peek_at(p, 1)->word;
    struct ps_str word = ps_sql_token_text(p, ps_sql_peek_at(p, 1));
    if (next == PS_W_TABLE || next == PS_W_TABLES || next == PS_W_LOCAL ||
        ps_sql_my_in_list(word, " no_write_to_binlog "))
        maintenance(p);
    else
        explain(p);
}

static void
replace(struct ps_sql_parser *p)
{
    p->writes = p->out->may_write = true;
    if (ps_sql_enter(p)) {
        ps_sql_my_dml(p, PS_W_REPLACE);
        ps_sql_leave(p);
    }
    p->scope = NULL;
}

static const struct {
    uint16_t word;
    void (*parse)(struct ps_sql_parser *p);
} statements[] = {
    {PS_W_BEGIN,      transaction  },
    {PS_W_COMMIT,     transaction  },
    {PS_W_ROLLBACK,   transaction  },
    {PS_W_SAVEPOINT,  transaction  },
    {PS_W_RELEASE,    transaction  },
    {PS_W_XA,         transaction  },
    {PS_W_START,      start        },
    {PS_W_SET,        set          },
    {PS_W_USE,        session      },
    {PS_W_DEALLOCATE, session      },
    {PS_W_SIGNAL,     session      },
    {PS_W_RESIGNAL,   session      },
    {PS_W_LOCK,       lock         },
    {PS_W_UNLOCK,     lock         },
    {PS_W_HANDLER,    handler      },
    {PS_W_PREPARE,    prepare      },
    {PS_W_SHOW,       show         },
    {PS_W_EXPLAIN,    explain      },
    {PS_W_DESCRIBE,   explain      },
    {PS_W_DESC,       explain      },
    {PS_W_ANALYZE,    analyze      },
    {PS_W_CHECKSUM,   maintenance  },
    {PS_W_CHECK,      maintenance  },
    {PS_W_OPTIMIZE,   maintenance  },
    {PS_W_REPAIR,     maintenance  },
    {PS_W_FLUSH,      maintenance  },
    {PS_W_REPLACE,    replace      },
    {PS_W_LOAD,       load         },
    {PS_W_TRUNCATE,   truncate     },
    {PS_W_RENAME,     rename_tables},
    {PS_W_CREATE,     ddl          },
    {PS_W_ALTER,      ddl          },
    {PS_W_DROP,       ddl          },
    {PS_W_GRANT,      ddl          },
    {PS_W_REVOKE,     ddl          },
    {PS_W_IMPORT,     ddl          },
    {PS_W_CALL,       call         },
    {PS_W_DO,         call         },
    {PS_W_EXECUTE,    call         },
};

static void
dispatch(struct ps_sql_parser *p)
{
    const struct ps_sql_token *first = ps_sql_peek(p);

    if (ps_sql_at_query(p)) {
        ps_sql_query(p, true);
        return;
    }
    if (first->word != PS_W_MERGE && ps_sql_dml(p))
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
            if (before == PS_W_FOR)
                break;
            return false;
        case PS_W_INSERT: /* a function's name, too */
            if (ps_sql_punct_is(&p->tokens[i + 1], '('))
                break;
            return false;
        case PS_W_DELETE:
        case PS_W_INTO:
        case PS_W_NEXTVAL:
        case PS_W_SETVAL:
            return false;
        case PS_W_NEXT:
            if (p->tokens[i + 1].word == PS_W_VALUE)
                return false;
            break;
        default:
            break;
        }
    }
    return true;
}

/* A statement that is another one on some servers. */
static void
uncertain(struct ps_sql_parser *p, const struct ps_sql_token *at)
{
    ps_sql_deny(p, PS_SQL_REASON_SERVER_COMMENT, at);
    anything(p, p->cls == PS_SQL_WRITE || p->cls == PS_SQL_DDL ||
                        p->cls == PS_SQL_CALL
                    ? p->cls
                    : PS_SQL_UNKNOWN);
    p->out->opens_transaction = true; /* as far as anybody knows */
}

void
ps_sql_my_statement(struct ps_sql_parser *p)
{
    size_t start = p->pos, end = statement_end(p);
    struct ps_sql_token at;
    enum my_comment comment = ps_sql_my_comment(p, start, end, &at);

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
    if (comment == MY_COMMENT_WHOLE)
        ps_sql_deny(p, PS_SQL_REASON_SERVER_COMMENT, &at);
    else if (comment == MY_COMMENT_UNCERTAIN)
        uncertain(p, &at);
    p->pos = end < p->n ? end + 1 : end;
    p->end = p->n;
}
