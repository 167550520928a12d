/*
 * The lexer of MySQL 5.7-8 and MariaDB 10-11, after sql/sql_lex.cc.
 *
 * Finer points kept: `--` begins a comment only before a space, a control
 * character or the end; an identifier may begin with a digit, and behind a dot
 * everything is one; 0x and 0b need a small letter; a run of < > = ! is one
 * operator or nothing; adjacent strings are one literal.
 *
 * An executable comment (slash star bang) is not a comment: what opens it and
 * what closes it are HINT tokens, and between them stand ordinary ones, as the
 * server reads them when it executes it. my_comment.c judges what that means.
 *
 * Bytes are read as UTF-8 or a superset of ASCII, which the canonical session
 * guarantees (in GBK a backslash may be half a character).
 */
#include "agent/sql/my.h"

/* What comes before a token, without space between. */
enum {
    AFTER_OTHER,
    AFTER_NAME,
    AFTER_DOT /* behind a name */
};

static unsigned char
byte_at(const struct ps_sql_lexer *lex, size_t pos)
{
    return pos < lex->len ? (unsigned char)lex->text[pos] : 0;
}

static bool
is_name_byte(unsigned char c)
{
    return ps_sql_is(c, PS_CH_LETTER | PS_CH_DIGIT) || c == '$';
}

static void
lex_line_comment(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    const char *from = lex->text + lex->pos;
    const char *end = memchr(from, '\n', lex->len - lex->pos);
    size_t len = end ? (size_t)(end - from) : lex->len - lex->pos;
    const char *nul = memchr(from, '\0', len);

    if (nul)
        end = nul; /* the server stops here too */
    token->kind = PS_TOK_COMMENT;
    lex->pos = end ? (size_t)(end - lex->text) : lex->len;
}

/* What opens an executable comment: slash star, M for MariaDB alone, bang,
 * and a version of five or six digits. */
static bool
lex_executable(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    size_t pos = lex->pos + 2, digits = 0;

    if (byte_at(lex, pos) == 'M')
        pos++;
    if (byte_at(lex, pos) != '!')
        return false;
    pos++;
    while (digits < 6 && ps_sql_is(byte_at(lex, pos + digits), PS_CH_DIGIT))
        digits++;
    lex->pos = pos + (digits >= 5 ? digits : 0);
    token->kind = PS_TOK_HINT;
    token->ch = MY_HINT_OPEN;
    return true;
}

static void
lex_block_comment(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    if (lex_executable(lex, token))
        return;
    bool hint = byte_at(lex, lex->pos + 2) == '+';
    size_t from = PS_MIN(lex->pos + 2, lex->len);
    const char *end = ps_sql_lex_find(lex, from, "*/", 2);

    lex->pos = end ? (size_t)(end - lex->text) + 2 : lex->len;
    token->kind = !end ? PS_TOK_BAD : hint ? PS_TOK_HINT : PS_TOK_COMMENT;
    token->ch = hint ? MY_HINT_OPTIMIZER : '*';
}

/* pos is at the opening quote; behind the closing one, or 0: no end. */
static size_t
skip_quoted(const struct ps_sql_lexer *lex, size_t pos, bool backslash)
{
    char quote = lex->text[pos++];
    while (pos < lex->len) {
        if (lex->text[pos] == '\\' && backslash)
            pos += 2;
        else if (lex->text[pos] != quote)
            pos++;
        else if (byte_at(lex, pos + 1) == (unsigned char)quote)
            pos += 2;
        else
            return pos + 1;
    }
    return 0;
}

static bool
opens_string(const struct ps_sql_lexer *lex, unsigned char c)
{
    return c == '\'' || (c == '"' && !(lex->modes & PS_SQL_ANSI_QUOTES));
}

/* A string and those that follow it with nothing but space between. */
static void
lex_string(struct ps_sql_lexer *lex, struct ps_sql_token *token, size_t prefix)
{
    bool backslash = !(lex->modes & PS_SQL_NO_BACKSLASH_ESCAPES);
    size_t pos = lex->pos + prefix;

    token->kind = PS_TOK_STRING;
    token->ch = prefix ? 'n' : (unsigned char)lex->text[pos];
    for (;;) {
        size_t end = skip_quoted(lex, pos, backslash);
        if (end == 0) {
            token->kind = PS_TOK_BAD;
            lex->pos = lex->len;
            return;
        }
        lex->pos = pos = end;
        while (ps_sql_is(byte_at(lex, pos), PS_CH_SPACE))
            pos++;
        if (!opens_string(lex, byte_at(lex, pos)))
            return;
    }
}

