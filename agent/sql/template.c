/*
 * Templates: the statement with `?` for each literal and parameter, lists of
 * them in IN (...) as one, comments dropped, one space between tokens, words
 * folded as the dialect folds names. A template's template is itself.
 *
 * No literal ever gets into a template, not even from text that cannot be
 * lexed: templates are logged and shown.
 */
#include "agent/sql/dialect.h"

/* ---- fingerprint ---- */

/* 64 bits by folded multiplication, 16 bytes a step; little-endian reads, so
 * that every machine has the same number for the same text. */
static uint64_t
mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t
read_le(const char *at, size_t n)
{
    uint64_t value = 0;
    if (n == 8) {
        memcpy(&value, at, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        value = __builtin_bswap64(value);
#endif
        return value;
    }
    for (size_t i = 0; i < n; i++)
        value |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return value;
}

static uint64_t
fingerprint_of(struct ps_str text)
{
    const uint64_t k0 = 0xa0761d6478bd642fu, k1 = 0xe7037ed1a0b428dbu,
                   k2 = 0x8ebc6af09c88c6e3u;
    uint64_t hash = k0;
    const char *at = text.ptr;
    size_t left = text.len;

    for (; left >= 16; left -= 16, at += 16)
        hash = mix(read_le(at, 8) ^ k1, read_le(at + 8, 8) ^ hash);
    size_t first = PS_MIN(left, (size_t)8);
    hash =
        mix(read_le(at, first) ^ k1, read_le(at + first, left - first) ^ hash);
    return mix(hash ^ k2, (uint64_t)text.len ^ k1);
}

/* ---- text ---- */

enum piece {
    PIECE_NONE,    /* nothing written yet */
    PIECE_LITERAL, /* ? */
    PIECE_OPEN,    /* ( [ */
    PIECE_COMMA,
    PIECE_TIGHT, /* . :: */
    PIECE_OP,
    PIECE_KEYWORD, /* reserved: no function's name */
    PIECE_NAME,
    PIECE_OTHER
};

struct writer {
    struct ps_sql_lexer lex;
    char *out;
    size_t n;
    enum piece last;
    bool after_in; /* the last piece was IN */
    /* A list in IN (...) that has held nothing but literals so far: where
     * its first literal ends, 0 when there is no such list. */
    size_t list;
};

static bool
is_literal(const struct ps_sql_token *t)
{
    return t->kind == PS_TOK_NUMBER || t->kind == PS_TOK_STRING ||
           t->kind == PS_TOK_BITS || t->kind == PS_TOK_PARAM ||
           t->kind == PS_TOK_BAD || (t->kind == PS_TOK_OP && t->ch == '?');
}

static enum piece
piece_of(const struct writer *w, const struct ps_sql_token *t)
{
    if (is_literal(t))
        return PIECE_LITERAL;
    switch (t->kind) {
    case PS_TOK_WORD:
        return ps_sql_word_flags((enum ps_sql_word)t->word) &
                       w->lex.dialect->reserved_func &
                       w->lex.dialect->reserved_name
                   ? PIECE_KEYWORD
                   : PIECE_NAME;
    case PS_TOK_QUOTED:
        return PIECE_NAME;
    case PS_TOK_OP:
        return PIECE_OP;
    case PS_TOK_PUNCT:
        if (t->ch == '(' || t->ch == '[')
            return PIECE_OPEN;
        if (t->ch == ',')
            return PIECE_COMMA;
        return t->ch == '.' || t->ch == PS_TOK_CAST ? PIECE_TIGHT : PIECE_OTHER;
    default:
        return PIECE_OTHER;
    }
}

static bool
needs_space(const struct writer *w, const struct ps_sql_token *t,
            enum piece piece)
{
    /* MySQL: `x. 1a` would become `x.1a`, which may be read as x and .1 */
    const char *at = w->lex.text + t->offset;
    if (w->last == PIECE_TIGHT && t->kind == PS_TOK_WORD && at[-1] != '.' &&
        ps_sql_is((unsigned char)at[0], PS_CH_DIGIT))
        return true;
    if (w->last == PIECE_NONE || w->last == PIECE_OPEN ||
        w->last == PIECE_TIGHT || piece == PIECE_COMMA || piece == PIECE_TIGHT)
        return false;
    if (t->kind == PS_TOK_PUNCT && (t->ch == ')' || t->ch == ']'))
        return false;
    if (piece == PIECE_OPEN && w->last == PIECE_NAME)
        return false;
    return !(piece == PIECE_OPEN && t->ch == '[');
}

/* A sign before a number belongs to the literal where an operand is due. */
static bool
is_sign(const struct writer *w, const struct ps_sql_token *t)
{
    if (t->kind != PS_TOK_OP || (t->ch != '-' && t->ch != '+') ||
        w->last == PIECE_LITERAL || w->last == PIECE_NAME ||
        w->last == PIECE_OTHER || w->last == PIECE_TIGHT)
        return false;
    struct ps_sql_lexer ahead = w->lex;
    struct ps_sql_token next;
    while (ahead.pos < ahead.len) {
        next = (struct ps_sql_token){0};
        ahead.dialect->next(&ahead, &next);
        if (next.kind == PS_TOK_SPACE || next.kind == PS_TOK_COMMENT)
            continue;
        return next.kind == PS_TOK_NUMBER;
    }
    return false;
}

static void
write_word(struct writer *w, const struct ps_sql_token *t)
{
    const char *text = w->lex.text + t->offset;
    bool fold = w->lex.dialect->fold_lower || t->word != PS_W_NO_WORD;
    for (size_t i = 0; i < t->len; i++)
        w->out[w->n++] =
            fold ? (char)ps_sql_lower((unsigned char)text[i]) : text[i];
}

/* Keeps track of `IN (?, ?, ...)`: at its end only the first ? stays. */
static void
follow_list(struct writer *w, const struct ps_sql_token *t, enum piece piece)
{
    if (w->after_in && piece == PIECE_OPEN && t->ch == '(') {
        w->list = w->n + 1; /* behind the ? that may come */
        w->after_in = false;
        return;
    }
    w->after_in = t->word == PS_W_IN;
    if (!w->list || piece == PIECE_LITERAL || piece == PIECE_COMMA)
        return;
    if (t->kind == PS_TOK_PUNCT && t->ch == ')' && w->last == PIECE_LITERAL) {
        w->out[w->list] = ')';
        w->n = w->list + 1;
    }
    w->list = 0;
}

static void
write_token(struct writer *w, const struct ps_sql_token *t)
{
    enum piece piece = piece_of(w, t);

    if (is_sign(w, t))
        return;
    if (needs_space(w, t, piece))
        w->out[w->n++] = ' ';
    if (piece == PIECE_LITERAL) {
        w->out[w->n++] = '?';
    } else if (t->kind == PS_TOK_WORD) {
        write_word(w, t);
    } else {
        memcpy(w->out + w->n, w->lex.text + t->offset, t->len);
        w->n += t->len;
    }
    follow_list(w, t, piece);
    w->last = piece;
}

enum ps_rc
ps_sql_template(enum ps_dialect id, unsigned modes, struct ps_str text,
                struct ps_arena *arena, struct ps_str *template_text,
                uint64_t *fingerprint)
{
    const struct ps_sql_dialect *dialect = ps_sql_dialect_find(id);
    if (text.len > PS_SQL_MAX_BYTES || !dialect) {
        *template_text = PS_STR("?"); /* one group for all of them */
        *fingerprint = fingerprint_of(*template_text);
        return PS_OK;
    }
    /* Each token writes at most its own bytes, or ?, and a space. */
    struct writer w = {
        .lex = {.dialect = dialect,
                .text = text.ptr,
                .len = text.len,
                .modes = modes},
        .out = ps_arena_alloc(arena, 2 * text.len + 2)
    };
    if (!w.out)
        return PS_NO_MEMORY;
    size_t trimmed = 0; /* without `;` at the end */
    while (w.lex.pos < w.lex.len) {
        struct ps_sql_token t = {.offset = (uint32_t)w.lex.pos};
        dialect->next(&w.lex, &t);
        t.len = (uint32_t)w.lex.pos - t.offset;
        if (t.kind == PS_TOK_SPACE || t.kind == PS_TOK_COMMENT)
            continue;
        write_token(&w, &t);
        if (t.kind != PS_TOK_PUNCT || t.ch != ';')
            trimmed = w.n;
    }
    *template_text = (struct ps_str){.ptr = w.out, .len = trimmed};
    *fingerprint = fingerprint_of(*template_text);
    return PS_OK;
}

/* ---- key ---- */

enum ps_rc
ps_sql_key_text(enum ps_dialect id, unsigned modes, struct ps_str text,
                struct ps_arena *arena, struct ps_str *out)
{
    const struct ps_sql_dialect *dialect = ps_sql_dialect_find(id);
    struct ps_sql_lexer lex = {
        .dialect = dialect, .text = text.ptr, .len = text.len, .modes = modes};
    char *copy = NULL;
    size_t n = 0, kept = 0; /* bytes of text that are in copy or dropped */

    *out = text;
    if (text.len > PS_SQL_MAX_BYTES || !dialect)
        return PS_OK;
    /* The bytes that can begin a comment in any dialect. */
    if (text.len == 0 ||
        !(memchr(text.ptr, '-', text.len) || memchr(text.ptr, '/', text.len) ||
          memchr(text.ptr, '#', text.len)))
        return PS_OK;
    while (lex.pos < lex.len) {
        struct ps_sql_token t = {.offset = (uint32_t)lex.pos};
        dialect->next(&lex, &t);
        if (t.kind == PS_TOK_BAD)
            return PS_OK;
        if (t.kind != PS_TOK_COMMENT)
            continue;
        if (!copy && !(copy = ps_arena_alloc(arena, text.len + 1)))
            return PS_NO_MEMORY;
        memcpy(copy + n, text.ptr + kept, t.offset - kept);
        n += t.offset - kept;
        copy[n++] = ' ';
        kept = lex.pos;
    }
    if (!copy)
        return PS_OK;
    memcpy(copy + n, text.ptr + kept, text.len - kept);
    *out = (struct ps_str){.ptr = copy, .len = n + text.len - kept};
    return PS_OK;
}
