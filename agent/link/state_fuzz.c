/*
 * What an agent finds on disk at its start: agent.json, written by an older
 * version, by hand or by nobody. Either an identity with all its parts or an
 * error that says so.
 *
 * Input: the bytes of agent.json.
 */
#include "agent/link/state.h"
#include "common/file.h"
#include "tests/fuzz/fuzz.h"

#include <unistd.h>

static char dir[64];

static void
path_of(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/%s", dir, name);
}

static void
put(const char *name, struct ps_str text)
{
    char path[128];
    struct ps_err err;
    path_of(path, sizeof(path), name);
    FUZZ_CHECK(ps_file_write(path, text, 0600, &err) == PS_OK);
}

static void
clean(void)
{
    static const char *const names[] = {"agent.json", "key.pem", "cert.pem",
                                        "ca.pem", "lock"};
    char path[128];
    for (size_t i = 0; i < PS_ARRAY_LEN(names); i++) {
        path_of(path, sizeof(path), names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void
prepare(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(dir, sizeof(dir), "%.32s/portside-state-XXXXXX",
             base ? base : "/tmp");
    FUZZ_CHECK(mkdtemp(dir));
    atexit(clean);
    put("key.pem", PS_STR("key"));
    put("cert.pem", PS_STR("cert"));
    put("ca.pem", PS_STR("ca"));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_agent_state state;
    struct ps_err err = {0};
    if (!dir[0])
        prepare();
    put("agent.json", (struct ps_str){size ? (const char *)data : "", size});
    if (ps_agent_state_load(&state, dir, &err) == PS_OK) {
        FUZZ_CHECK(state.agent_id && state.agent_name && state.agent_secret);
        FUZZ_CHECK(state.region && state.call_address && state.event_address);
        ps_agent_state_done(&state);
    } else {
        FUZZ_CHECK(err.message[0]);
    }
    return 0;
}
