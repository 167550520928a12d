/*
 * T-SQL's statements: where they end, and what those do that are neither query
 * nor INSERT, UPDATE, DELETE or MERGE.
 *
 * No `;` is needed between statements. A query or a write that is understood
 * ends where its grammar ends; what follows must be a word that begins a
 * statement (all of them are reserved, so that none can be taken for an alias),
 * or nothing is understood. Statements that are not read are passed over to the
 * next such word (ps_sql_ts_skip). Batches with control flow or a routine's
 * body are one unknown whole. So each word of a write begins a statement that
 * is read, or lies in one that may change anything.
 *
 * The server refuses a batch as a whole when a part of it does not parse. To
 * accept more than it does is harmless here; to read a batch otherwise than it
 * does is not.
 */
#include "agent/sql/ts.h"

static const uint16_t starters[] = {
    PS_W_ALTER,      PS_W_BACKUP,     PS_W_BEGIN,    PS_W_BREAK,
    PS_W_BULK,       PS_W_CHECKPOINT, PS_W_CLOSE,    PS_W_COMMIT,
    PS_W_CONTINUE,   PS_W_CREATE,     PS_W_DBCC,     PS_W_DEALLOCATE,
    PS_W_DECLARE,    PS_W_DELETE,     PS_W_DENY,     PS_W_DISK,
    PS_W_DROP,       PS_W_DUMP,       PS_W_ELSE,     PS_W_END,
    PS_W_EXEC,       PS_W_EXECUTE,    PS_W_FETCH,    PS_W_GOTO,
    PS_W_GRANT,      PS_W_IF,         PS_W_INSERT,   PS_W_KILL,
    PS_W_LINENO,     PS_W_LOAD,       PS_W_MERGE,    PS_W_OPEN,
    PS_W_PRINT,      PS_W_RAISERROR,  PS_W_READTEXT, PS_W_RECONFIGURE,
    PS_W_RESTORE,    PS_W_RETURN,     PS_W_REVERT,   PS_W_REVOKE,
    PS_W_ROLLBACK,   PS_W_SAVE,       PS_W_SELECT,   PS_W_SET,
    PS_W_SETUSER,    PS_W_SHUTDOWN,   PS_W_TRUNCATE, PS_W_UPDATE,
    PS_W_UPDATETEXT, PS_W_USE,        PS_W_WAITFOR,  PS_W_WHILE,
    PS_W_WRITETEXT,  PS_W_NO_WORD};

static bool
word_in(uint16_t word, const uint16_t *list)
{
    while (*list && *list != word)
        list++;
    return word && *list == word;
}

bool
ps_sql_ts_begins_statement(uint16_t word)
{
    return word_in(word, starters);
}

static void
skip_rest(struct ps_sql_parser *p)
{
    p->pos = p->end;
}

/* What lies in [from, to) may open a transaction: better to believe it. */
static void
note_transactions(struct ps_sql_parser *p, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        uint16_t next = p->tokens[i + 1].word;
        if (p->tokens[i].word == PS_W_IMPLICIT_TRANSACTIONS ||
            p->tokens[i].word == PS_W_ANSI_DEFAULTS ||
            (p->tokens[i].word == PS_W_BEGIN &&
             (next == PS_W_TRAN || next == PS_W_TRANSACTION ||
              next == PS_W_DISTRIBUTED)))
            p->out->opens_transaction = true;
    }
}

/* Nothing is proven: everything may change, tables and structure. */
static void
anything(struct ps_sql_parser *p, enum ps_sql_class cls)
{
    p->cls = cls;
    p->out->changes_catalog = true;
    ps_sql_writes_all(p);
}

/* What is passed over calls a function of somebody's, takes a number from a
 * sequence, or asks another server. */
static void
note_calls(struct ps_sql_parser *p, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const struct ps_sql_token *t = &p->tokens[i];
        bool call = i + 2 < to && ps_sql_punct_is(t, '.') &&
                    ps_sql_punct_is(&p->tokens[i + 2], '(');
        bool next = t->word == PS_W_NEXT && i + 2 < to &&
                    p->tokens[i + 2].word == PS_W_FOR;
        if (call || next ||
            ps_sql_ts_is_any(p, t, " openquery openrowset opendatasource "))
            ps_sql_writes_all(p);
    }
}

/* WITH x AS (...) or WITH x (a) AS (...): the server wants a `;` before it, so
 * that this is refused there, or a cursor's query. What is changed through x is
 * not looked for. */
