/* Sealed texts. See tls_seal.h. */
#include "common/tls_seal.h"

#include "common/check.h"
#include "common/tls.h"

#include <openssl/evp.h>

enum {
    NONCE = 12,
    TAG = 16
};

static EVP_CIPHER_CTX *
begin(bool encrypt, struct ps_str secret, const unsigned char nonce[NONCE],
      struct ps_str bound)
{
    unsigned char key[32];
    int n;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    ps_sha256(secret, key);
    PS_CHECK(ctx && EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce,
                                      encrypt) == 1);
    explicit_bzero(key, sizeof(key));
    PS_CHECK(bound.len <= INT32_MAX &&
             EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)bound.ptr,
                              (int)bound.len) == 1);
    return ctx;
}

void
ps_seal(struct ps_str secret, struct ps_str bound, struct ps_str text,
        struct ps_buf *out)
{
    unsigned char nonce[NONCE], tag[TAG];
    int n = 0, last = 0;
    PS_CHECK(text.len <= INT32_MAX - PS_SEAL_EXTRA);
    ps_random_bytes(nonce, sizeof(nonce));
    EVP_CIPHER_CTX *ctx = begin(true, secret, nonce, bound);
    ps_buf_append(out, nonce, sizeof(nonce));
    unsigned char *to = (unsigned char *)ps_buf_reserve(out, text.len + TAG);
    if (to) {
        PS_CHECK(EVP_CipherUpdate(ctx, to, &n, (const unsigned char *)text.ptr,
                                  (int)text.len) == 1 &&
                 EVP_CipherFinal_ex(ctx, to + n, &last) == 1 &&
                 (size_t)n == text.len && last == 0 &&
                 EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, tag) == 1);
        out->len += text.len;
        ps_buf_append(out, tag, sizeof(tag));
    }
    EVP_CIPHER_CTX_free(ctx);
}

enum ps_rc
ps_unseal(struct ps_str secret, struct ps_str bound, struct ps_str sealed,
          struct ps_buf *out)
{
    unsigned char nonce[NONCE], tag[TAG];
    int n = 0, last = 0;
    if (sealed.len < PS_SEAL_EXTRA || sealed.len > INT32_MAX)
        return PS_BAD_REQUEST;
    size_t len = sealed.len - PS_SEAL_EXTRA;
    memcpy(nonce, sealed.ptr, NONCE);
    memcpy(tag, sealed.ptr + NONCE + len, TAG);
    EVP_CIPHER_CTX *ctx = begin(false, secret, nonce, bound);
    unsigned char *to = (unsigned char *)ps_buf_reserve(out, len + 1);
    enum ps_rc rc = to ? PS_OK : ps_buf_rc(out);
    if (to && (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) != 1 ||
               EVP_CipherUpdate(ctx, to, &n,
                                (const unsigned char *)sealed.ptr + NONCE,
                                (int)len) != 1 ||
               EVP_CipherFinal_ex(ctx, to + n, &last) != 1))
        rc = PS_BAD_REQUEST;
    if (rc == PS_OK)
        out->len += len;
    EVP_CIPHER_CTX_free(ctx);
    return rc;
}
