/*
 * T-SQL's lexer, after "Transact-SQL syntax conventions", "Database
 * identifiers", "Constants" and "Comments" of Microsoft's documentation, for
 * sessions with QUOTED_IDENTIFIER on (the canonical one, and the default of
 * every driver): "x" is an identifier. With it off the same bytes are the same
 * tokens, of another kind.
 *
 * There is no server to try things on, so what is not written down is not
 * guessed: where two readings are possible the token is BAD or JUNK and the
 * statement is not understood. So with
 *   - a number that runs into letters (1FROM is `1 FROM` there, 1e5 a float),
 *   - a `--` comment with a line break other than \n or \r\n in it,
 *   - characters beyond ASCII that are no letters of a well-known script (some
 *     are spaces, digits or letters to one program and not to another).
 * GO is no SQL: clients split at it; here it is an ordinary name.
 */
#include "agent/sql/ts.h"

static unsigned char
byte_at(const struct ps_sql_lexer *lex, size_t pos)
{
    return pos < lex->len ? (unsigned char)lex->text[pos] : 0;
}

/* ---- words ---- */

/* Length of the letter beyond ASCII at pos, 0 when it is none that all
 * versions of the server surely take for one. */
static size_t
foreign_letter(const struct ps_sql_lexer *lex, size_t pos)
{
    static const struct {
        uint32_t from, to;
    } letters[] = {
        {0x00c0, 0x00d6},
        {0x00d8, 0x00f6},
        {0x00f8, 0x012f},
        {0x0132, 0x017e}, /* without dotless i and long s */
        {0x0388, 0x038a},
        {0x038e, 0x03a1},
        {0x03a3, 0x03ce},
        {0x0400, 0x0481},
        {0x3041, 0x3096},
        {0x30a1, 0x30fa},
        {0x4e00, 0x9fa5},
        {0xac00, 0xd7a3},
    };
    unsigned char c = byte_at(lex, pos);
    size_t n = c >= 0xc3 && c < 0xe0 ? 2 : c >= 0xe3 && c < 0xf0 ? 3 : 0;
    uint32_t code = n == 2 ? c & 0x1fu : c & 0x0fu;

    for (size_t i = 1; i < n; i++) {
        unsigned char next = byte_at(lex, pos + i);
        if ((next & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (next & 0x3fu);
    }
    for (size_t i = 0; n && i < PS_ARRAY_LEN(letters); i++)
        if (code >= letters[i].from && code <= letters[i].to)
            return n;
    return 0;
}

static bool
is_ascii_letter(unsigned char c)
{
    return (unsigned char)(ps_sql_lower(c) - 'a') < 26 || c == '_';
}

/* Length of what may go on an identifier at pos, 0: nothing. */
static size_t
word_char(const struct ps_sql_lexer *lex, size_t pos)
{
    unsigned char c = byte_at(lex, pos);
    if (is_ascii_letter(c) || ps_sql_is(c, PS_CH_DIGIT) || c == '@' ||
        c == '$' || c == '#')
        return 1;
    return c >= 0x80 ? foreign_letter(lex, pos) : 0;
}

static void
skip_word(struct ps_sql_lexer *lex)
{
    size_t n;
    while ((n = word_char(lex, lex->pos)) > 0)
        lex->pos += n;
}

static void
lex_word(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    size_t start = lex->pos;
    uint32_t hash = PS_SQL_HASH_START;

    skip_word(lex);
    for (size_t i = start; i < lex->pos; i++)
        hash =
            ps_sql_hash_step(hash, ps_sql_lower((unsigned char)lex->text[i]));
    token->kind = PS_TOK_WORD;
    token->info = hash;
    token->word =
        (uint16_t)ps_sql_word_find(lex->text + start, lex->pos - start, hash);
}

/* @name is a variable or parameter, @@name a system function. */
static void
lex_at(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    if (byte_at(lex, lex->pos + 1) == '@') {
        lex_word(lex, token);
        return;
    }
    skip_word(lex);
    token->kind = PS_TOK_PARAM;
}

/* ---- comments ---- */

static bool
is_odd_line_break(const struct ps_sql_lexer *lex, size_t pos)
{
    unsigned char c = (unsigned char)lex->text[pos];
    unsigned char next = byte_at(lex, pos + 1);
    unsigned char third = byte_at(lex, pos + 2);

    if (c == '\r')
        return next != '\n';
    if (c == 0xc2)
        return next == 0x85;
    if (c == 0xe2)
        return next == 0x80 && (third == 0xa8 || third == 0xa9);
    return c == '\v' || c == '\f' || c == 0;
}

static void
lex_line_comment(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    token->kind = PS_TOK_COMMENT;
    while (lex->pos < lex->len && lex->text[lex->pos] != '\n') {
        if (is_odd_line_break(lex, lex->pos))
            token->kind = PS_TOK_BAD;
        lex->pos++;
    }
}

static void
lex_block_comment(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
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
    token->kind = depth ? PS_TOK_BAD : PS_TOK_COMMENT;
    token->ch = '*';
}

/* ---- literals and quoted names ---- */

/* Up to the quote `close`, which stands for itself when it is doubled. */
static void
lex_delimited(struct ps_sql_lexer *lex, struct ps_sql_token *token,
              size_t prefix, char close)
{
    size_t pos = lex->pos + prefix + 1;

    token->kind = close == '\'' ? PS_TOK_STRING : PS_TOK_QUOTED;
    token->ch = prefix ? 'n' : (unsigned char)lex->text[lex->pos];
    for (;;) {
        const char *end = pos < lex->len
                              ? memchr(lex->text + pos, close, lex->len - pos)
                              : NULL;
        if (!end) {
            token->kind = PS_TOK_BAD;
            lex->pos = lex->len;
            return;
        }
        pos = (size_t)(end - lex->text) + 1;
        if (pos >= lex->len || lex->text[pos] != close)
            break;
        pos++;
    }
    lex->pos = pos;
}

/* What runs into letters or more digits is not told from two tokens. */
static void
end_number(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    size_t before = lex->pos;
    skip_word(lex);
    if (lex->pos != before || byte_at(lex, lex->pos) >= 0x80)
        token->kind = PS_TOK_BAD;
}

static void
skip_digits(struct ps_sql_lexer *lex)
{
    while (ps_sql_is(byte_at(lex, lex->pos), PS_CH_DIGIT))
        lex->pos++;
}

/* 12, 12.5, .5, 12., 1.5e-3 */
static void
lex_number(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    token->kind = PS_TOK_NUMBER;
    skip_digits(lex);
    if (byte_at(lex, lex->pos) == '.') {
        lex->pos++;
        skip_digits(lex);
    }
    if (ps_sql_lower(byte_at(lex, lex->pos)) == 'e') {
        size_t exp = lex->pos + 1;
        if (byte_at(lex, exp) == '+' || byte_at(lex, exp) == '-')
            exp++;
        if (ps_sql_is(byte_at(lex, exp), PS_CH_DIGIT)) {
            lex->pos = exp;
            skip_digits(lex);
        }
    }
    end_number(lex, token);
}

/* 0x and hexadecimal digits; a backslash at a line's end goes on. */
static void
lex_binary(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    token->kind = PS_TOK_BITS;
    lex->pos += 2;
    for (;;) {
        unsigned char c = byte_at(lex, lex->pos);
        unsigned char folded = ps_sql_lower(c);
        if (ps_sql_is(c, PS_CH_DIGIT) || (folded >= 'a' && folded <= 'f'))
            lex->pos++;
        else if (c == '\\' && byte_at(lex, lex->pos + 1) == '\n')
            lex->pos += 2;
        else if (c == '\\' && byte_at(lex, lex->pos + 1) == '\r' &&
                 byte_at(lex, lex->pos + 2) == '\n')
            lex->pos += 3;
        else
            break;
    }
    end_number(lex, token);
}

/* $action and its kin are words, of which there are few; $12.5 is money, whose
 * value is not looked at. */
static void
lex_dollar(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    size_t start = lex->pos;
    if (is_ascii_letter(byte_at(lex, start + 1))) {
        lex_word(lex, token);
        struct ps_str word = {.ptr = lex->text + start,
                              .len = lex->pos - start};
        if (!ps_sql_ts_on_list(word, " $action $identity $rowguid $partition "
                                     "$node_id $edge_id $from_id $to_id "))
            token->kind = PS_TOK_BAD; /* $ is money, too */
        return;
    }
    lex->pos++;
    lex_number(lex, token);
    if (token->kind == PS_TOK_NUMBER)
        token->kind = PS_TOK_BITS;
}

/* ---- the rest ---- */

static void
lex_operator(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    unsigned char c = (unsigned char)lex->text[lex->pos];
    unsigned char next = byte_at(lex, lex->pos + 1);
    bool two = (next == '=' && memchr("<>!+-*/%&|^", c, 11)) ||
               (c == '<' && next == '>') ||
               (c == '!' && (next == '<' || next == '>')) ||
               (c == '|' && next == '|');

    token->kind = PS_TOK_OP;
    token->ch = two ? 0 : c;
    lex->pos += two ? 2 : 1;
}

static void
lex_punct(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    unsigned char c = (unsigned char)lex->text[lex->pos];

    token->kind = PS_TOK_PUNCT;
    token->ch = c;
    lex->pos++;
    if (c == ':' && byte_at(lex, lex->pos) == ':') {
        token->ch = PS_TOK_CAST;
        lex->pos++;
    } else if (!memchr("(),;.:", c, 6)) {
        token->kind = PS_TOK_JUNK;
    }
}

/* Space, and the control characters, which are space to the server too. */
static bool
is_space(unsigned char c)
{
    return c > 0 && c <= ' ';
}

static void
lex_space(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    token->kind = PS_TOK_SPACE;
    while (is_space(byte_at(lex, lex->pos)))
        lex->pos++;
}

/* A byte beyond ASCII: a word, or all the bytes up to the next ASCII one. */
static void
lex_foreign(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    if (foreign_letter(lex, lex->pos)) {
        lex_word(lex, token);
        return;
    }
    token->kind = PS_TOK_BAD;
    while (byte_at(lex, lex->pos) >= 0x80)
        lex->pos++;
    skip_word(lex);
}

void
ps_sql_ts_next(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    unsigned char c = (unsigned char)lex->text[lex->pos];
    unsigned char next = byte_at(lex, lex->pos + 1);

    if (ps_sql_lower(c) == 'n' && next == '\'')
        lex_delimited(lex, token, 1, '\'');
    else if (is_ascii_letter(c) || c == '#')
        lex_word(lex, token);
    else if (is_space(c))
        lex_space(lex, token);
    else if (c == '0' && ps_sql_lower(next) == 'x')
        lex_binary(lex, token);
    else if (ps_sql_is(c, PS_CH_DIGIT) ||
             (c == '.' && ps_sql_is(next, PS_CH_DIGIT)))
        lex_number(lex, token);
    else if (c == '\'' || c == '"')
        lex_delimited(lex, token, 0, (char)c);
    else if (c == '[')
        lex_delimited(lex, token, 0, ']');
    else if (c == '@')
        lex_at(lex, token);
    else if (c == '$')
        lex_dollar(lex, token);
    else if (c == '-' && next == '-')
        lex_line_comment(lex, token);
    else if (c == '/' && next == '*')
        lex_block_comment(lex, token);
    else if (c >= 0x80)
        lex_foreign(lex, token);
    else if (c && memchr("+-*/%&|^~=<>!?", c, 14))
        lex_operator(lex, token);
    else
        lex_punct(lex, token);
}