static bool
at_common_table(const struct ps_sql_parser *p)
{
    const struct ps_sql_token *behind = ps_sql_peek_at(p, 2);
    return ps_sql_at(p, PS_W_WITH) && ps_sql_is_name(p, ps_sql_peek_at(p, 1)) &&
           (behind->word == PS_W_AS || ps_sql_punct_is(behind, '('));
}

void
ps_sql_ts_skip(struct ps_sql_parser *p)
{
    size_t from = p->pos, cases = 0;
    while (p->pos < p->end) {
        const struct ps_sql_token *t = &p->tokens[p->pos];
        if (at_common_table(p))
            ps_sql_writes_all(p);
        if (t->word == PS_W_CASE)
            cases++;
        else if (cases && t->word == PS_W_END)
            cases--;
        else if (ps_sql_ts_begins_statement(t->word) &&
                 !(cases && t->word == PS_W_ELSE))
            break;
        if (ps_sql_punct_is(t, '(') && t->info != PS_TOK_NO_MATCH &&
            t->info < p->end)
            p->pos = t->info;
        p->pos++;
    }
    note_calls(p, from, p->pos);
}

static void
session(struct ps_sql_parser *p)
{
    p->pos++;
    p->cls = PS_SQL_SESSION;
    p->out->touches_session = true;
    ps_sql_ts_skip(p);
}

/* SET ...: options of the session and values of variables. */
static void
set(struct ps_sql_parser *p)
{
    size_t from = p->pos;
    session(p);
    if (!ps_sql_ts_is(p, &p->tokens[p->pos - 1], "off"))
        note_transactions(p, from, p->pos);
}

/* USE, EXECUTE AS, SETUSER, REVERT: names in the rest of the text mean other
 * tables than before. */
static void
other_names(struct ps_sql_parser *p)
{
    size_t from = p->pos;
    session(p);
    size_t to = p->pos;
    while (to < p->n && ps_sql_punct_is(&p->tokens[to], ';'))
        to++;
    if (from > 0 || to < p->n)
        ps_sql_writes_all(p);
}

/* ---- transactions ---- */

static void
transaction(struct ps_sql_parser *p)
{
    uint16_t verb = ps_sql_take(p)->word;

    p->cls = PS_SQL_TRANSACTION;
    p->out->touches_session = true;
    ps_sql_accept(p, PS_W_DISTRIBUTED);
    if (!ps_sql_accept(p, PS_W_TRAN) && !ps_sql_accept(p, PS_W_TRANSACTION))
        ps_sql_accept(p, PS_W_WORK);
    bool named = ps_sql_is_name(p, ps_sql_peek(p)) ||
                 ps_sql_peek(p)->kind == PS_TOK_PARAM;
    if (verb == PS_W_BEGIN)
        p->out->opens_transaction = true;
    /* ROLLBACK TRAN name may go back to a savepoint only. */
    if (verb == PS_W_COMMIT || (verb == PS_W_ROLLBACK && !named))
        p->out->ends_transaction = true;
    ps_sql_ts_skip(p);
}

/* BEGIN: of a transaction, or of a block, a conversation, ... */
static void
begin(struct ps_sql_parser *p)
{
    uint16_t next = ps_sql_peek_at(p, 1)->word;
    if (next == PS_W_TRAN || next == PS_W_TRANSACTION ||
        next == PS_W_DISTRIBUTED) {
        transaction(p);
        return;
    }
    p->end = p->n;
    anything(p, PS_SQL_UNKNOWN);
    skip_rest(p);
}

/* Control flow: the whole text is one, and may do anything. */
static void
control(struct ps_sql_parser *p)
{
    p->end = p->n;
    anything(p, PS_SQL_UNKNOWN);
    skip_rest(p);
}

/* ---- DDL ---- */

/* [IF EXISTS] name; true when it is a temporary table and no list. */
static bool
ddl_relation(struct ps_sql_parser *p)
{
    struct ps_sql_name name;

    if (ps_sql_accept(p, PS_W_IF)) {
        ps_sql_accept(p, PS_W_NOT);
        ps_sql_accept(p, PS_W_EXISTS);
    }
    const struct ps_sql_token *at = ps_sql_peek(p);
    if (!ps_sql_is_name(p, at) || !ps_sql_qualified(p, &name))
        return false;
    ps_sql_add_relation(p, &name, PS_SQL_REL_DDL, at);
    return !ps_sql_at_punct(p, ',') && name.part[name.n - 1].ptr[0] == '#';
}

