/*
 * PostgreSQL's lexer, after src/backend/parser/scan.l of 12 to 17.
 *
 * Finer points kept: comments nest; `--` and a slash star end an operator; an
 * operator of several characters ends in + or - only if it holds one of
 * ~ ! @ # % ^ & | ` ?; string segments on separate lines are one literal in
 * the mode of the first; $tag$ may not follow an identifier's character;
 * `1..2` is a number and two dots. An identifier is folded in ASCII only, as
 * the server does with every multi-byte encoding (UTF-8 among them).
 */
#include "agent/sql/pg.h"

enum {
    MAX_OPERATOR = 256
};

static unsigned char
byte_at(const struct ps_sql_lexer *lex, size_t pos)
{
    return pos < lex->len ? (unsigned char)lex->text[pos] : 0;
}

static void
lex_line_comment(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    token->kind = PS_TOK_COMMENT;
    while (lex->pos < lex->len && lex->text[lex->pos] != '\n' &&
           lex->text[lex->pos] != '\r')
        lex->pos++;
}

static void
lex_block_comment(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    bool hint = byte_at(lex, lex->pos + 2) == '+';
    size_t depth = 1, pos = lex->pos + 2;

    while (pos < lex->len && depth > 0) {
        if (lex->text[pos] == '/' && byte_at(lex, pos + 1) == '*') {
            depth++;
            pos += 2;
        } else if (lex->text[pos] == '*' && byte_at(lex, pos + 1) == '/') {
            depth--;
            pos += 2;
        } else {
            pos++;
        }
    }
    lex->pos = pos;
    token->kind = depth ? PS_TOK_BAD : hint ? PS_TOK_HINT : PS_TOK_COMMENT;
    token->ch = '*';
}

/* Behind a closing quote: where the next segment of the same literal opens
 * (its quote), or 0. Only space with a newline in it, and `--` comments,
 * may lie between. */
static size_t
next_segment(const struct ps_sql_lexer *lex, size_t pos)
{
    bool newline = false;
    while (pos < lex->len) {
        unsigned char c = (unsigned char)lex->text[pos];
        if (ps_sql_is(c, PS_CH_SPACE)) {
            newline = newline || c == '\n' || c == '\r';
            pos++;
        } else if (c == '-' && byte_at(lex, pos + 1) == '-') {
            while (pos < lex->len && lex->text[pos] != '\n' &&
                   lex->text[pos] != '\r')
                pos++;
        } else {
            return c == '\'' && newline ? pos : 0;
        }
    }
    return 0;
}

/* pos is at the opening quote. False: no end. */
static bool
skip_quoted(struct ps_sql_lexer *lex, size_t pos, bool backslash)
{
    pos++;
    for (;;) {
        while (pos < lex->len && lex->text[pos] != '\'')
            pos += backslash && lex->text[pos] == '\\' ? 2 : 1;
        if (pos >= lex->len) {
            lex->pos = lex->len;
            return false;
        }
        pos++;
        if (byte_at(lex, pos) == '\'') {
            pos++;
            continue;
        }
        size_t segment = next_segment(lex, pos);
        if (!segment)
            break;
        pos = segment + 1;
    }
    lex->pos = pos;
    return true;
}

static void
lex_string(struct ps_sql_lexer *lex, struct ps_sql_token *token, size_t prefix,
           unsigned char mode)
{
    bool backslash =
        mode == 'e' || (mode != 'u' && mode != 'b' &&
                        (lex->modes & PS_SQL_NONSTANDARD_STRINGS) != 0);
    token->ch = mode;
    token->kind = mode == 'b' ? PS_TOK_BITS : PS_TOK_STRING;
    if (!skip_quoted(lex, lex->pos + prefix, backslash))
        token->kind = PS_TOK_BAD;
}

static void
lex_quoted_name(struct ps_sql_lexer *lex, struct ps_sql_token *token,
                size_t prefix)
{
    size_t pos = lex->pos + prefix + 1;
    token->kind = PS_TOK_QUOTED;
    token->ch = prefix ? 'u' : '"';
    for (;;) {
        const char *quote = pos < lex->len
                                ? memchr(lex->text + pos, '"', lex->len - pos)
                                : NULL;
        if (!quote) {
            token->kind = PS_TOK_BAD;
            lex->pos = lex->len;
            return;
        }
        pos = (size_t)(quote - lex->text) + 1;
        if (byte_at(lex, pos) != '"')
            break;
        pos++;
    }
    lex->pos = pos;
}

/* $1, $tag$...$tag$, or a lone dollar. */
static void
lex_dollar(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    size_t start = lex->pos, pos = start + 1;

    if (ps_sql_is(byte_at(lex, pos), PS_CH_DIGIT)) {
        while (ps_sql_is(byte_at(lex, pos), PS_CH_DIGIT))
            pos++;
        token->kind = PS_TOK_PARAM;
        while (ps_sql_is(byte_at(lex, pos), PS_CH_LETTER | PS_CH_DIGIT)) {
            token->kind = PS_TOK_BAD;
            pos++;
        }
        lex->pos = pos;
        return;
    }
    if (ps_sql_is(byte_at(lex, pos), PS_CH_LETTER))
        while (ps_sql_is(byte_at(lex, pos), PS_CH_LETTER | PS_CH_DIGIT))
            pos++;
    if (byte_at(lex, pos) != '$') {
        token->kind = PS_TOK_JUNK;
        lex->pos = start + 1;
        return;
    }
    size_t tag = ++pos - start;
    const char *end = ps_sql_lex_find(lex, pos, lex->text + start, tag);
    token->ch = '$';
    token->kind = end ? PS_TOK_STRING : PS_TOK_BAD;
    lex->pos = end ? (size_t)(end - lex->text) + tag : lex->len;
}

