/*
 * What MySQL and MariaDB add to queries: SELECT's options, INTO, LIMIT a, b,
 * locks, partitions, index hints, STRAIGHT_JOIN, rows of the past.
 */
#include "agent/sql/my.h"

void
ps_sql_my_select_options(struct ps_sql_parser *p)
{
    for (;;) {
        const struct ps_sql_token *at = ps_sql_peek(p);
        switch (at->word) {
        case PS_W_SQL_CALC_FOUND_ROWS:
            ps_sql_deny(p, PS_SQL_REASON_SESSION_STATE, at);
            p->out->touches_session = true;
            break;
        case PS_W_DISTINCT:
        case PS_W_DISTINCTROW:
        case PS_W_ALL:
        case PS_W_HIGH_PRIORITY:
        case PS_W_STRAIGHT_JOIN:
        case PS_W_SQL_SMALL_RESULT:
        case PS_W_SQL_BIG_RESULT:
            break;
        case PS_W_SQL_BUFFER_RESULT: /* not reserved: perhaps a column */
        case PS_W_SQL_NO_CACHE:
        case PS_W_SQL_CACHE:
            if (ps_sql_punct_is(ps_sql_peek_at(p, 1), ',') ||
                ps_sql_punct_is(ps_sql_peek_at(p, 1), '.') ||
                ps_sql_peek_at(p, 1)->word == PS_W_FROM)
                return;
            break;
        default:
            return;
        }
        p->pos++;
    }
}

/* [CHARACTER SET x] [FIELDS ...] [LINES ...] of INTO OUTFILE */
static void
file_format(struct ps_sql_parser *p)
{
    static const uint16_t words[] = {
        PS_W_CHARACTER, PS_W_FIELDS,  PS_W_COLUMNS,    PS_W_LINES,
        PS_W_STARTING,  PS_W_BY,      PS_W_TERMINATED, PS_W_OPTIONALLY,
        PS_W_ENCLOSED,  PS_W_ESCAPED, PS_W_NO_WORD};

    while (ps_sql_at_any(p, words) || ps_sql_peek(p)->kind == PS_TOK_STRING ||
           ps_sql_peek(p)->kind == PS_TOK_BITS) {
        bool charset = ps_sql_take(p)->word == PS_W_CHARACTER;
        if (charset) {
            ps_sql_expect(p, PS_W_SET);
            p->pos++;
        }
    }
}

/* INTO @v, @w | INTO OUTFILE 'f' ... | INTO DUMPFILE 'f' */
void
ps_sql_my_select_into(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_take(p);

    ps_sql_deny(p, PS_SQL_REASON_SELECT_INTO, at);
    p->out->may_write = p->out->touches_session = true;
    if (ps_sql_accept(p, PS_W_OUTFILE) || ps_sql_accept(p, PS_W_DUMPFILE)) {
        if (ps_sql_take(p)->kind != PS_TOK_STRING)
            ps_sql_fail(p, at);
        file_format(p);
        p->cls = PS_SQL_WRITE;
        return;
    }
    if (p->cls == PS_SQL_READ)
        p->cls = PS_SQL_SESSION;
    do {
        struct ps_sql_expr e;
        if (!ps_sql_my_other_expr(p, &e)) /* a variable of a routine */
            ps_sql_name_of(p, ps_sql_take(p));
    } while (ps_sql_accept_punct(p, ','));
}

void
ps_sql_my_limit(struct ps_sql_parser *p)
{
    struct ps_sql_expr e;

    if (!ps_sql_accept(p, PS_W_LIMIT))
        return;
    const struct ps_sql_token *at = ps_sql_peek(p);
    if (!ps_sql_at(p, PS_W_ROWS))
        ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
    if (ps_sql_accept_punct(p, ',') || ps_sql_accept(p, PS_W_OFFSET))
        ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
    if (ps_sql_accept2(p, PS_W_ROWS, PS_W_EXAMINED)) {
        /* The answer may be cut short, depending on the plan. */
        ps_sql_deny(p, PS_SQL_REASON_SAMPLED, at);
        ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
    }
}

/* FOR {UPDATE | SHARE} [OF t, ..] [NOWAIT | SKIP LOCKED | WAIT n],
 * LOCK IN SHARE MODE [..] */
static void
locking(struct ps_sql_parser *p)
{
    struct ps_sql_name name;

    ps_sql_deny(p, PS_SQL_REASON_LOCKING, ps_sql_peek(p));
    p->out->may_write = true;
    if (ps_sql_accept(p, PS_W_LOCK)) {
        ps_sql_expect(p, PS_W_IN);
        ps_sql_expect(p, PS_W_SHARE);
        ps_sql_expect(p, PS_W_MODE);
    } else {
        ps_sql_expect(p, PS_W_FOR);
        if (!ps_sql_accept(p, PS_W_UPDATE))
            ps_sql_expect(p, PS_W_SHARE);
        if (ps_sql_accept(p, PS_W_OF))
            do {
                ps_sql_qualified(p, &name);
            } while (ps_sql_accept_punct(p, ','));
    }
    if (ps_sql_accept(p, PS_W_WAIT))
        p->pos++;
    else if (!ps_sql_accept(p, PS_W_NOWAIT))
        ps_sql_accept2(p, PS_W_SKIP, PS_W_LOCKED);
}