/* CREATE, ALTER, DROP: structure changes, so every answer goes. The body of a
 * routine, trigger or view goes on to the end of the text. */
static void
ddl(struct ps_sql_parser *p)
{
    static const uint16_t bodies[] = {
        PS_W_PROC, PS_W_PROCEDURE, PS_W_FUNCTION, PS_W_TRIGGER, PS_W_VIEW,
        PS_W_OR,   PS_W_SCHEMA,    PS_W_RULE,     PS_W_DEFAULT, PS_W_NO_WORD};
    uint16_t verb = ps_sql_take(p)->word, what = ps_sql_peek(p)->word;

    p->cls = PS_SQL_DDL;
    p->out->touches_session = true;
    if (verb != PS_W_DROP && word_in(what, bodies))
        p->end = p->n;
    bool temporary = false;
    if (what == PS_W_TABLE || what == PS_W_VIEW) {
        p->pos++;
        temporary = ddl_relation(p) && verb != PS_W_ALTER;
    }
    if (temporary) {
        ps_sql_ts_skip(p);
        return;
    }
    anything(p, PS_SQL_DDL);
    skip_rest(p);
}

/* What runs the server, the broker's queues, pieces of large values. */
static void
unknown(struct ps_sql_parser *p)
{
    anything(p, PS_SQL_UNKNOWN);
    skip_rest(p);
}

static void
other_ddl(struct ps_sql_parser *p)
{
    anything(p, PS_SQL_DDL);
    skip_rest(p);
}

/* TRUNCATE TABLE name [WITH (PARTITIONS (...))] */
static void
truncate(struct ps_sql_parser *p)
{
    struct ps_sql_name name;

    p->pos++;
    ps_sql_expect(p, PS_W_TABLE);
    p->cls = PS_SQL_DDL;
    const struct ps_sql_token *at = ps_sql_peek(p);
    if (ps_sql_qualified(p, &name))
        ps_sql_add_relation(p, &name, PS_SQL_REL_DDL | PS_SQL_REL_WRITE, at);
    ps_sql_ts_skip(p);
}

/* BULK INSERT name FROM 'file' [WITH (...)] */
static void
bulk_insert(struct ps_sql_parser *p)
{
    struct ps_sql_name name;

    p->pos++;
    ps_sql_expect(p, PS_W_INSERT);
    p->cls = PS_SQL_WRITE;
    const struct ps_sql_token *at = ps_sql_peek(p);
    if (!ps_sql_qualified(p, &name))
        return;
    size_t rel = ps_sql_add_relation(p, &name, PS_SQL_REL_WRITE, at);
    if (rel != PS_SQL_NO_RELATION) {
        p->relations[rel].insert_only = true;
        p->relations[rel].rows_known = true;
    }
    ps_sql_expect(p, PS_W_FROM);
    ps_sql_ts_skip(p);
}

/* ---- calls ---- */

/* EXEC p, EXEC ('text'), EXECUTE AS USER = 'x' */
static void
execute(struct ps_sql_parser *p)
{
    const struct ps_sql_token *next = ps_sql_peek_at(p, 1);
    if (next->word == PS_W_AS) {
        other_names(p);
        return;
    }
    anything(p, PS_SQL_CALL);
    p->pos++;
    ps_sql_ts_skip(p);
}

/* WAITFOR DELAY 'time', WAITFOR TIME 'time'; WAITFOR (RECEIVE ...) writes. */
static void
waitfor(struct ps_sql_parser *p)
{
    if (ps_sql_punct_is(ps_sql_peek_at(p, 1), '('))
        control(p);
    else
        session(p);
}

/* Cursors run their query when they are opened, and are read in pieces. */
static void
cursor(struct ps_sql_parser *p)
{
    ps_sql_writes_all(p);
    session(p);
}

