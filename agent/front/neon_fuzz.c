/*
 * Neon's protocol: a connection string and a body. Input: the string's length,
 * the string, the body. What is accepted is whole and text, every query of a
 * batch too, and its parameters are bound: any outcome but a crash.
 */
#include "agent/front/neon.h"
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
check_statement(struct ps_neon_request *request)
{
    struct ps_statement statement = {.n_params = 0};
    struct ps_err err = {.rc = PS_OK};
    struct ps_req *req = &request->req;
    FUZZ_CHECK(req->sql.len && req->key_bindings.len && req->protocol);
    check_text(req->sql);
    if (req->protocol->prepare(req, &statement, &err) != PS_OK) {
        FUZZ_CHECK(err.message[0]);
        return;
    }
    FUZZ_CHECK(statement.single);
    for (size_t i = 0; i < statement.n_params; i++)
        check_text(statement.params[i].text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    size_t n = fuzz_byte(&in);
    struct ps_str rest = fuzz_rest(&in);
    struct ps_neon_headers headers = {
        .connection = {rest.ptr, PS_MIN(n, rest.len)},
        .raw_text = PS_STR("true"),
        .isolation = PS_STR("Serializable"),
    };
    struct ps_str body = {rest.ptr + headers.connection.len,
                          rest.len - headers.connection.len};
    struct ps_neon_request request;
    struct ps_err err = {.rc = PS_OK};
    struct ps_arena *arena = ps_arena_new(ARENA_BYTES);
    FUZZ_CHECK(arena);
    memset(&request, 0, sizeof(request));
    request.req.arena = arena;
    enum ps_rc rc = ps_neon_accept(&request, body, &headers, &err);
    FUZZ_CHECK(rc == PS_OK || (err.rc == rc && err.message[0]));
    if (rc == PS_OK) {
        FUZZ_CHECK(request.req.cache_id.len == 36);
        check_text(request.req.user);
        check_text(request.req.password);
        check_text(request.req.database);
        if (!request.batch)
            check_statement(&request);
        for (size_t i = 0; i < request.n_queries; i++) {
            FUZZ_CHECK(ps_neon_query(&request, i));
            check_statement(&request);
        }
    }
    ps_arena_free(&arena);
    return 0;
}
