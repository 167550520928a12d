/* Which sentence for which of OpenSSL's words; handshakes are in
 * agent/probe/probe_test.c and tests/e2e/tls.test.mjs. */
#include "common/tls_peer.h"
#include "tests/unit.h"

static void
words_of_openssl(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum ps_tls_fault fault;
    } cases[] = {
        {"TLS/SSL error: certificate has expired",       PS_TLS_FAULT_EXPIRED    },
        {"certificate is not yet valid",                 PS_TLS_FAULT_NOT_YET    },
        {"self-signed certificate",                      PS_TLS_FAULT_SELF_SIGNED},
        {"self-signed certificate in certificate chain",
         PS_TLS_FAULT_UNKNOWN_CA                                                 },
        {"unable to get local issuer certificate",       PS_TLS_FAULT_UNKNOWN_CA },
        {"unable to verify the first certificate",       PS_TLS_FAULT_UNKNOWN_CA },
        {"hostname mismatch",                            PS_TLS_FAULT_HOST       },
        {"certificate revoked",                          PS_TLS_FAULT_REVOKED    },
        {"sslv3 alert bad certificate",                  PS_TLS_FAULT_OTHER      },
        {"",                                             PS_TLS_FAULT_OTHER      },
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++)
        assert_int_equal(ps_tls_fault_in(cases[i].text), cases[i].fault);
    for (int i = 0; i < PS_TLS_FAULT_COUNT; i++)
        assert_non_null(
            strstr(ps_tls_fault_sentence((enum ps_tls_fault)i), "certificate"));
    assert_int_equal(ps_tls_fault_of(-1), PS_TLS_FAULT_OTHER);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_openssl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
