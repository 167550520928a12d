/* A packed usage: what is taken can be packed again and means the same. */
#include "common/usage.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ps_usage first, second;
    struct ps_str in = {(const char *)data, size};
    struct ps_buf buf;
    memset(&first, 0, sizeof(first));
    memset(&second, 0, sizeof(second));
    if (!ps_usage_unpack(&first, in))
        return 0;
    ps_buf_init(&buf, 1 << 20);
    ps_usage_pack(&first, &buf);
    FUZZ_CHECK(ps_buf_rc(&buf) == PS_OK);
    FUZZ_CHECK(ps_usage_unpack(&second, ps_buf_str(&buf)));
    FUZZ_CHECK(memcmp(first.n, second.n, sizeof(first.n)) == 0);
    FUZZ_CHECK(
        memcmp(first.memory.n, second.memory.n, sizeof(first.memory.n)) == 0);
    ps_buf_done(&buf);
    return 0;
}
