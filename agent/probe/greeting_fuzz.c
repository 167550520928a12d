/*
 * The first words of a server, or of whatever answers at a port. The text for
 * people must be printable, and every greeting must end.
 *
 * Input: which provider (and whether TLS is wanted), then what the server
 * says before it closes.
 */
#include "agent/probe/probe_private.h"
#include "common/clock.h"
#include "tests/fuzz/fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

enum {
    SAYS_MAX = 16 << 10, /* fits into the socket's buffer */
    WANT_TLS = 128,
    WAIT_US = 5000000
};

static void
check_text(const char *text, size_t size)
{
    FUZZ_CHECK(memchr(text, 0, size));
    for (; *text; text++)
        FUZZ_CHECK(*text >= 0x20 && *text < 0x7f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_probe_greeting greeting;
    struct fuzz_input in = {data, data + size};
    unsigned mode = fuzz_byte(&in);
    struct ps_str says = fuzz_rest(&in);
    int fds[2];
    if (says.len > SAYS_MAX)
        return 0;
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                          0, fds) == 0);
    FUZZ_CHECK(send(fds[1], says.ptr, says.len, MSG_NOSIGNAL) ==
               (ssize_t)says.len);
    shutdown(fds[1], SHUT_WR);
    struct ps_probe_socket socket = {
        .fd = fds[0],
        .deadline_us = ps_clock_now_us(ps_clock_real()) + WAIT_US};
    enum ps_provider provider =
        (enum ps_provider)((mode & ~(unsigned)WANT_TLS) % PS_PROVIDER_COUNT);
    enum ps_rc rc =
        ps_probe_greet(provider, &socket, mode & WANT_TLS, &greeting);
    FUZZ_CHECK(rc != PS_ORIGIN_TIMEOUT);
    check_text(greeting.version, sizeof(greeting.version));
    check_text(greeting.detail, sizeof(greeting.detail));
    close(fds[0]);
    close(fds[1]);
    return 0;
}
