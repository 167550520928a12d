/*
 * PlanetScale's protocol: an Authorization header and a body with a session.
 * Input: the header's length, the header, the body. What is accepted is whole
 * and text, whatever the session says.
 */
#include "agent/front/planetscale.h"
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
check_accepted(struct ps_planetscale_request *request)
{
    struct ps_statement statement = {.n_params = 0};
    struct ps_err err = {.rc = PS_OK};
    struct ps_req *req = &request->req;
    FUZZ_CHECK(req->cache_id.len == 36 && req->user.len && req->protocol);
    FUZZ_CHECK(req->sql.len && req->database.ptr);
    check_text(req->sql);
    check_text(req->user);
    check_text(req->password);
    check_text(req->database);
    FUZZ_CHECK(req->session == PS_SESSION_IN || !req->session_id[0]);
    req->provider = PS_PROVIDER_MARIADB;
    FUZZ_CHECK(req->protocol->prepare(req, &statement, &err) == PS_OK);
    check_text(statement.sql);
    req->provider = PS_PROVIDER_POSTGRES;
    FUZZ_CHECK(req->protocol->prepare(req, &statement, &err) ==
               PS_PROVIDER_MISMATCH);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    size_t n = fuzz_byte(&in);
    struct ps_str rest = fuzz_rest(&in);
    struct ps_str header = {rest.ptr, PS_MIN(n, rest.len)};
    struct ps_str body = {rest.ptr + header.len, rest.len - header.len};
    struct ps_planetscale_request request;
    struct ps_arena *arena = ps_arena_new(ARENA_BYTES);
    FUZZ_CHECK(arena);
    for (int create = 0; create < 2; create++) {
        struct ps_err err = {.rc = PS_OK};
        memset(&request, 0, sizeof(request));
        request.req.arena = arena;
        enum ps_rc rc =
            ps_planetscale_accept(&request, body, header, create, &err);
        FUZZ_CHECK(rc == PS_OK || (err.rc == rc && err.message[0]));
        if (rc == PS_OK)
            check_accepted(&request);
    }
    ps_arena_free(&arena);
    return 0;
}
