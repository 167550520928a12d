/*
 * What a statement is: read or write, which relations and rows it depends on
 * or changes, whether its answer may be kept, and its template. The cache
 * dares exactly what this analysis proves; all else is refused with a reason.
 *
 *   bytes -> lexer(dialect) -> tokens -> template + fingerprint
 *                                     -> classify -> relations -> predicates
 *                                                        = ps_sql_analysis
 *
 * Pure: no I/O, no globals, any bytes accepted, recursion and sizes bounded.
 * Everything in an analysis lives in the arena it was made in or points into
 * the statement's own bytes, and is immutable.
 *
 * Safe by default: what is not understood makes a read uncacheable
 * (reason) and a non-read a write to the whole database (writes_all).
 */
#ifndef PS_AGENT_SQL_SQL_H
#define PS_AGENT_SQL_SQL_H

#include "common/arena.h"
#include "common/base.h"
#include "common/err.h"

enum ps_dialect {
    PS_DIALECT_POSTGRES,
    PS_DIALECT_MYSQL, /* and MariaDB */
    PS_DIALECT_TSQL,
    PS_DIALECT_COUNT
};

/* Modes of the session that change how text is read. 0: the canonical session
 * that Portside keeps on its connections. */
enum {
    PS_SQL_NO_BACKSLASH_ESCAPES = 1, /* MySQL */
    PS_SQL_ANSI_QUOTES = 2,          /* MySQL: "x" is an identifier */
    PS_SQL_NONSTANDARD_STRINGS = 4   /* PostgreSQL:
                                        standard_conforming_strings = off */
};

/* What the statement does. X(name, text) */
#define PS_SQL_CLASS_TABLE(X)     \
    X(READ, "read")               \
    X(WRITE, "write")             \
    X(DDL, "ddl")                 \
    X(TRANSACTION, "transaction") \
    X(SESSION, "session")         \
    X(CALL, "call")               \
    X(UNKNOWN, "unknown")

enum ps_sql_class {
#define X(name, text) PS_SQL_##name,
    PS_SQL_CLASS_TABLE(X)
#undef X
    PS_SQL_CLASS_COUNT
};

/*
 * Why an answer is not cacheable. X(name, code, sentence); the code appears
 * in Portside-Reason and `psctl explain`. Extend freely; codes are stable.
 */
#define PS_SQL_REASON_TABLE(X)                                              \
    X(NONE, "cacheable", "the answer may be kept")                          \
    X(EMPTY, "empty_statement", "there is no statement")                    \
    X(NOT_A_READ, "not_a_read", "the statement is not a read")              \
    X(MULTIPLE, "multiple_statements",                                      \
      "the text holds more than one statement")                             \
    X(VOLATILE_FUNCTION, "volatile_function",                               \
      "the value of this function changes from call to call")               \
    X(UNKNOWN_FUNCTION, "unknown_function",                                 \
      "this function is not on the list of immutable built-ins")            \
    X(TIME_CAST, "text_to_time",                                            \
      "text that is cast to a date or time may mean the clock")             \
    X(LOCKING, "locking_read", "the read locks rows")                       \
    X(DIRTY_READ, "dirty_read", "the read may see uncommitted data")        \
    X(WRITES, "writes_inside", "the statement changes data while it reads") \
    X(SELECT_INTO, "select_into", "the read writes its result somewhere")   \
    X(SESSION_STATE, "session_state", "the answer depends on the session")  \
    X(TEMPORARY_TABLE, "temporary_table",                                   \
      "temporary tables exist in one session only")                         \
    X(SYSTEM_CATALOG, "system_catalog",                                     \
      "system tables change without a visible write")                       \
    X(TABLE_FUNCTION, "table_function",                                     \
      "a function or external source stands where a table is expected")     \
    X(SAMPLED, "sampled", "the read takes a random sample")                 \
    X(SYNTAX, "not_understood",                                             \
      "this part of the statement is not understood")                       \
    X(TOO_COMPLEX, "too_complex", "the statement is too large or too deep") \
    X(BAD_TEXT, "bad_text", "the text ends inside a literal or comment")    \
    X(SERVER_COMMENT, "server_comment",                                     \
      "the comment is SQL to some servers and nothing to others")           \
    X(PAST_ROWS, "past_rows", "the read asks for rows of the past")