static const struct {
    uint16_t word;
    void (*parse)(struct ps_sql_parser *p);
} statements[] = {
    {PS_W_BEGIN,       begin      },
    {PS_W_COMMIT,      transaction},
    {PS_W_ROLLBACK,    transaction},
    {PS_W_SAVE,        transaction},
    {PS_W_SET,         set        },
    {PS_W_DECLARE,     session    },
    {PS_W_USE,         other_names},
    {PS_W_SETUSER,     other_names},
    {PS_W_REVERT,      other_names},
    {PS_W_PRINT,       session    },
    {PS_W_RAISERROR,   session    },
    {PS_W_THROW,       session    },
    {PS_W_WAITFOR,     waitfor    },
    {PS_W_OPEN,        cursor     },
    {PS_W_FETCH,       cursor     },
    {PS_W_CLOSE,       session    },
    {PS_W_DEALLOCATE,  session    },
    {PS_W_EXEC,        execute    },
    {PS_W_EXECUTE,     execute    },
    {PS_W_TRUNCATE,    truncate   },
    {PS_W_BULK,        bulk_insert},
    {PS_W_CREATE,      ddl        },
    {PS_W_ALTER,       ddl        },
    {PS_W_DROP,        ddl        },
    {PS_W_GRANT,       other_ddl  },
    {PS_W_REVOKE,      other_ddl  },
    {PS_W_DENY,        other_ddl  },
    {PS_W_ENABLE,      other_ddl  },
    {PS_W_DISABLE,     other_ddl  },
    {PS_W_BACKUP,      unknown    },
    {PS_W_RESTORE,     unknown    },
    {PS_W_DUMP,        unknown    },
    {PS_W_LOAD,        unknown    },
    {PS_W_DBCC,        unknown    },
    {PS_W_KILL,        unknown    },
    {PS_W_SHUTDOWN,    unknown    },
    {PS_W_RECONFIGURE, unknown    },
    {PS_W_CHECKPOINT,  unknown    },
    {PS_W_READTEXT,    unknown    },
    {PS_W_WRITETEXT,   unknown    },
    {PS_W_UPDATETEXT,  unknown    },
    {PS_W_SEND,        unknown    },
    {PS_W_RECEIVE,     unknown    },
    {PS_W_IF,          control    },
    {PS_W_WHILE,       control    },
    {PS_W_RETURN,      control    },
    {PS_W_GOTO,        control    },
    {PS_W_BREAK,       control    },
    {PS_W_CONTINUE,    control    },
    {PS_W_END,         control    },
    {PS_W_ELSE,        control    },
};

static void
dispatch(struct ps_sql_parser *p)
{
    const struct ps_sql_token *first = ps_sql_peek(p);

    if (ps_sql_punct_is(ps_sql_peek_at(p, 1), ':')) {
        control(p); /* a label */
        return;
    }
    if (first->word == PS_W_SELECT || first->word == PS_W_WITH ||
        ps_sql_at_subquery(p)) {
        ps_sql_query(p, true);
        return;
    }
    if (ps_sql_dml(p))
        return;
    for (size_t i = 0; first->word && i < PS_ARRAY_LEN(statements); i++)
        if (statements[i].word == first->word) {
            statements[i].parse(p);
            return;
        }
    /* The first statement of a batch may be a procedure without EXEC. */
    if (p->pos == 0 && ps_sql_is_name(p, first)) {
        anything(p, PS_SQL_CALL);
        p->pos++;
        ps_sql_ts_skip(p);
        return;
    }
    anything(p, PS_SQL_UNKNOWN);
    ps_sql_fail(p, first);
}

/* ---- SELECT @v = ... ---- */

/* An `=` behind a variable compares it only where a condition may stand: it
 * assigns behind SELECT, TOP (n) and a comma. */
static bool
may_compare(const struct ps_sql_token *before)
{
    static const uint16_t conditions[] = {PS_W_WHERE, PS_W_AND,    PS_W_OR,
                                          PS_W_NOT,   PS_W_ON,     PS_W_HAVING,
                                          PS_W_WHEN,  PS_W_NO_WORD};
    return word_in(before->word, conditions) || before->kind == PS_TOK_OP ||
           ps_sql_punct_is(before, '(');
}

static void
find_assignments(struct ps_sql_parser *p, size_t from, size_t to)
{
    for (size_t i = from + 1; i + 1 < to; i++) {
        const struct ps_sql_token *op = &p->tokens[i + 1];
        if (p->tokens[i].kind != PS_TOK_PARAM || op->kind != PS_TOK_OP)
            continue;
        struct ps_str text = ps_sql_token_text(p, op);
        if (ps_sql_ts_on_list(text, " += -= *= /= %= &= ^= |= ") ||
            (op->ch == '=' && !may_compare(&p->tokens[i - 1])))
            ps_sql_deny(p, PS_SQL_REASON_SESSION_STATE, &p->tokens[i]);
    }
}

/* ---- everything ---- */

