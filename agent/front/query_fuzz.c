/*
 * A body of POST /v1/query and an Authorization header. Input: the header's
 * length, the header, the body. What is accepted has all it needs, and equal
 * requests equal keys; its parameters are bound for every provider: any
 * outcome but a crash.
 */
#include "agent/front/credentials.h"
#include "agent/front/query.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"

enum {
    ARENA_BYTES = 64 << 20
};

static void
check_text(struct ps_str text)
{
    FUZZ_CHECK(ps_utf8_check(text) == text.len);
    FUZZ_CHECK(!text.len || !memchr(text.ptr, '\0', text.len));
}

static void
check_accepted(struct ps_query_request *request)
{
    struct ps_req *req = &request->req;
    FUZZ_CHECK(req->cache_id.len &&
               (req->database.len || req->needs_database) && req->user.len);
    FUZZ_CHECK(req->sql.len && req->key_bindings.len && req->protocol);
    check_text(req->sql);
    check_text(req->user);
    check_text(req->password);
    for (int p = 0; p < PS_PROVIDER_COUNT; p++) {
        struct ps_statement statement = {.n_params = 0};
        struct ps_err err = {.rc = PS_OK};
        req->provider = (enum ps_provider)p;
        if (req->protocol->prepare(req, &statement, &err) != PS_OK) {
            FUZZ_CHECK(err.message[0]);
            continue;
        }
        check_text(statement.sql);
        for (size_t i = 0; i < statement.n_params; i++)
            check_text(statement.params[i].text);
    }
}

static enum ps_rc
accept_once(struct ps_query_request *request, struct ps_arena *arena,
            struct ps_str body, struct ps_str header)
{
    struct ps_err err = {.rc = PS_OK};
    memset(request, 0, sizeof(*request));
    request->req.arena = arena;
    enum ps_rc rc = ps_query_accept(
        request, body, header.len ? header : PS_STR_NONE, false, &err);
    FUZZ_CHECK(rc == PS_OK || (err.rc == rc && err.message[0]));
    return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    size_t n = fuzz_byte(&in);
    struct ps_str rest = fuzz_rest(&in);
    struct ps_str header = {rest.ptr, PS_MIN(n, rest.len)};
    struct ps_str body = {rest.ptr + header.len, rest.len - header.len};
    struct ps_query_request one, two;
    struct ps_arena *arena = ps_arena_new(ARENA_BYTES);
    FUZZ_CHECK(arena);
    if (accept_once(&one, arena, body, header) == PS_OK) {
        FUZZ_CHECK(accept_once(&two, arena, body, header) == PS_OK);
        FUZZ_CHECK(ps_str_eq(one.req.key_bindings, two.req.key_bindings) &&
                   ps_str_eq(one.req.key_sql, two.req.key_sql));
        check_accepted(&one);
    }
    ps_arena_free(&arena);
    return 0;
}