enum ps_sql_reason {
#define X(name, code, sentence) PS_SQL_REASON_##name,
    PS_SQL_REASON_TABLE(X)
#undef X
    PS_SQL_REASON_COUNT
};

/* How a relation is used; OR-ed. */
enum {
    PS_SQL_REL_READ = 1,
    PS_SQL_REL_WRITE = 2, /* rows inserted, changed, deleted */
    PS_SQL_REL_DDL = 4    /* created, altered, dropped, truncated */
};

/* A typed constant or a parameter of the statement. */
enum ps_sql_value_kind {
    PS_SQL_VALUE_NULL,
    PS_SQL_VALUE_BOOL,   /* boolean */
    PS_SQL_VALUE_INT,    /* integer, fits int64 */
    PS_SQL_VALUE_NUMBER, /* other number, text */
    PS_SQL_VALUE_STRING, /* text: decoded, quotes and escapes resolved */
    PS_SQL_VALUE_PARAM,  /* index: 0-based position or $n - 1; named
                            parameters: text is the name, index -1 */
};

struct ps_sql_value {
    enum ps_sql_value_kind kind;
    bool boolean;
    int64_t integer;
    int index;
    struct ps_str text;
    /* Of an explicit cast, e.g. "uuid", or absent; anything but plain
     * built-in names makes the value unknown instead. */
    struct ps_str cast;
};

/* A column of the relation is one of these values (NULL excluded for reads:
 * `c = NULL` selects nothing). Says nothing if the relation has no such column:
 * `FROM a, b WHERE c = 1` says it of a and b, as the text does not tell whose c
 * is. MySQL: a string (or what is bound as one) says
 * nothing of a column of numbers ('01' = 1), a number nothing of a column of
 * text; names of columns are folded to lower case. T-SQL: the same; and a
 * database whose collation tells case may have two columns that fold to one
 * name: of such a table the predicates say nothing. */
struct ps_sql_predicate {
    struct ps_str column; /* folded as the dialect folds it */
    const struct ps_sql_value *values;
    size_t n_values;
    /* Concluded through an equality with another column, whose type may be
     * a floating one: trust an integer only below 2^53 (of parameters the
     * text does not tell; check the value that is bound). */
    bool derived;
    /* MySQL: 0 and NULL say nothing. In an INSERT they draw the next number of
     * an AUTO_INCREMENT column; NULL that is bound in an UPDATE is 0 in a
     * column that is NOT NULL, unless sql_mode is strict. */
    bool draws;
};

struct ps_sql_relation {
    struct ps_str database; /* absent unless the text names it (three-part
                               names; MySQL's db.table puts db in schema) */
    struct ps_str schema;   /* absent when not qualified */
    struct ps_str name;     /* folded: PostgreSQL unquoted to lower case;
                               MySQL and T-SQL as written */
    unsigned use;           /* PS_SQL_REL_* */
    /*
     * READ: every row this scope can see of the relation satisfies all of
     * these (conjuncts; equality or small IN-list). Several scopes that read
     * the same relation are several entries of `relations`.
     * n_predicates == 0: any row.
     */
    const struct ps_sql_predicate *predicates;
    size_t n_predicates;
    /*
     * WRITE: for a column listed here, all rows that change are known to
     * have one of these values before (before) and after (after) the
     * statement. A column not listed may have had and may get any value.
     * INSERT: only after counts (insert_only). DELETE: only before
     * (delete_only).
     */
    const struct ps_sql_predicate *before;
    size_t n_before;
    const struct ps_sql_predicate *after;
    size_t n_after;
    /* UPDATE: the columns that are assigned, when all are known; a column
     * that is not assigned keeps its value. NULL with n 0 unless known. */
    const struct ps_str *assigned;
    size_t n_assigned;
    bool insert_only, delete_only, assigned_known;
    /* The row sets above are proven; false: treat as any row of the table. */
    bool rows_known;
};

/* A function the statement calls that is not a built-in known to be
 * immutable: the catalogue may know better. */