bool
ps_sql_my_query_tail(struct ps_sql_parser *p)
{
    switch (ps_sql_peek(p)->word) {
    case PS_W_LIMIT:
        ps_sql_my_limit(p);
        return true;
    case PS_W_INTO:
        ps_sql_my_select_into(p);
        return true;
    case PS_W_FOR:
    case PS_W_LOCK:
        locking(p);
        return true;
    case PS_W_PROCEDURE: /* ANALYSE(): of the optimizer's statistics */
        ps_sql_fail_reason(p, PS_SQL_REASON_TABLE_FUNCTION, ps_sql_peek(p));
        return true;
    default:
        return false;
    }
}

/* ---- FROM ---- */

/* FOR SYSTEM_TIME {ALL | AS OF x | BETWEEN x AND y | FROM x TO y} (MariaDB).
 * What was true then is told now by rows whose end has come since, and old
 * partitions are dropped without a statement that tells. */
static void
system_time(struct ps_sql_parser *p)
{
    struct ps_sql_expr e;

    ps_sql_deny(p, PS_SQL_REASON_PAST_ROWS, ps_sql_peek(p));
    p->pos += 2;
    if (ps_sql_accept(p, PS_W_ALL))
        return;
    bool two = true;
    if (ps_sql_accept(p, PS_W_AS)) {
        ps_sql_expect(p, PS_W_OF);
        two = false;
    } else if (!ps_sql_accept(p, PS_W_FROM)) {
        ps_sql_expect(p, PS_W_BETWEEN);
    }
    for (int i = 0; i <= two; i++) {
        if (ps_sql_peek_at(p, 1)->kind != PS_TOK_STRING &&
            !ps_sql_accept(p, PS_W_TIMESTAMP))
            ps_sql_accept(p, PS_W_TRANSACTION);
        ps_sql_expr_level(p, PS_LEVEL_OTHER, &e);
        if (i == 0 && two && !ps_sql_accept(p, PS_W_AND))
            ps_sql_expect(p, PS_W_TO);
    }
}

/* [PARTITION (p, q)] [FOR SYSTEM_TIME ...] */
void
ps_sql_my_table_suffix(struct ps_sql_parser *p)
{
    if (ps_sql_at(p, PS_W_PARTITION) &&
        ps_sql_punct_is(ps_sql_peek_at(p, 1), '(')) {
        struct ps_str *names;
        p->pos++;
        ps_sql_name_list(p, &names);
    }
    if (ps_sql_at(p, PS_W_FOR) &&
        ps_sql_peek_at(p, 1)->word == PS_W_SYSTEM_TIME)
        system_time(p);
}

/* {USE | IGNORE | FORCE} {INDEX | KEY} [FOR ..] ([a, b]), any number */
void
ps_sql_my_table_tail(struct ps_sql_parser *p, struct ps_sql_source *source)
{
    (void)source;
    for (;;) {
        uint16_t next = ps_sql_peek_at(p, 1)->word;
        if (!(ps_sql_at(p, PS_W_USE) || ps_sql_at(p, PS_W_IGNORE) ||
              ps_sql_at(p, PS_W_FORCE)) ||
            !(next == PS_W_INDEX || next == PS_W_KEY))
            return;
        p->pos += 2;
        if (ps_sql_accept(p, PS_W_FOR) && !ps_sql_accept(p, PS_W_JOIN)) {
            if (!ps_sql_accept(p, PS_W_ORDER))
                ps_sql_expect(p, PS_W_GROUP);
            ps_sql_expect(p, PS_W_BY);
        }
        ps_sql_expect_punct(p, '(');
        while (!ps_sql_at_end(p) && !ps_sql_at_punct(p, ')')) {
            ps_sql_label_of(p, ps_sql_take(p)); /* PRIMARY too */
            if (!ps_sql_accept_punct(p, ','))
                break;
        }
        ps_sql_expect_punct(p, ')');
        ps_sql_accept_punct(p, ',');
    }
}

/* Inner joins, whose ON may be missing; the others are the common ones. */
bool
ps_sql_my_join_word(struct ps_sql_parser *p, struct ps_sql_join *join)
{
    if (!ps_sql_accept2(p, PS_W_INNER, PS_W_JOIN) &&
        !ps_sql_accept2(p, PS_W_CROSS, PS_W_JOIN) &&
        !ps_sql_accept(p, PS_W_STRAIGHT_JOIN) && !ps_sql_accept(p, PS_W_JOIN))
        return false;
    join->kind = PS_JOIN_INNER;
    join->free_on = true;
    return true;
}

bool
ps_sql_my_from_item(struct ps_sql_parser *p)
{
    const struct ps_sql_token *at = ps_sql_peek(p);

    if (ps_sql_accept(p, PS_W_DUAL))
        return true;
    if (at->word != PS_W_JSON_TABLE ||
        !ps_sql_punct_is(ps_sql_peek_at(p, 1), '('))
        return false;
    ps_sql_fail_reason(p, PS_SQL_REASON_TABLE_FUNCTION, at);
    return true;
}