static void
lex_quoted_name(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    size_t end = skip_quoted(lex, lex->pos, false);
    token->kind = end ? PS_TOK_QUOTED : PS_TOK_BAD;
    token->ch = (unsigned char)lex->text[lex->pos];
    lex->pos = end ? end : lex->len;
}

/* x'0f', b'01': an even number of hex digits, or bits. */
static void
lex_bits(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    bool hex = ps_sql_lower((unsigned char)lex->text[lex->pos]) == 'x';
    size_t pos = lex->pos + 2, start = pos;

    for (;; pos++) {
        unsigned char c = ps_sql_lower(byte_at(lex, pos));
        if (!(hex ? ps_sql_is(c, PS_CH_DIGIT) || (c >= 'a' && c <= 'f')
                  : c == '0' || c == '1'))
            break;
    }
    bool good = byte_at(lex, pos) == '\'' && !(hex && (pos - start) % 2);
    token->kind = good ? PS_TOK_BITS : PS_TOK_BAD;
    lex->pos = PS_MIN(pos + 1, lex->len);
}

/* 0x0f, 0b01. False: no such number stands here. */
static bool
lex_prefixed_number(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    unsigned char second = byte_at(lex, lex->pos + 1);
    size_t pos = lex->pos + 2;

    if (lex->text[lex->pos] != '0' || (second != 'x' && second != 'b'))
        return false;
    for (;; pos++) {
        unsigned char c = ps_sql_lower(byte_at(lex, pos));
        if (!(second == 'x'
                  ? ps_sql_is(c, PS_CH_DIGIT) || (c >= 'a' && c <= 'f')
                  : c == '0' || c == '1'))
            break;
    }
    if (pos == lex->pos + 2 || is_name_byte(byte_at(lex, pos)))
        return false;
    token->kind = PS_TOK_BITS;
    lex->pos = pos;
    return true;
}

static size_t
skip_digits(const struct ps_sql_lexer *lex, size_t pos)
{
    while (ps_sql_is(byte_at(lex, pos), PS_CH_DIGIT))
        pos++;
    return pos;
}

/* Behind the digits before a dot: .5, .5e3; malformed exponents are. */
static void
lex_fraction(struct ps_sql_lexer *lex, struct ps_sql_token *token, size_t pos)
{
    pos = skip_digits(lex, pos + 1);
    token->kind = PS_TOK_NUMBER;
    if (ps_sql_lower(byte_at(lex, pos)) == 'e') {
        pos++;
        if (byte_at(lex, pos) == '+' || byte_at(lex, pos) == '-')
            pos++;
        if (!ps_sql_is(byte_at(lex, pos), PS_CH_DIGIT))
            token->kind = PS_TOK_BAD;
        pos = skip_digits(lex, pos);
    }
    lex->pos = pos;
}

/* A name. Behind a dot that directly follows a name everything is one, digits
 * too. None has more than 64 characters. */
static void
lex_name(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    ps_sql_lex_word(lex, token);
    if (lex->pos - token->offset > 4 * 64)
        token->kind = PS_TOK_BAD;
    lex->after = AFTER_NAME;
}

/* A digit: a number, or a name that begins with one. */
static void
lex_digit(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    if (lex_prefixed_number(lex, token))
        return;
    size_t pos = skip_digits(lex, lex->pos);
    unsigned char c = byte_at(lex, pos);
    if (c == '.') {
        lex_fraction(lex, token, pos);
        return;
    }
    if (!is_name_byte(c)) {
        token->kind = PS_TOK_NUMBER;
        lex->pos = pos;
        return;
    }
    if (ps_sql_lower(c) == 'e') {
        size_t exp = pos + 1;
        if (byte_at(lex, exp) == '+' || byte_at(lex, exp) == '-')
            exp++;
        if (ps_sql_is(byte_at(lex, exp), PS_CH_DIGIT)) {
            token->kind = PS_TOK_NUMBER;
            lex->pos = skip_digits(lex, exp);
            return;
        }
    }
    lex_name(lex, token);
}

/* The longest run of < > = ! that the server takes together. */
static void
lex_comparison(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    const char *at = lex->text + lex->pos;
    size_t n = 1, max = *at == '<' ? 3 : 2;

    while (n < max && byte_at(lex, lex->pos + n) &&
           strchr(n == 2 ? "=>!" : "<>=!", at[n]))
        n++;
    struct ps_str run = {.ptr = at, .len = n};
    bool known = n == 1 || ps_sql_my_operator(run);
    token->kind = known ? PS_TOK_OP : PS_TOK_JUNK;
    token->ch = n == 1 ? (unsigned char)*at : 0;
    lex->pos += n;
}

