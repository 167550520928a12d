/* Addresses to listen at, on real sockets of loopback. */
#include "common/io/address.h"
#include "tests/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

static enum ps_rc
try(const char *address, bool reuse_port, int *fd, struct ps_err *err)
{
    const struct ps_listen at = {.address = address,
                                 .backlog = 4,
                                 .reuse_port = reuse_port,
                                 .option = "--listen-here"};
    return ps_listen_open(&at, fd, err);
}

static void
addresses_of_every_form(void **state)
{
    static const char *const good[] = {"127.0.0.1:0", "localhost:0", ":0",
                                       "[::ffff:127.0.0.1]:0"};
    struct ps_err err;
    (void)state;
    for (size_t i = 0; i < PS_ARRAY_LEN(good); i++) {
        int fd = -1;
        if (try(good[i], false, &fd, &err) != PS_OK)
            fail_msg("%s: %s", good[i], err.message);
        assert_in_range(ps_listen_port(fd), 1, 65535);
        close(fd);
    }
    assert_int_equal(ps_listen_port(-1), 0);
}

static void
what_is_no_address_is_told(void **state)
{
    static const char *const bad[] = {"",
                                      "8080",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "::1:80",
                                      "127.0.0.1:http!",
                                      "[127.0.0.1:80",
                                      "127.0.0.1:99999999"};
    struct ps_err err;
    char longest[600];
    int fd = -1;
    (void)state;
    for (size_t i = 0; i < PS_ARRAY_LEN(bad); i++) {
        assert_int_equal(try(bad[i], false, &fd, &err), PS_CONFIG);
        assert_non_null(strstr(err.message, "--listen-here"));
    }
    memset(longest, 'a', sizeof(longest));
    memcpy(longest + sizeof(longest) - 4, ":80", 4);
    assert_int_equal(try(longest, false, &fd, &err), PS_CONFIG);
    assert_int_equal(fd, -1);
}

static void
one_port_is_for_one_unless_it_is_shared(void **state)
{
    struct ps_err err;
    char taken[32];
    int first = -1, second = -1, third = -1;
    (void)state;
    assert_int_equal(try("127.0.0.1:0", true, &first, &err), PS_OK);
    snprintf(taken, sizeof(taken), "127.0.0.1:%d", ps_listen_port(first));
    assert_int_equal(try(taken, true, &second, &err), PS_OK);
    assert_int_equal(ps_listen_port(second), ps_listen_port(first));
    assert_int_equal(try(taken, false, &third, &err), PS_IO);
    assert_non_null(strstr(err.message, taken));
    assert_non_null(strstr(err.message, "--listen-here"));
    close(first);
    close(second);
}

static void
hosts_of_clients(void **state)
{
    static const struct {
        int family;
        const char *text, *want;
    } cases[] = {
        {AF_INET,  "192.0.2.7",        "192.0.2.7"  },
        {AF_INET6, "2001:db8::1",      "2001:db8::1"},
        {AF_INET6, "::ffff:192.0.2.7", "192.0.2.7"  },
        {AF_UNIX,  NULL,               "unknown"    },
    };
    (void)state;
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++) {
        struct sockaddr_storage address = {.ss_family =
                                               (sa_family_t)cases[i].family};
        char host[64];
        if (cases[i].family == AF_INET)
            inet_pton(AF_INET, cases[i].text,
                      &((struct sockaddr_in *)(void *)&address)->sin_addr);
        else if (cases[i].family == AF_INET6)
            inet_pton(AF_INET6, cases[i].text,
                      &((struct sockaddr_in6 *)(void *)&address)->sin6_addr);
        ps_address_host(&address, host, sizeof(host));
        assert_string_equal(host, cases[i].want);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_every_form),
        cmocka_unit_test(what_is_no_address_is_told),
        cmocka_unit_test(one_port_is_for_one_unless_it_is_shared),
        cmocka_unit_test(hosts_of_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
