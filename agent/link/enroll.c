/* See enroll.h. The only user of libcurl in the agent. */
#include "agent/link/enroll.h"

#include "agent/link/state.h"
#include "agent/link/token.h"
#include "common/buf.h"
#include "common/tls.h"

#include <jansson.h>

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    REPLY_MAX = 1 << 20,
    CONNECT_TIMEOUT_S = 10,
    TOTAL_TIMEOUT_S = 30
};

static size_t
collect(char *data, size_t size, size_t n, void *arg)
{
    struct ps_buf *buf = arg;
    ps_buf_append(buf, data, size * n);
    return ps_buf_rc(buf) == PS_OK ? size * n : 0;
}

struct exchange {
    const char *url;
    const char *ca_pem; /* NULL: the certificate is not checked */
    const char *body;   /* NULL: GET */
    struct ps_buf reply;
    long status;
};

static enum ps_rc
run_exchange(struct exchange *x, struct ps_err *err)
{
    char why[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/json");
    if (!curl || !headers)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    struct curl_blob ca = {.flags = CURL_BLOB_COPY};
    curl_easy_setopt(curl, CURLOPT_URL, x->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TOTAL_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &x->reply);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (x->ca_pem) {
        union {
            const char *in;
            void *out;
        } data = {.in = x->ca_pem};
        ca.data = data.out;
        ca.len = strlen(x->ca_pem);
        curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &ca);
    } else {
        /* Only to fetch the CA, which the token's fingerprint then proves. */
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (x->body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, x->body);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &x->status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK)
        return ps_err_set(err, PS_FABRIC,
                          "cannot reach the control plane at %s: %s", x->url,
                          why[0] ? why : curl_easy_strerror(code));
    return PS_OK;
}

/* The reply as an object, or the server's own message as the error. */
static enum ps_rc
call(const char *base, const char *path, const char *ca_pem, const char *body,
     json_t **out, struct ps_err *err)
{
    char url[2048];
    snprintf(url, sizeof(url), "%s%s", base, path);
    struct exchange x = {.url = url, .ca_pem = ca_pem, .body = body};
    ps_buf_init(&x.reply, REPLY_MAX);
    enum ps_rc rc = run_exchange(&x, err);
    json_t *root = NULL;
    if (rc == PS_OK) {
        root =
            json_loadb(x.reply.data ? x.reply.data : "", x.reply.len, 0, NULL);
        const char *message =
            json_string_value(json_object_get(root, "message"));
        if (x.status >= 400)
            rc = ps_err_set(err, PS_FORBIDDEN, "the control plane says: %s",
                            message ? message : "(no reason given)");
        else if (!json_is_object(root))
            rc = ps_err_set(err, PS_FABRIC,
                            "%s does not answer like a control plane", url);
    }
    ps_buf_done(&x.reply);
    if (rc == PS_OK)
        *out = root;
    else
        json_decref(root);
    return rc;
}

/* The CA whose fingerprint is the token's. */
static enum ps_rc
fetch_ca(const char *base, const struct ps_enroll_token *token, char **ca_pem,
         struct ps_err *err)
{
    json_t *root = NULL;
    char fingerprint[65];
    enum ps_rc rc = call(base, "/v1/ca", NULL, NULL, &root, err);
    if (rc != PS_OK)
        return rc;
    const char *pem = json_string_value(json_object_get(root, "certificate"));
    rc = pem ? ps_tls_fingerprint(pem, fingerprint, err)
             : ps_err_set(err, PS_FABRIC, "the control plane sent no CA");
    if (rc == PS_OK && strcmp(fingerprint, token->fingerprint) != 0)
        rc = ps_err_set(err, PS_TLS,
                        "the control plane at %s is not the one that made "
                        "this token: its CA has the fingerprint %s, the token "
                        "says %s",
                        base, fingerprint, token->fingerprint);
    if (rc == PS_OK && !(*ca_pem = strdup(pem)))
        rc = ps_err_set(err, PS_NO_MEMORY, NULL);
    json_decref(root);
    return rc;
}

static enum ps_rc
keep(struct ps_agent_state *s, json_t *reply, struct ps_err *err)
{
    const struct {
        const char *key;
        char **to;
    } fields[] = {
        {"agentId",      &s->agent_id     },
        {"agentName",    &s->agent_name   },
        {"agentSecret",  &s->agent_secret },
        {"region",       &s->region       },
        {"certificate",  &s->cert_pem     },
        {"callAddress",  &s->call_address },
        {"eventAddress", &s->event_address},
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(fields); i++) {
        const char *value =
            json_string_value(json_object_get(reply, fields[i].key));
        if (!value)
            return ps_err_set(err, PS_FABRIC,
                              "the control plane's answer has no %s",
                              fields[i].key);
        *fields[i].to = strdup(value);
        if (!*fields[i].to)
            return ps_err_set(err, PS_NO_MEMORY, NULL);
    }
    return ps_agent_state_save(s, err);
}

static enum ps_rc
join(const struct ps_enroll *e, const struct ps_enroll_token *token,
     struct ps_agent_state *s, struct ps_err *err)
{
    const char *base = e->url ? e->url : token->url;
    char host[256] = "", *csr = NULL;
    gethostname(host, sizeof(host) - 1);
    printf("control plane   %s\n", base);
    enum ps_rc rc = fetch_ca(base, token, &s->ca_pem, err);
    if (rc == PS_OK) {
        printf("fingerprint     %s (as the token says)\n", token->fingerprint);
        rc = ps_tls_make_key(&s->key_pem, err);
    }
    if (rc == PS_OK)
        rc = ps_tls_make_csr(s->key_pem, e->name ? e->name : host, &csr, err);
    if (rc != PS_OK)
        return rc;
    json_t *body = json_pack("{s:s, s:s, s:s, s:s*}", "token", token->secret,
                             "csr", csr, "hostname", host, "name", e->name);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_t *reply = NULL;
    rc = text ? call(base, "/v1/enroll", s->ca_pem, text, &reply, err)
              : ps_err_set(err, PS_NO_MEMORY, NULL);
    if (rc == PS_OK)
        rc = keep(s, reply, err);
    json_decref(reply);
    json_decref(body);
    free(text);
    free(csr);
    return rc;
}

enum ps_rc
ps_enroll_run(const struct ps_enroll *e, struct ps_err *err)
{
    struct ps_enroll_token token;
    if (ps_agent_state_exists(e->dir) && !e->force)
        return ps_err_set(err, PS_CONFLICT,
                          "%s already holds an agent; use another --dir, or "
                          "--force to replace it",
                          e->dir);
    enum ps_rc rc = ps_enroll_token_parse(&token, e->token, err);
    if (rc != PS_OK)
        return rc;
    struct ps_agent_state s = {.lock_fd = -1, .dir = strdup(e->dir)};
    rc = s.dir ? join(e, &token, &s, err) : ps_err_set(err, PS_NO_MEMORY, NULL);
    if (rc == PS_OK)
        printf("agent           %s (%s)\nregion          %s\n"
               "state           %s\n\nstart it with: portside-agent run --dir "
               "%s\n",
               s.agent_name, s.agent_id, s.region, s.dir, s.dir);
    ps_agent_state_done(&s);
    ps_enroll_token_done(&token);
    return rc;
}
