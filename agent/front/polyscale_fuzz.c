/*
 * A body of the PolyScale protocol: the scanner and jansson must agree, and
 * what is accepted goes on through knex's rules for every dialect: any
 * outcome but a crash, and a key that is the same for the same bindings.
 */
#include "agent/front/polyscale_agree.h"
#include "agent/front/polyscale_body.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"

enum {
    ARENA_BYTES = 64 << 20,
    EXPANDED_MAX = 32 << 20
};

static void
check_statement(enum ps_dialect dialect, const struct ps_polyscale_body *body)
{
    struct ps_statement statement = {0};
    struct ps_arena *arena = ps_arena_new(ARENA_BYTES);
    struct ps_err err = {0};
    FUZZ_CHECK(arena);
    enum ps_rc rc =
        ps_knex_prepare(dialect, body->fields[PS_POLYSCALE_SQL].text,
                        &body->bindings, arena, &statement, &err);
    if (rc == PS_OK) {
        FUZZ_CHECK(statement.sql.len <= EXPANDED_MAX);
        FUZZ_CHECK(ps_utf8_check(statement.sql) == statement.sql.len);
        FUZZ_CHECK(statement.n_params <= body->n_values * 64 + 65536);
    } else {
        FUZZ_CHECK(err.message[0]);
    }
    ps_arena_free(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_str text = {size ? (const char *)data : "", size};
    struct ps_polyscale_body body;
    struct ps_arena *arena = ps_arena_new(ARENA_BYTES);
    struct ps_err err = {0};
    FUZZ_CHECK(arena);
    if (ps_utf8_check(text) == text.len) {
        const char *difference = ps_polyscale_agree(text);
        if (difference) {
            fprintf(stderr, "scanner and jansson: %s\n", difference);
            abort();
        }
    }
    if (ps_polyscale_body_read(text, arena, &body, &err) != PS_OK) {
        FUZZ_CHECK(err.message[0]);
    } else {
        struct ps_str one = ps_knex_key(&body.bindings, arena);
        struct ps_str two = ps_knex_key(&body.bindings, arena);
        FUZZ_CHECK(one.ptr && ps_str_eq(one, two));
        for (int d = 0; d < PS_DIALECT_COUNT; d++)
            check_statement((enum ps_dialect)d, &body);
    }
    ps_arena_free(&arena);
    return 0;
}
