/*
 * Any bytes, every dialect that is there: tokens lie side by side, an
 * analysis keeps the promises of sql.h, and what is called cacheable is a
 * read and nothing else.
 *
 * Input: a byte of modes, then the text. PS_FUZZ_DIALECT=0, 1 or 2 (enum
 * ps_dialect) spends all the time on one dialect.
 */
#include "agent/sql/parser.h"
#include "agent/sql/testing.h"
#include "tests/fuzz/fuzz.h"

enum {
    ARENA_BYTES = 64 << 20,
    RENDER_BYTES = 16 << 20,
    TEXT_MAX = 16 << 10
};

static void
check_tokens(enum ps_dialect id, unsigned modes, struct ps_str text)
{
    struct ps_sql_lexer lex = {.dialect = ps_sql_dialect_find(id),
                               .modes = modes,
                               .text = text.ptr,
                               .len = text.len};
    while (lex.pos < lex.len) {
        struct ps_sql_token t = {.offset = (uint32_t)lex.pos};
        lex.dialect->next(&lex, &t);
        FUZZ_CHECK(lex.pos > t.offset && lex.pos <= lex.len);
        FUZZ_CHECK(t.kind != PS_TOK_END);
    }
}

static bool
inside(struct ps_str part, struct ps_str text)
{
    return part.ptr >= text.ptr && part.ptr + part.len <= text.ptr + text.len;
}

static void
check_key_text(enum ps_dialect id, unsigned modes, struct ps_str text,
               struct ps_arena *arena)
{
    struct ps_str key, again;
    FUZZ_CHECK(ps_sql_key_text(id, modes, text, arena, &key) == PS_OK);
    FUZZ_CHECK(key.len <= text.len);
    /* MySQL: a # at the end is a comment as short as the space left of it. */
    FUZZ_CHECK(key.len < text.len || inside(key, text) ||
               ps_str_eq(key, text) || memchr(text.ptr, '#', text.len));
    FUZZ_CHECK(ps_sql_key_text(id, modes, key, arena, &again) == PS_OK);
}

static void
check_analysis(enum ps_dialect id, unsigned modes, struct ps_str text,
               struct ps_arena *arena)
{
    struct ps_sql_analysis *a, *b;
    struct ps_str template_text;
    struct ps_buf rendered;
    uint64_t fingerprint;
    FUZZ_CHECK(ps_sql_analyse(id, modes, text, arena, &a) == PS_OK);
    FUZZ_CHECK(a->reason_offset + a->reason_len <= text.len);
    if (a->reason == PS_SQL_REASON_NONE) {
        FUZZ_CHECK(a->cls == PS_SQL_READ && a->n_statements == 1);
        FUZZ_CHECK(!a->writes_all && !a->may_write && !a->touches_session);
        FUZZ_CHECK(!a->opens_transaction && !a->ends_transaction);
        FUZZ_CHECK(!a->changes_catalog && a->n_functions == 0);
    }
    if (a->cls != PS_SQL_READ)
        FUZZ_CHECK(a->may_write);
    for (size_t i = 0; i < a->n_relations; i++)
        FUZZ_CHECK(a->relations[i].use == PS_SQL_REL_READ ||
                   a->cls != PS_SQL_READ);
    ps_buf_init(&rendered, RENDER_BYTES);
    ps_sql_render(a, text, &rendered);
    ps_buf_done(&rendered);
    FUZZ_CHECK(ps_sql_template(id, modes, text, arena, &template_text,
                               &fingerprint) == PS_OK);
    FUZZ_CHECK(fingerprint == a->fingerprint);
    FUZZ_CHECK(ps_sql_analyse(id, modes, text, arena, &b) == PS_OK);
    FUZZ_CHECK(a->cls == b->cls && a->reason == b->reason &&
               a->n_relations == b->n_relations);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    unsigned modes = fuzz_byte(&in) & 7;
    struct ps_str text = fuzz_rest(&in);
    if (text.len > TEXT_MAX)
        return 0;
    const char *only = getenv("PS_FUZZ_DIALECT");
    for (int d = 0; d < PS_DIALECT_COUNT; d++) {
        if (only && strtol(only, NULL, 10) != d)
            continue;
        enum ps_dialect id = (enum ps_dialect)d;
        struct ps_arena *arena = ps_arena_new(ARENA_BYTES);
        FUZZ_CHECK(arena);
        if (ps_sql_dialect_find(id))
            check_tokens(id, modes, text);
        check_key_text(id, modes, text, arena);
        check_analysis(id, modes, text, arena);
        (void)ps_sql_text_is_clock(id, text);
        ps_arena_free(&arena);
    }
    return 0;
}