static void
skip_digits(const struct ps_sql_lexer *lex, size_t *pos, bool hex)
{
    for (;; (*pos)++) {
        unsigned char c = byte_at(lex, *pos);
        bool ok = ps_sql_is(c, PS_CH_DIGIT) || c == '_' ||
                  (hex && ps_sql_lower(c) >= 'a' && ps_sql_lower(c) <= 'f');
        if (!ok)
            return;
    }
}

/* Decimal, 0x/0o/0b and digits separated by _ (16 and later; older servers
 * refuse what follows the 0, so nothing is misread). */
static void
lex_number(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    size_t pos = lex->pos;
    unsigned char second = ps_sql_lower(byte_at(lex, pos + 1));

    token->kind = PS_TOK_NUMBER;
    if (lex->text[pos] == '0' &&
        (second == 'x' || second == 'o' || second == 'b')) {
        pos += 2;
        skip_digits(lex, &pos, second == 'x');
    } else {
        skip_digits(lex, &pos, false);
        if (byte_at(lex, pos) == '.' && byte_at(lex, pos + 1) != '.') {
            pos++;
            skip_digits(lex, &pos, false);
        }
        if (ps_sql_lower(byte_at(lex, pos)) == 'e') {
            size_t exp = pos + 1;
            if (byte_at(lex, exp) == '+' || byte_at(lex, exp) == '-')
                exp++;
            if (ps_sql_is(byte_at(lex, exp), PS_CH_DIGIT)) {
                pos = exp;
                skip_digits(lex, &pos, false);
            }
        }
    }
    while (ps_sql_is(byte_at(lex, pos), PS_CH_LETTER | PS_CH_DIGIT)) {
        token->kind = PS_TOK_BAD; /* 1abc: an alias before 15, an error now */
        pos++;
    }
    lex->pos = pos;
}

static void
lex_operator(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    size_t start = lex->pos, pos = start;
    bool free_end = false; /* may end in + or - */

    token->kind = PS_TOK_OP;
    for (; ps_sql_is(byte_at(lex, pos), PS_CH_PG_OP); pos++) {
        if (pos - start == MAX_OPERATOR) {
            /* Beyond what the server takes, unless all are signs. */
            token->kind = PS_TOK_BAD;
            lex->pos = pos;
            return;
        }
        unsigned char c = (unsigned char)lex->text[pos];
        unsigned char next = byte_at(lex, pos + 1);
        if ((c == '-' && next == '-') || (c == '/' && next == '*'))
            break;
        free_end = free_end || memchr("~!@#%^&|`?", c, 10);
    }
    while (!free_end && pos > start + 1 &&
           (lex->text[pos - 1] == '+' || lex->text[pos - 1] == '-'))
        pos--;
    lex->pos = pos;
    token->ch = pos == start + 1 ? (unsigned char)lex->text[start] : 0;
}

static void
lex_punct(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    unsigned char c = (unsigned char)lex->text[lex->pos];
    unsigned char next = byte_at(lex, lex->pos + 1);

    token->kind = PS_TOK_PUNCT;
    token->ch = c;
    lex->pos++;
    if (c == ':' && (next == ':' || next == '=')) {
        token->ch = next == ':' ? PS_TOK_CAST : PS_TOK_ASSIGN;
        lex->pos++;
    } else if (!memchr("()[],;.:", c, 8)) {
        token->kind = PS_TOK_JUNK;
    }
}

/* A letter: a prefixed literal, or a word. */
static void
lex_letter(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    unsigned char c = ps_sql_lower((unsigned char)lex->text[lex->pos]);
    unsigned char next = byte_at(lex, lex->pos + 1);

    if (next == '\'' && (c == 'e' || c == 'n')) {
        lex_string(lex, token, 1, c);
    } else if (next == '\'' && (c == 'b' || c == 'x')) {
        lex_string(lex, token, 1, 'b');
    } else if (c == 'u' && next == '&' && byte_at(lex, lex->pos + 2) == '\'') {
        lex_string(lex, token, 2, 'u');
    } else if (c == 'u' && next == '&' && byte_at(lex, lex->pos + 2) == '"') {
        lex_quoted_name(lex, token, 2);
    } else {
        ps_sql_lex_word(lex, token);
    }
}

void
ps_sql_pg_next(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    unsigned char c = (unsigned char)lex->text[lex->pos];
    unsigned char next = byte_at(lex, lex->pos + 1);

    if (ps_sql_is(c, PS_CH_LETTER))
        lex_letter(lex, token);
    else if (ps_sql_is(c, PS_CH_SPACE))
        ps_sql_lex_space(lex, token);
    else if (ps_sql_is(c, PS_CH_DIGIT) ||
             (c == '.' && ps_sql_is(next, PS_CH_DIGIT)))
        lex_number(lex, token);
    else if (c == '\'')
        lex_string(lex, token, 0, '\'');
    else if (c == '"')
        lex_quoted_name(lex, token, 0);
    else if (c == '$')
        lex_dollar(lex, token);
    else if (c == '-' && next == '-')
        lex_line_comment(lex, token);
    else if (c == '/' && next == '*')
        lex_block_comment(lex, token);
    else if (ps_sql_is(c, PS_CH_PG_OP))
        lex_operator(lex, token);
    else
        lex_punct(lex, token);
}
