/*
 * The part of lexing that no dialect changes: classes of bytes, words and
 * their table, space, and the run over a whole text that gives the parser
 * its array of tokens.
 */
#include "agent/sql/dialect.h"
#include "agent/sql/token.h"
#include "agent/sql/words_table.inc"

#define L   PS_CH_LETTER
#define D   PS_CH_DIGIT
#define S   PS_CH_SPACE
#define O   PS_CH_PG_OP
#define L16 L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L

/* clang-format off */
const uint8_t ps_sql_char_class[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, S, S, S, S, S, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /*   !  "  #  $  %  &  '  (  )  *  +  ,  -  .  / */
    S, O, 0, O, 0, O, O, 0, 0, 0, O, O, 0, O, 0, O,
    /* 0-9                          :  ;  <  =  >  ? */
    D, D, D, D, D, D, D, D, D, D, 0, 0, O, O, O, O,
    /* @ */
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    /*                                  [  \  ]  ^  _ */
    L, L, L, L, L, L, L, L, L, L, L, 0, 0, 0, O, L,
    /* ` */
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    /*                                  {  |  }  ~    */
    L, L, L, L, L, L, L, L, L, L, L, 0, O, 0, O, 0,
    L16, L16, L16, L16, L16, L16, L16, L16,
};
/* clang-format on */
#undef L
#undef D
#undef S
#undef O
#undef L16

struct word {
    const char *text;
    uint8_t len;
    uint8_t flags;
};

/* clang-format off */
static const struct word words[PS_W_COUNT] = {
#define PS_WORD(name, text, flags) {text, sizeof(text) - 1, flags},
    {"", 0, 0},
#include "agent/sql/words.def"
#undef PS_WORD
};
/* clang-format on */

enum ps_sql_word
ps_sql_word_find(const char *text, size_t len, uint32_t hash)
{
    for (uint32_t at = hash & (WORD_SLOTS - 1); word_slots[at];
         at = (at + 1) & (WORD_SLOTS - 1)) {
        const struct word *word = &words[word_slots[at]];
        if (word->len != len)
            continue;
        size_t i = 0;
        while (i < len &&
               ps_sql_lower((unsigned char)text[i]) == (uint8_t)word->text[i])
            i++;
        if (i == len)
            return (enum ps_sql_word)word_slots[at];
    }
    return PS_W_NO_WORD;
}

unsigned
ps_sql_word_flags(enum ps_sql_word word)
{
    return words[word].flags;
}

const char *
ps_sql_word_text(enum ps_sql_word word)
{
    return words[word].text;
}

void
ps_sql_lex_word(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    const char *start = lex->text + lex->pos;
    size_t left = lex->len - lex->pos, n = 0;
    uint32_t hash = PS_SQL_HASH_START;

    while (n < left) {
        unsigned char c = (unsigned char)start[n];
        if (!ps_sql_is(c, PS_CH_LETTER | PS_CH_DIGIT) && c != '$')
            break;
        hash = ps_sql_hash_step(hash, ps_sql_lower(c));
        n++;
    }
    token->kind = PS_TOK_WORD;
    token->info = hash;
    token->word = (uint16_t)ps_sql_word_find(start, n, hash);
    lex->pos += n;
}

const char *
ps_sql_lex_find(const struct ps_sql_lexer *lex, size_t from, const char *what,
                size_t len)
{
    const char *at = lex->text + from, *end = lex->text + lex->len;

    while ((size_t)(end - at) >= len &&
           (at = memchr(at, what[0], (size_t)(end - at) - len + 1))) {
        if (memcmp(at, what, len) == 0)
            return at;
        at++;
    }
    return NULL;
}

void
ps_sql_lex_space(struct ps_sql_lexer *lex, struct ps_sql_token *token)
{
    token->kind = PS_TOK_SPACE;
    while (lex->pos < lex->len &&
           ps_sql_is((unsigned char)lex->text[lex->pos], PS_CH_SPACE))
        lex->pos++;
}

/* Makes each opening bracket know its closing one. The `info` of opening
 * brackets links them to a stack while they are open. Where one kind closes
 * another nothing behind it has a match: those who skip from an opening
 * bracket to its closing one rely on moving forward. */
static void
match_brackets(struct ps_sql_tokens *tokens)
{
    uint32_t open = PS_TOK_NO_MATCH;
    bool crossed = false;
    for (size_t i = 0; i < tokens->n; i++) {
        struct ps_sql_token *t = &tokens->at[i];
        if (t->kind != PS_TOK_PUNCT)
            continue;
        if (t->ch == '(' || t->ch == '[') {
            t->info = crossed ? PS_TOK_NO_MATCH : open;
            open = crossed ? open : (uint32_t)i;
        } else if ((t->ch == ')' || t->ch == ']') && !crossed &&
                   open != PS_TOK_NO_MATCH) {
            struct ps_sql_token *o = &tokens->at[open];
            crossed = (o->ch == '(') != (t->ch == ')');
            if (crossed)
                continue;
            open = o->info;
            o->info = (uint32_t)i;
        }
    }
    while (open != PS_TOK_NO_MATCH) {
        uint32_t outer = tokens->at[open].info;
        tokens->at[open].info = PS_TOK_NO_MATCH;
        open = outer;
    }
}

enum ps_rc
ps_sql_lex_all(const struct ps_sql_dialect *dialect, unsigned modes,
               struct ps_str text, struct ps_arena *arena,
               struct ps_sql_tokens *out)
{
    struct ps_sql_lexer lex = {
        .dialect = dialect, .text = text.ptr, .len = text.len, .modes = modes};
    /* A guess that is right for most statements; doubled when it is not. */
    size_t n = 0, cap = text.len / 3 + 16;
    uint32_t params = 0;
    struct ps_sql_token *at = ps_arena_alloc(arena, cap * sizeof(*at));

    while (at && lex.pos < lex.len) {
        if (n + 2 > cap) {
            struct ps_sql_token *more =
                ps_arena_alloc(arena, 2 * cap * sizeof(*at));
            if (more)
                memcpy(more, at, n * sizeof(*at));
            at = more;
            cap *= 2;
            continue;
        }
        struct ps_sql_token *t = &at[n];
        *t = (struct ps_sql_token){.offset = (uint32_t)lex.pos};
        dialect->next(&lex, t);
        t->len = (uint32_t)lex.pos - t->offset;
        if (t->kind == PS_TOK_PARAM)
            t->info = params++;
        if (t->kind != PS_TOK_SPACE && t->kind != PS_TOK_COMMENT &&
            t->kind != PS_TOK_HINT)
            n++;
    }
    if (!at)
        return PS_NO_MEMORY;
    at[n] =
        (struct ps_sql_token){.kind = PS_TOK_END, .offset = (uint32_t)text.len};
    *out = (struct ps_sql_tokens){.at = at, .n = n};
    match_brackets(out);
    return PS_OK;
}
