/*
 * The analysis of a whole text: each statement through its dialect's hook, the
 * union of what they do, and the tables of names that others print.
 */
#include "agent/sql/parser.h"

const struct ps_sql_dialect *
ps_sql_dialect_find(enum ps_dialect id)
{
    switch (id) {
    case PS_DIALECT_POSTGRES:
        return &ps_sql_dialect_postgres;
    case PS_DIALECT_MYSQL:
        return &ps_sql_dialect_mysql;
    case PS_DIALECT_TSQL:
        return &ps_sql_dialect_tsql;
    default:
        return NULL;
    }
}

bool
ps_sql_text_is_clock(enum ps_dialect id, struct ps_str text)
{
    const struct ps_sql_dialect *dialect = ps_sql_dialect_find(id);
    return dialect && dialect->text_is_clock && dialect->text_is_clock(text);
}

/* Of several statements the most dangerous class counts. */
static int
danger(enum ps_sql_class cls)
{
    static const uint8_t of[PS_SQL_CLASS_COUNT] = {
        [PS_SQL_READ] = 0,   [PS_SQL_TRANSACTION] = 1, [PS_SQL_SESSION] = 2,
        [PS_SQL_WRITE] = 3,  [PS_SQL_CALL] = 4,        [PS_SQL_DDL] = 5,
        [PS_SQL_UNKNOWN] = 6};
    return of[cls];
}

static void
analyse_statement(struct ps_sql_parser *p)
{
    struct ps_sql_analysis *out = p->out;
    const struct ps_sql_token *first = ps_sql_peek(p);

    p->cls = PS_SQL_READ;
    p->writes = p->failed = false;
    p->depth = 0;
    p->n_ctes = 0;
    p->scope = NULL;
    p->ctes = NULL;
    out->n_statements++;
    p->dialect->statement(p);
    out->incomplete = out->incomplete || p->failed;
    if (p->cls != PS_SQL_READ) {
        out->may_write = true;
        /* "Not a read" says it all, unless it is not understood or a read on
         * its face. */
        bool by_function = out->reason == PS_SQL_REASON_VOLATILE_FUNCTION &&
                           first->word == PS_W_SELECT;
        if (out->reason != PS_SQL_REASON_WRITES &&
            out->reason != PS_SQL_REASON_SELECT_INTO && !by_function &&
            !p->failed) {
            out->reason = PS_SQL_REASON_NOT_A_READ;
            out->reason_offset = first->offset;
            out->reason_len = first->len;
        }
    }
    if (danger(p->cls) > danger(out->cls))
        out->cls = p->cls;
    if (out->n_statements > 1 && out->reason != PS_SQL_REASON_MULTIPLE) {
        out->reason = PS_SQL_REASON_MULTIPLE;
        out->reason_offset = first->offset;
        out->reason_len = first->len;
    }
}

static bool
in_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (c >= '0' && c <= '9') || c == '@' || c == '$' || c == '.' ||
           (unsigned char)c >= 0x80;
}

/* On a list of words between spaces, whatever the case; what stands before
 * @@ or a dot (@@session.identity) does not count. */
static bool
on_list(struct ps_str word, const char *list)
{
    char needle[32];
    for (size_t i = word.len; i > 0; i--) {
        char c = word.ptr[i - 1];
        if (c == '.' || c == '@') {
            word.ptr += i;
            word.len -= i;
            break;
        }
    }
    if (word.len == 0 || word.len > sizeof(needle) - 2)
        return false;
    needle[0] = ' ';
    for (size_t i = 0; i < word.len; i++)
        needle[i + 1] = (char)ps_sql_lower((unsigned char)word.ptr[i]);
    needle[word.len + 1] = ' ';
    return memmem(list, strlen(list), needle, word.len + 2) != NULL;
}

/* Names of what a statement leaves for the next one to ask for. In a write a
 * column may be called so: that costs a reset, no more. */
static bool
asks_session(enum ps_dialect id, struct ps_str text)
{
    static const char *const lists[PS_DIALECT_COUNT] = {
        [PS_DIALECT_POSTGRES] = " lastval currval ",
        [PS_DIALECT_MYSQL] = " last_insert_id found_rows row_count identity "
                             "insert_id warning_count error_count lastval "
                             "previous ",
        [PS_DIALECT_TSQL] = " identity scope_identity rowcount rowcount_big "
                            "error "};
    bool shows = false, notes = false;
    for (size_t at = 0; at < text.len;) {
        struct ps_str word = {.ptr = text.ptr + at};
        while (at < text.len && in_word(text.ptr[at]))
            at++;
        word.len = (size_t)(text.ptr + at - word.ptr);
        at += word.len == 0;
        if (on_list(word, lists[id]))
            return true;
        if (id == PS_DIALECT_MYSQL) { /* SHOW WARNINGS, GET DIAGNOSTICS */
            shows = shows || on_list(word, " show get ");
            notes = notes || on_list(word, " warnings errors diagnostics ");
        }
    }
    return shows && notes;
}

/* A dialect without an analyser, or a text beyond all limits. */
static void
nothing_known(struct ps_sql_analysis *out, enum ps_sql_reason reason)
{
    out->cls = PS_SQL_UNKNOWN;
    out->reason = reason;
    out->n_statements = 1;
    out->writes_all = out->incomplete = true;
    out->touches_session = out->asks_session = out->may_write = true;
    out->changes_catalog = true;
}