static void
lex_operator(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    unsigned char c = (unsigned char)lex->text[lex->pos];
    unsigned char next = byte_at(lex, lex->pos + 1);
    size_t n = 1;

    if ((c == '&' || c == '|') && next == c)
        n = 2;
    else if (c == '-' && next == '>')
        n = byte_at(lex, lex->pos + 2) == '>' ? 3 : 2;
    token->kind = PS_TOK_OP;
    token->ch = n == 1 ? c : 0;
    lex->pos += n;
}

/* @name, @`name`, @@name, @@global.name; a lone @ before a string. */
static void
lex_variable(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    bool system = byte_at(lex, lex->pos + 1) == '@';
    size_t pos = lex->pos + 1 + system;

    token->kind = PS_TOK_PUNCT;
    token->ch = '@';
    for (;;) {
        if (byte_at(lex, pos) == '`') {
            size_t end = skip_quoted(lex, pos, false);
            if (!end)
                token->kind = PS_TOK_BAD;
            pos = end ? end : lex->len;
        } else {
            while (is_name_byte(byte_at(lex, pos)))
                pos++;
        }
        unsigned char next = byte_at(lex, pos + 1);
        if (byte_at(lex, pos) != '.' || !(next == '`' || is_name_byte(next)))
            break;
        pos++;
    }
    lex->pos = pos;
}

static void
lex_punct(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    unsigned char c = (unsigned char)lex->text[lex->pos];
    unsigned char next = byte_at(lex, lex->pos + 1);

    token->kind = PS_TOK_PUNCT;
    token->ch = c;
    lex->pos++;
    if (c == ':' && next == '=') {
        token->ch = PS_TOK_ASSIGN;
        lex->pos++;
    } else if (c == ':' && ps_sql_is(next, PS_CH_LETTER)) {
        struct ps_sql_token name = {0};
        ps_sql_lex_word(lex, &name);
        token->kind = PS_TOK_PARAM;
    } else if (c == '?') {
        token->kind = PS_TOK_PARAM;
    } else if (!memchr("(),;.:", c, 6)) {
        token->kind = PS_TOK_JUNK;
    }
}

static void
lex_letter(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    unsigned char c = ps_sql_lower((unsigned char)lex->text[lex->pos]);
    bool quote = byte_at(lex, lex->pos + 1) == '\'';

    if (quote && c == 'n')
        lex_string(lex, token, 1);
    else if (quote && (c == 'x' || c == 'b'))
        lex_bits(lex, token);
    else
        lex_name(lex, token);
}

static void
lex_dot(struct ps_sql_lexer *lex, struct ps_sql_token *token, unsigned after)
{
    if (after != AFTER_NAME &&
        ps_sql_is(byte_at(lex, lex->pos + 1), PS_CH_DIGIT)) {
        lex_fraction(lex, token, lex->pos);
        return;
    }
    token->kind = PS_TOK_PUNCT;
    token->ch = '.';
    lex->pos++;
    lex->after = after == AFTER_NAME ? AFTER_DOT : AFTER_OTHER;
}

static bool
begins_line_comment(const struct ps_sql_lexer *lex)
{
    size_t third = lex->pos + 2;
    return lex->text[lex->pos] == '#' ||
           (lex->text[lex->pos] == '-' && byte_at(lex, lex->pos + 1) == '-' &&
            (third >= lex->len || byte_at(lex, third) <= ' ' ||
             byte_at(lex, third) == 0x7f));
}

void
ps_sql_my_next(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    unsigned char c = (unsigned char)lex->text[lex->pos];
    unsigned char next = byte_at(lex, lex->pos + 1);
    unsigned after = lex->after;

    lex->after = AFTER_OTHER;
    if (is_name_byte(c) && after == AFTER_DOT)
        lex_name(lex, token);
    else if (ps_sql_is(c, PS_CH_LETTER) || c == '$')
        lex_letter(lex, token);
    else if (ps_sql_is(c, PS_CH_SPACE))
        ps_sql_lex_space(lex, token);
    else if (ps_sql_is(c, PS_CH_DIGIT))
        lex_digit(lex, token);
    else if (c == '.')
        lex_dot(lex, token, after);
    else if (opens_string(lex, c))
        lex_string(lex, token, 0);
    else if (c == '`' || c == '"')
        lex_quoted_name(lex, token);
    else if (c == '@')
        lex_variable(lex, token);
    else if (begins_line_comment(lex))
        lex_line_comment(lex, token);
    else if (c == '/' && next == '*')
        lex_block_comment(lex, token);
    else if (c == '*' && next == '/') {
        token->kind = PS_TOK_HINT;
        token->ch = MY_HINT_CLOSE;
        lex->pos += 2;
    } else if (memchr("<>=!", c, 4))
        lex_comparison(lex, token);
    else if (memchr("+-*/%&|^~", c, 9))
        lex_operator(lex, token);
    else
        lex_punct(lex, token);
}
