/*
 * Tokens: what every dialect's lexer makes of a statement's bytes.
 *
 * A lexer is total: each call consumes at least one byte, never fails, and
 * the tokens of a text lie side by side, so that putting them together gives
 * the text again. White space and comments are tokens too; the parser is
 * given an array without them (lex.c), the template and the key see all.
 *
 * Pure; a lexer's state is its position and a note of its own (`after`).
 */
#ifndef PS_AGENT_SQL_TOKEN_H
#define PS_AGENT_SQL_TOKEN_H

#include "agent/sql/sql.h"

enum ps_sql_token_kind {
    PS_TOK_END,
    PS_TOK_SPACE,
    PS_TOK_COMMENT, /* plain: dropped from template and key */
    PS_TOK_HINT,    /* kept */
    PS_TOK_WORD,    /* unquoted identifier or keyword */
    PS_TOK_QUOTED,  /* quoted identifier */
    PS_TOK_NUMBER,
    PS_TOK_STRING, /* with its prefix and all segments that continue it */
    PS_TOK_BITS,   /* B'..', X'..', 0x.. where that is a byte string */
    PS_TOK_PARAM,
    PS_TOK_OP,    /* operator, of any length */
    PS_TOK_PUNCT, /* ( ) [ ] , ; . : and :: := ..: `ch` tells which */
    PS_TOK_JUNK,  /* a byte that starts nothing */
    PS_TOK_BAD    /* literal or comment without end, malformed number */
};

enum {
    PS_TOK_CAST = 'c',   /* ch of :: */
    PS_TOK_ASSIGN = 'a', /* ch of := */
    PS_TOK_NO_MATCH = 0xffffffffu
};

struct ps_sql_token {
    uint8_t kind; /* enum ps_sql_token_kind */
    /* PUNCT: the character. OP of one character: that. STRING, QUOTED: the
     * kind of literal ('e', 'u', 'n', '$', '\'', '"', ...). */
    uint8_t ch;
    uint16_t word;   /* WORD: enum ps_sql_word, 0 when it is none */
    uint32_t offset; /* in the text */
    uint32_t len;
    /* WORD: hash of the folded bytes. PARAM: how many came before it. ( and [:
     * index of the closing token, or PS_TOK_NO_MATCH. */
    uint32_t info;
};

/* The words of words.def; PS_W_NO_WORD is no word. */
enum ps_sql_word {
    PS_W_NO_WORD,
#define PS_WORD(name, text, flags) PS_W_##name,
#include "agent/sql/words.def"
#undef PS_WORD
    PS_W_COUNT
};

/* How PostgreSQL reserves a word (see words.def); other dialects' flags
 * follow in the next bits. */
enum {
    PG_ANY = 1,
    PG_COL = 2,
    PG_TYP = 4,
    PG_RES = 8,
    PG_AS = 16,
    MY_CALL = 32, /* MySQL: reserved, but names a function where called */
    MY_RES = 96,  /* MySQL: reserved */
    TS_RES = 128  /* T-SQL */
};

#define PS_SQL_HASH_START 2166136261u

static inline unsigned char
ps_sql_lower(unsigned char c)
{
    return (unsigned char)(c - 'A') < 26 ? (unsigned char)(c | 0x20) : c;
}

/* One step of the words' hash (FNV-1a); c is folded already. */
static inline uint32_t
ps_sql_hash_step(uint32_t hash, unsigned char c)
{
    return (hash ^ c) * 16777619u;
}

/* The word with these bytes, whose hash this is; PS_W_NO_WORD when unknown. */
enum ps_sql_word ps_sql_word_find(const char *text, size_t len, uint32_t hash);
unsigned ps_sql_word_flags(enum ps_sql_word word);
const char *ps_sql_word_text(enum ps_sql_word word);

/* Classes of bytes, the same in all dialects. */
enum {
    PS_CH_SPACE = 1,
    PS_CH_LETTER = 2, /* A-Z a-z _ and everything above 0x7f */
    PS_CH_DIGIT = 4,
    PS_CH_PG_OP = 8 /* may be part of a PostgreSQL operator */
};
extern const uint8_t ps_sql_char_class[256];

static inline bool
ps_sql_is(unsigned char c, unsigned classes)
{
    return ps_sql_char_class[c] & classes;
}

/* What lexers read from. */
struct ps_sql_lexer {
    const struct ps_sql_dialect *dialect;
    const char *text;
    size_t len;
    size_t pos;
    unsigned modes;
    unsigned after; /* the dialect's note on the token before; 0 at first */
};

/* Parts that the dialects' lexers share; all take the lexer at the token's
 * first byte. */
void ps_sql_lex_word(struct ps_sql_lexer *lex, struct ps_sql_token *token);
void ps_sql_lex_space(struct ps_sql_lexer *lex, struct ps_sql_token *token);
/* Where `what` stands next, or NULL. (memmem may be checked, in a sanitizer's
 * build, over all that is left of the text: work that is not linear.) */
const char *ps_sql_lex_find(const struct ps_sql_lexer *lex, size_t from,
                            const char *what, size_t len);

/* All tokens but space and comments, an END token behind them, and the pairs
 * of brackets. */
struct ps_sql_tokens {
    struct ps_sql_token *at;
    size_t n; /* without END */
};

PS_MUST_USE enum ps_rc ps_sql_lex_all(const struct ps_sql_dialect *dialect,
                                      unsigned modes, struct ps_str text,
                                      struct ps_arena *arena,
                                      struct ps_sql_tokens *out);

#endif