static enum ps_rc
new_parser(const struct ps_sql_dialect *dialect, unsigned modes,
           struct ps_str text, struct ps_arena *arena, struct ps_sql_parser *p)
{
    struct ps_sql_tokens tokens;
    enum ps_rc rc = ps_sql_lex_all(dialect, modes, text, arena, &tokens);
    if (rc != PS_OK)
        return rc;
    *p = (struct ps_sql_parser){.dialect = dialect,
                                .modes = modes,
                                .text = text,
                                .arena = arena,
                                .tokens = tokens.at,
                                .n = tokens.n,
                                .end = tokens.n};
    return PS_OK;
}

static enum ps_rc
analyse_text(const struct ps_sql_dialect *dialect, unsigned modes,
             struct ps_str text, struct ps_arena *arena,
             struct ps_sql_analysis *out)
{
    struct ps_sql_parser p;
    enum ps_rc rc = new_parser(dialect, modes, text, arena, &p);
    if (rc != PS_OK)
        return rc;
    p.out = out;
    while (p.pos < p.n) {
        size_t before = p.pos;
        if (ps_sql_punct_is(&p.tokens[p.pos], ';')) {
            p.pos++;
            continue;
        }
        analyse_statement(&p);
        if (p.pos <= before)
            p.pos = before + 1;
    }
    out->relations = p.relations;
    out->n_relations = p.n_relations;
    out->functions = p.functions;
    out->n_functions = p.n_functions;
    if (out->n_statements == 0)
        out->reason = PS_SQL_REASON_EMPTY;
    return PS_OK;
}

enum ps_rc
ps_sql_analyse(enum ps_dialect id, unsigned modes, struct ps_str text,
               struct ps_arena *arena, struct ps_sql_analysis **out)
{
    const struct ps_sql_dialect *dialect = ps_sql_dialect_find(id);
    struct ps_sql_analysis *a = ps_arena_zalloc(arena, sizeof(*a));
    enum ps_rc rc = PS_OK;

    if (!a)
        return PS_NO_MEMORY;
    a->dialect = id;
    if (text.len > PS_SQL_MAX_BYTES) {
        nothing_known(a, PS_SQL_REASON_TOO_COMPLEX);
        *out = a;
        return PS_OK;
    }
    rc = ps_sql_template(id, modes, text, arena, &a->template_text,
                         &a->fingerprint);
    if (rc != PS_OK)
        return rc;
    if (dialect)
        rc = analyse_text(dialect, modes, text, arena, a);
    else
        nothing_known(a, PS_SQL_REASON_SYNTAX);
    if (rc != PS_OK)
        return rc;
    if (a->cls != PS_SQL_READ || a->reason != PS_SQL_REASON_NONE)
        a->asks_session = asks_session(id, a->template_text);
    if (ps_arena_failed(arena))
        return PS_NO_MEMORY;
    *out = a;
    return PS_OK;
}

enum ps_rc
ps_sql_split(enum ps_dialect id, unsigned modes, struct ps_str text,
             struct ps_arena *arena, struct ps_sql_span **spans, size_t *n)
{
    const struct ps_sql_dialect *dialect = ps_sql_dialect_find(id);
    struct ps_sql_analysis scratch = {.dialect = id};
    struct ps_sql_parser p;

    if (!dialect || text.len > PS_SQL_MAX_BYTES)
        return PS_BAD_FIELD;
    enum ps_rc rc = new_parser(dialect, modes, text, arena, &p);
    if (rc != PS_OK)
        return rc;
    struct ps_sql_span *list = ps_arena_alloc(arena, (p.n + 1) * sizeof(*list));
    if (!list)
        return PS_NO_MEMORY;
    p.out = &scratch;
    *n = 0;
    size_t offset = 0;
    while (p.pos < p.n) {
        size_t before = p.pos;
        if (ps_sql_punct_is(&p.tokens[p.pos], ';')) {
            p.pos++;
        } else {
            analyse_statement(&p);
            if (p.pos <= before)
                p.pos = before + 1;
        }
        size_t end = p.tokens[p.pos].offset;
        list[(*n)++] =
            (struct ps_sql_span){.offset = offset, .len = end - offset};
        offset = end;
    }
    *spans = list;
    return ps_arena_failed(arena) ? PS_NO_MEMORY : PS_OK;
}

const char *
ps_sql_class_text(enum ps_sql_class cls)
{
    static const char *const names[] = {
#define X(name, text) text,
        PS_SQL_CLASS_TABLE(X)
#undef X
    };
    return names[cls];
}

const char *
ps_sql_reason_code(enum ps_sql_reason reason)
{
    static const char *const codes[] = {
#define X(name, code, sentence) code,
        PS_SQL_REASON_TABLE(X)
#undef X
    };
    return codes[reason];
}

const char *
ps_sql_reason_sentence(enum ps_sql_reason reason)
{
    static const char *const sentences[] = {
#define X(name, code, sentence) sentence,
        PS_SQL_REASON_TABLE(X)
#undef X
    };
    return sentences[reason];
}