struct ps_sql_function {
    struct ps_str schema; /* absent when not qualified */
    struct ps_str name;   /* folded */
    size_t offset;
};

struct ps_sql_analysis {
    enum ps_dialect dialect;
    enum ps_sql_class cls;
    /* NONE: cacheable as far as the text tells. UNKNOWN_FUNCTION: cacheable if
     * the catalogue says that all of `functions` are immutable. */
    enum ps_sql_reason reason;
    size_t reason_offset; /* of the token that decided, in bytes */
    size_t reason_len;
    size_t n_statements; /* non-empty ones */
    /* Literals and parameters as `?`, IN-lists collapsed, plain comments and
     * extra white space dropped, hints kept. */
    struct ps_str template_text;
    uint64_t fingerprint; /* of template_text; stable across machines */
    const struct ps_sql_relation *relations;
    size_t n_relations;
    const struct ps_sql_function *functions;
    size_t n_functions;
    /* A part is not understood (whatever `reason` says, which names what came
     * first): what is listed may not be all. */
    bool incomplete;
    /* The write set is not known: everything in the database. With
     * n_functions > 0 it is not known either, unless the catalogue vouches
     * for all of `functions` (none of them volatile). */
    bool writes_all;
    /* It can leave something behind in the session (settings, temporary
     * tables, locks, prepared names, role, open transaction): the connection
     * must be reset before reuse. False only when proven. */
    bool touches_session;
    /* It asks for what earlier statements left behind (the last id, a row
     * count, warnings): another request's, unless the session is reset
     * first. */
    bool asks_session;
    /* It may have an effect that must not happen twice. False only for a
     * proven read without unknown functions: only these may be retried. */
    bool may_write;
    /* Structure of tables, views, functions or rights changes: the catalogue
     * must be read again and answers of the database dropped. */
    bool changes_catalog;
    /* Opens (BEGIN, START TRANSACTION, autocommit off) or ends one. */
    bool opens_transaction, ends_transaction;
};

/* Limits; beyond them the statement counts as not understood. */
enum {
    PS_SQL_MAX_BYTES = 16 << 20,
    PS_SQL_MAX_DEPTH = 200,
    PS_SQL_MAX_RELATIONS = 1024
};

/*
 * Analyses text (one request's SQL, perhaps several statements). Never fails
 * on input; PS_NO_MEMORY or PS_TOO_BIG when the arena is exhausted. For
 * several statements the result is the union: class of the most dangerous,
 * all relations, reason MULTIPLE.
 */
PS_MUST_USE enum ps_rc ps_sql_analyse(enum ps_dialect dialect, unsigned modes,
                                      struct ps_str text,
                                      struct ps_arena *arena,
                                      struct ps_sql_analysis **out);

/* Template and fingerprint only (the cheap first half of an analysis). */
PS_MUST_USE enum ps_rc ps_sql_template(enum ps_dialect dialect, unsigned modes,
                                       struct ps_str text,
                                       struct ps_arena *arena,
                                       struct ps_str *template_text,
                                       uint64_t *fingerprint);

/*
 * The bytes that identify the statement in a cache key: text without plain
 * comments (hazard 22), hints (slash star plus, slash star bang) and everything
 * else kept byte for byte; a removed comment leaves one space. Returns text
 * itself when nothing had to be removed (the usual case: one scan, no copy).
 * What cannot be lexed is returned as it is.
 */
PS_MUST_USE enum ps_rc ps_sql_key_text(enum ps_dialect dialect, unsigned modes,
                                       struct ps_str text,
                                       struct ps_arena *arena,
                                       struct ps_str *out);

/*
 * A string that is bound to a parameter may mean the clock when the server
 * reads it as a date or time ('now', 'today', ... in PostgreSQL), cast or
 * not. Literals in the text are looked at by the analysis; a caller that
 * wants to cache must refuse (reason TIME_CAST) when this is true for the
 * text of any binding.
 */
bool ps_sql_text_is_clock(enum ps_dialect dialect, struct ps_str text);

const char *ps_sql_class_text(enum ps_sql_class cls);
const char *ps_sql_reason_code(enum ps_sql_reason reason);
const char *ps_sql_reason_sentence(enum ps_sql_reason reason);

#endif