/* All the reserved words that a query is made of. */
static const uint16_t query_words[] = {
    PS_W_ALL,          PS_W_AND,          PS_W_ANY,
    PS_W_AS,           PS_W_ASC,          PS_W_BETWEEN,
    PS_W_BROWSE,       PS_W_BY,           PS_W_CASE,
    PS_W_COALESCE,     PS_W_COLLATE,      PS_W_CONTAINS,
    PS_W_CONVERT,      PS_W_CROSS,        PS_W_CURRENT,
    PS_W_CURRENT_DATE, PS_W_CURRENT_TIME, PS_W_CURRENT_TIMESTAMP,
    PS_W_CURRENT_USER, PS_W_DEFAULT,      PS_W_DESC,
    PS_W_DISTINCT,     PS_W_DOUBLE,       PS_W_ELSE,
    PS_W_END,          PS_W_ESCAPE,       PS_W_EXCEPT,
    PS_W_EXISTS,       PS_W_FOR,          PS_W_FREETEXT,
    PS_W_FROM,         PS_W_FULL,         PS_W_GROUP,
    PS_W_HAVING,       PS_W_HOLDLOCK,     PS_W_IDENTITYCOL,
    PS_W_IN,           PS_W_INDEX,        PS_W_INNER,
    PS_W_INTERSECT,    PS_W_IS,           PS_W_JOIN,
    PS_W_LEFT,         PS_W_LIKE,         PS_W_NATIONAL,
    PS_W_NOT,          PS_W_NULL,         PS_W_NULLIF,
    PS_W_OF,           PS_W_ON,           PS_W_OPTION,
    PS_W_OR,           PS_W_ORDER,        PS_W_OUTER,
    PS_W_OVER,         PS_W_PERCENT,      PS_W_PIVOT,
    PS_W_PRECISION,    PS_W_RIGHT,        PS_W_ROWGUIDCOL,
    PS_W_SELECT,       PS_W_SESSION_USER, PS_W_SOME,
    PS_W_SYSTEM_USER,  PS_W_TABLESAMPLE,  PS_W_THEN,
    PS_W_TO,           PS_W_TOP,          PS_W_TRY_CONVERT,
    PS_W_UNION,        PS_W_UNPIVOT,      PS_W_USER,
    PS_W_VALUES,       PS_W_VARYING,      PS_W_WHEN,
    PS_W_WHERE,        PS_W_WITH,         PS_W_NO_WORD};

/* The statement begins like a query and has nothing in it of which anything
 * else is made: whatever else it says, it can only be a read. (Its functions
 * are another matter.) */
static bool
surely_query(const struct ps_sql_parser *p, size_t start, size_t end)
{
    const struct ps_sql_token *first = &p->tokens[start];
    if (first->word != PS_W_SELECT && first->word != PS_W_WITH)
        return false;
    for (size_t i = start; i < end; i++) {
        const struct ps_sql_token *t = &p->tokens[i];
        if (t->kind == PS_TOK_BAD || t->kind == PS_TOK_JUNK)
            return false;
        if (t->kind != PS_TOK_WORD)
            continue;
        if ((ps_sql_word_flags((enum ps_sql_word)t->word) & TS_RES) &&
            !word_in(t->word, query_words))
            return false;
        if (ps_sql_ts_is_any(
                p, t, " next enable disable throw send receive move get "))
            return false;
    }
    return true;
}

/* The next `;`. It is remembered, so that many statements without one do not
 * look for it again and again. */
static size_t
find_end(struct ps_sql_parser *p)
{
    size_t end = PS_MAX(p->pos, p->semicolon);
    while (end < p->n && !ps_sql_punct_is(&p->tokens[end], ';'))
        end++;
    p->semicolon = end;
    return end;
}

void
ps_sql_ts_statement(struct ps_sql_parser *p)
{
    size_t start = p->pos, end = find_end(p);

    p->end = end;
    dispatch(p);
    if (!p->failed && p->pos < p->end &&
        !ps_sql_ts_begins_statement(p->tokens[p->pos].word))
        ps_sql_fail(p, ps_sql_peek(p));
    if (p->failed) {
        p->pos = end;
        ps_sql_writes_all(p);
        if (p->cls == PS_SQL_READ && !surely_query(p, start, end))
            p->cls = PS_SQL_WRITE;
        if (p->cls != PS_SQL_READ)
            p->out->changes_catalog = true;
    } else if (p->writes && p->cls == PS_SQL_READ) {
        p->cls = PS_SQL_WRITE;
    }
    if (p->failed || p->cls == PS_SQL_UNKNOWN || p->cls == PS_SQL_DDL)
        note_transactions(p, start, p->pos);
    find_assignments(p, start, p->pos);
    if (p->pos < p->n && ps_sql_punct_is(&p->tokens[p->pos], ';'))
        p->pos++;
    p->end = p->n;
}
