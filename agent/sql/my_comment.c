/*
 * Executable comments: slash star bang [version] SQL star slash, and the form
 * with M that only MariaDB reads. Whether their text is executed depends on
 * the server and its version, so that a statement with one is two statements.
 * The parser reads the one in which everything is executed.
 *
 * Both are the same but for their plan when the comment holds options of
 * SELECT or index hints; when the whole statement stands in the comment the
 * other one is empty. In all other cases nothing is proven.
 *
 * A server that skips the text looks for the end of the comment without
 * reading strings or comments in it; if these could mislead it, nothing is
 * proven either.
 */
#include "agent/sql/my.h"

/* What was seen of one executable comment. */
struct content {
    size_t start;       /* behind what opens it */
    size_t n;           /* tokens */
    uint16_t first[2];  /* words */
    bool options;       /* nothing but options of SELECT */
    bool names;         /* nothing but words, commas, parentheses */
    unsigned char last; /* of the last token */
    uint16_t before;    /* the word before the comment */
};

static bool
is_option(uint16_t word)
{
    switch (word) {
    case PS_W_HIGH_PRIORITY:
    case PS_W_STRAIGHT_JOIN:
    case PS_W_SQL_SMALL_RESULT:
    case PS_W_SQL_BIG_RESULT:
    case PS_W_SQL_BUFFER_RESULT:
    case PS_W_SQL_CALC_FOUND_ROWS: /* refused where it is executed */
    case PS_W_SQL_NO_CACHE:
    case PS_W_SQL_CACHE:
        return true;
    default:
        return false;
    }
}

static void
content_token(struct content *c, const struct ps_sql_token *t)
{
    if (c->n < 2)
        c->first[c->n] = t->word;
    c->n++;
    c->options = c->options && is_option(t->word);
    c->names =
        c->names && (t->kind == PS_TOK_WORD || t->kind == PS_TOK_QUOTED ||
                     (t->kind == PS_TOK_PUNCT && memchr("(),", t->ch, 3)));
    c->last = t->ch;
}

static bool
changes_nothing(const struct content *c)
{
    if (c->n == 0)
        return true;
    if (c->options)
        return c->before == PS_W_SELECT || c->before == PS_W_DISTINCT ||
               c->before == PS_W_ALL;
    bool hint = c->first[0] == PS_W_USE || c->first[0] == PS_W_FORCE ||
                c->first[0] == PS_W_IGNORE;
    return c->names && hint && c->last == ')' &&
           (c->first[1] == PS_W_INDEX || c->first[1] == PS_W_KEY);
}

/* Five digits or none; six where only MariaDB reads them (others take the
 * sixth for a number, or do not). */
static bool
version_is_clear(const struct ps_sql_lexer *lex, const struct ps_sql_token *t)
{
    bool mariadb = lex->text[t->offset + 2] == 'M';
    return lex->pos - t->offset < (mariadb ? 11u : 9u);
}

static bool
holds_mark(const struct ps_sql_lexer *lex, size_t from, size_t to)
{
    return memmem(lex->text + from, to - from, "*/", 2) ||
           memmem(lex->text + from, to - from, "/*", 2);
}

enum my_comment
ps_sql_my_comment(const struct ps_sql_parser *p, size_t start, size_t end,
                  struct ps_sql_token *at)
{
    size_t from =
        start ? p->tokens[start - 1].offset + p->tokens[start - 1].len : 0;
    struct ps_sql_lexer lex = {.dialect = p->dialect,
                               .text = p->text.ptr,
                               .len = p->tokens[end].offset,
                               .pos = from,
                               .modes = p->modes};
    struct content c = {0};
    size_t outside = 0, comments = 0, changing = 0;
    uint16_t last = PS_W_NO_WORD;
    bool inside = false;

    if (lex.len == from || !holds_mark(&lex, from, lex.len))
        return MY_COMMENT_NONE;
    while (lex.pos < lex.len) {
        struct ps_sql_token t = {.offset = (uint32_t)lex.pos};
        lex.dialect->next(&lex, &t);
        t.len = (uint32_t)lex.pos - t.offset;
        if (t.kind == PS_TOK_HINT && t.ch == MY_HINT_OPEN) {
            *at = t;
            if (inside || !version_is_clear(&lex, &t))
                return MY_COMMENT_UNCERTAIN;
            inside = true;
            c = (struct content){.start = lex.pos,
                                 .options = true,
                                 .names = true,
                                 .before = last};
        } else if (t.kind == PS_TOK_HINT && t.ch == MY_HINT_CLOSE) {
            if (!inside || holds_mark(&lex, c.start, t.offset)) {
                *at = inside ? *at : t;
                return MY_COMMENT_UNCERTAIN;
            }
            inside = false;
            comments++;
            changing += !changes_nothing(&c);
        } else if (t.kind == PS_TOK_SPACE || t.kind == PS_TOK_COMMENT) {
            continue; /* inside, holds_mark tells if one misleads */
        } else if (inside) {
            content_token(&c, &t);
        } else {
            outside++;
            last = t.word;
        }
    }
    if (inside)
        return MY_COMMENT_UNCERTAIN;
    if (changing == 0)
        return MY_COMMENT_NONE;
    return outside == 0 && comments == 1 ? MY_COMMENT_WHOLE
                                         : MY_COMMENT_UNCERTAIN;
}
