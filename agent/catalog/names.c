/*
 * Which functions can a statement call that its analysis took for built-ins or
 * columns?
 *
 *   lower(x)      public.lower(citext) where it fits better
 *   t.total       total(t), a function of the row
 *   a % b         an operator of an extension
 *
 * Types decide that, and they are not known here. So every word of the template
 * (which has all of a statement but its literals and comments) is looked up
 * among the functions of the database that are not immutable: as a call where
 * `(` follows, as a function of a row where `.` precedes. Schemas and
 * arguments are not looked at.
 */
#include "agent/catalog/catalog_private.h"

#include <stdlib.h>

enum {
    NAME_MAX_BYTES = 63 /* the server cuts longer names */
};

void
ps_catalog_fold(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] - 'A' + 'a');
    }
}

int
ps_catalog_str_cmp(struct ps_str a, struct ps_str b)
{
    size_t n = PS_MIN(a.len, b.len);
    int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* The first function of this folded name, or the end. */
static size_t
first_function(const struct ps_catalog *c, struct ps_str folded)
{
    size_t low = 0, high = c->n_functions;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ps_catalog_str_cmp(c->functions[middle].folded, folded) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A name as it stands in a text: cut and folded into out. */
static struct ps_str
fold_name(struct ps_str name, char out[NAME_MAX_BYTES])
{
    size_t len = PS_MIN(name.len, (size_t)NAME_MAX_BYTES);
    /* At a character's first byte. */
    while (len < name.len && len > 0 &&
           ((unsigned char)name.ptr[len] & 0xc0) == 0x80)
        len--;
    memcpy(out, name.ptr, len);
    ps_catalog_fold(out, len);
    return (struct ps_str){out, len};
}

static void
worse(struct ps_vouch *vouch, enum ps_volatility v)
{
    vouch->worst = PS_MAX(vouch->worst, v);
}

/* ---- what the analysis left to us ---- */

static void
vouch_for_function(const struct ps_catalog *c, const struct ps_sql_function *f,
                   struct ps_vouch *vouch)
{
    char bytes[NAME_MAX_BYTES];
    struct ps_str folded = fold_name(f->name, bytes);
    bool found = false;
    for (size_t i = first_function(c, folded);
         i < c->n_functions && ps_str_eq(c->functions[i].folded, folded); i++) {
        const struct ps_catalog_function *known = &c->functions[i];
        worse(vouch, known->volatility);
        found |= ps_str_eq(known->name, f->name) &&
                 (!f->schema.ptr || ps_str_eq(known->schema, f->schema));
    }
    vouch->unknown |= !found;
}

/* ---- words of the template ---- */

static bool
is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '$' ||
           (unsigned char)c >= 0x80;
}

/* The byte after (step 1) or before (step -1) a word, spaces left out. */
static char
neighbour(struct ps_str text, size_t at, int step)
{
    while (at < text.len && text.ptr[at] == ' ')
        at += (size_t)step; /* below 0: wraps beyond len */
    return at < text.len ? text.ptr[at] : '\0';
}

static void
look_up(const struct ps_catalog *c, struct ps_str word, bool called,
        bool of_row, struct ps_vouch *vouch)
{
    char bytes[NAME_MAX_BYTES];
    struct ps_str folded = fold_name(word, bytes);
    for (size_t i = first_function(c, folded);
         i < c->n_functions && ps_str_eq(c->functions[i].folded, folded); i++) {
        if (called || (of_row && c->functions[i].of_row))
            worse(vouch, c->functions[i].volatility);
    }
}

/* The end of the word that begins at `at`; *name is what it means. */
static size_t
take_word(struct ps_str text, size_t at, struct ps_str *name, bool *odd)
{
    size_t first = at;
    char quote = text.ptr[at];
    if (quote != '"' && quote != '`') {
        while (at < text.len && is_word_byte(text.ptr[at]))
            at++;
        *name = (struct ps_str){text.ptr + first, at - first};
        /* U&"...": its escapes are not worth decoding. */
        *odd |= name->len == 1 && (*name->ptr | 32) == 'u' &&
                text.len - at > 1 && text.ptr[at] == '&' &&
                text.ptr[at + 1] == '"';
        return at;
    }
    do {
        at++;
    } while (at < text.len && text.ptr[at] != quote);
    *name = (struct ps_str){text.ptr + first + 1, at - first - 1};
    at += at < text.len;
    /* A quote inside the name. */
    *odd |= at < text.len && text.ptr[at] == quote;
    return at;
}

static void
scan(const struct ps_catalog *c, struct ps_str text, struct ps_vouch *vouch)
{
    bool odd = false;
    for (size_t at = 0; at < text.len;) {
        struct ps_str name;
        if (text.ptr[at] != '"' && text.ptr[at] != '`' &&
            !is_word_byte(text.ptr[at])) {
            at++;
            continue;
        }
        size_t first = at;
        at = take_word(text, at, &name, &odd);
        bool called = neighbour(text, at, 1) == '(';
        bool of_row = first > 0 && neighbour(text, first - 1, -1) == '.';
        if (called || of_row)
            look_up(c, name, called, of_row, vouch);
    }
    for (size_t i = 0; odd && i < c->n_functions; i++)
        worse(vouch, c->functions[i].volatility);
}

/* ---- operators ---- */

/* Called by IN, BETWEEN, LIKE, DISTINCT, ORDER BY, without being written. */
static bool
is_implied(struct ps_str name)
{
    static const char *const names[] = {
        "=", "<>", "<", ">", "<=", ">=", "~", "~~", "~~*", "!~~", "!~~*"};
    for (size_t i = 0; i < PS_ARRAY_LEN(names); i++) {
        if (ps_str_eq(name, ps_str_of(names[i])))
            return true;
    }
    return false;
}

struct ps_vouch
ps_catalog_vouch(const struct ps_catalog *catalog,
                 const struct ps_sql_analysis *analysis)
{
    struct ps_vouch vouch = {.worst = PS_IMMUTABLE};
    struct ps_str text = analysis->template_text;
    for (size_t i = 0; i < analysis->n_functions; i++)
        vouch_for_function(catalog, &analysis->functions[i], &vouch);
    scan(catalog, text, &vouch);
    for (size_t i = 0; i < catalog->n_operators; i++) {
        struct ps_str name = catalog->operators[i].name;
        if (is_implied(name) || memmem(text.ptr, text.len, name.ptr, name.len))
            worse(&vouch, catalog->operators[i].volatility);
    }
    return vouch;
}
