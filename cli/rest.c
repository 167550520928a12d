/* The REST client. See rest.h. */
#include "cli/rest.h"

#include "common/check.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct ps_rest {
    CURL *curl;
    const volatile bool *stop;
    struct ps_buf body;
    char trouble[CURL_ERROR_SIZE];
};

void
ps_fault_set(struct ps_fault *fault, const char *code, const char *fmt, ...)
{
    va_list ap;
    snprintf(fault->code, sizeof(fault->code), "%s", code);
    va_start(ap, fmt);
    vsnprintf(fault->message, sizeof(fault->message), fmt, ap);
    va_end(ap);
}

struct ps_rest *
ps_rest_new(void)
{
    struct ps_rest *rest = calloc(1, sizeof(*rest));
    PS_CHECK(rest && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    rest->curl = curl_easy_init();
    PS_CHECK(rest->curl);
    return rest;
}

void
ps_rest_free(struct ps_rest **rest)
{
    if (*rest == NULL)
        return;
    curl_easy_cleanup((*rest)->curl);
    ps_buf_done(&(*rest)->body);
    free(*rest);
    *rest = NULL;
    curl_global_cleanup();
}

void
ps_rest_set_stop(struct ps_rest *rest, const volatile bool *flag)
{
    rest->stop = flag;
}

/* ---- what libcurl calls ---- */

static size_t
on_body(char *data, size_t one, size_t n, void *arg)
{
    struct ps_rest *rest = arg;
    ps_buf_append(&rest->body, data, n);
    return ps_buf_rc(&rest->body) == PS_OK ? one * n : 0;
}

/* Copies the value of a header line into out when its name is `name`. */
static void
take_header(const char *line, size_t len, const char *name, char *out,
            size_t size)
{
    size_t n = strlen(name);
    if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
        return;
    const char *value = line + n + 1, *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (unsigned char)end[-1] <= ' ')
        end--;
    snprintf(out, size, "%.*s", (int)(end - value), value);
}

static size_t
on_header(char *line, size_t one, size_t n, void *arg)
{
    struct ps_rest_reply *r = arg;
    take_header(line, n, "Cache-Status", r->cache_status,
                sizeof(r->cache_status));
    take_header(line, n, "Portside-Reason", r->reason, sizeof(r->reason));
    take_header(line, n, "Age", r->age, sizeof(r->age));
    take_header(line, n, "Server-Timing", r->server_timing,
                sizeof(r->server_timing));
    take_header(line, n, "ETag", r->etag, sizeof(r->etag));
    return one * n;
}

static int
on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct ps_rest *rest = arg;
    (void)a, (void)b, (void)c, (void)d;
    return rest->stop && *rest->stop;
}

/* ---- one call ---- */

#define SET(option, value) \
    PS_CHECK(curl_easy_setopt(curl, option, value) == CURLE_OK)

/* A proxy in the environment is not for this machine itself. */
static bool
is_loopback(const char *base)
{
    static const char *const hosts[] = {"://localhost", "://127.", "://[::1]"};
    for (size_t i = 0; i < PS_ARRAY_LEN(hosts); i++)
        if (strstr(base, hosts[i]))
            return true;
    return false;
}

static void
set_trust(CURL *curl, const struct ps_rest_call *call)
{
    SET(CURLOPT_SSL_VERIFYPEER, call->insecure ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, call->insecure ? 0L : 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (call->ca_pem == NULL)
        return;
    struct curl_blob pem = {.data = (void *)(uintptr_t)call->ca_pem,
                            .len = strlen(call->ca_pem),
                            .flags = CURL_BLOB_COPY};
    SET(CURLOPT_CAINFO, NULL);
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_CAINFO_BLOB, &pem);
}

static struct curl_slist *
add_header(struct curl_slist *list, const char *name, const char *value)
{
    char line[512];
    if (!value)
        return list;
    snprintf(line, sizeof(line), "%s: %s", name, value);
    return curl_slist_append(list, line);
}

static struct curl_slist *
make_headers(const struct ps_rest_call *call)
{
    char line[512];
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    list = curl_slist_append(list, "Accept: application/json");
    if (call->body)
        list = curl_slist_append(list, "Content-Type: application/json");
    list = add_header(list, "If-Match", call->if_match);
    list = add_header(list, "Idempotency-Key", call->idempotency_key);
    if (call->token) {
        snprintf(line, sizeof(line), "Authorization: Bearer %s", call->token);
        list = curl_slist_append(list, line);
        explicit_bzero(line, sizeof(line));
    }
    PS_CHECK(list);
    return list;
}

static void
prepare(struct ps_rest *rest, const struct ps_rest_call *call,
        struct ps_rest_reply *reply, const char *url)
{
    CURL *curl = rest->curl;
    curl_easy_reset(curl);
    rest->trouble[0] = '\0';
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_CUSTOMREQUEST, call->method);
    SET(CURLOPT_USERAGENT, "psctl/" PS_VERSION);
    SET(CURLOPT_ERRORBUFFER, rest->trouble);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)PS_MIN(call->timeout_ms, 5000u));
    SET(CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, rest);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, reply);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, rest);
    if (is_loopback(call->base))
        SET(CURLOPT_PROXY, "");
    set_trust(curl, call);
}

static enum ps_exit
explain(const struct ps_rest *rest, const struct ps_rest_call *call,
        CURLcode rc, struct ps_fault *fault)
{
    const char *base = call->base;
    switch (rc) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        ps_fault_set(fault, "bad_url",
                     "`%s` is not a usable address; it should look like "
                     "https://host:7600",
                     base);
        return PS_EXIT_USAGE;
    case CURLE_COULDNT_RESOLVE_HOST:
        ps_fault_set(fault, "cannot_resolve",
                     "the host name in %s cannot be resolved; check the "
                     "spelling and this machine's DNS",
                     base);
        break;
    case CURLE_COULDNT_CONNECT:
        ps_fault_set(fault, "cannot_connect",
                     "nothing accepts connections at %s; is it running, and "
                     "does a firewall let this machine through?",
                     base);
        break;
    case CURLE_OPERATION_TIMEDOUT:
        ps_fault_set(fault, "timeout",
                     "%s did not answer within %" PRIu64 " ms; check the "
                     "network, or give it more time with --timeout",
                     base, call->timeout_ms);
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
        ps_fault_set(fault, "certificate",
                     "the certificate of %s is not trusted (%s); if the "
                     "server's CA is new, give it again (see `psctl login "
                     "--help`)",
                     base, rest->trouble);
        break;
    case CURLE_SSL_CONNECT_ERROR:
        ps_fault_set(fault, "tls",
                     "TLS with %s failed (%s); is it an https address?", base,
                     rest->trouble);
        break;
    case CURLE_SSL_CACERT_BADFILE:
        ps_fault_set(fault, "bad_ca",
                     "the CA certificate is not valid PEM; log in again with "
                     "--ca-file");
        break;
    case CURLE_WRITE_ERROR:
        ps_fault_set(fault, "reply_too_big",
                     "the reply of %s is larger than %zu bytes; ask for less, "
                     "for instance with LIMIT",
                     base, call->max_bytes);
        return PS_EXIT_FAILED;
    case CURLE_ABORTED_BY_CALLBACK:
        ps_fault_set(fault, "interrupted", "interrupted");
        return PS_EXIT_INTERRUPTED;
    default:
        ps_fault_set(fault, "connection", "the connection to %s failed: %s",
                     base,
                     rest->trouble[0] ? rest->trouble : curl_easy_strerror(rc));
        break;
    }
    return PS_EXIT_CONNECT;
}

static void
finish(struct ps_rest *rest, struct ps_rest_reply *reply)
{
    curl_off_t total = 0, before = 0;
    curl_easy_getinfo(rest->curl, CURLINFO_RESPONSE_CODE, &reply->status);
    curl_easy_getinfo(rest->curl, CURLINFO_TOTAL_TIME_T, &total);
    curl_easy_getinfo(rest->curl, CURLINFO_PRETRANSFER_TIME_T, &before);
    reply->time_us = (uint64_t)(total > before ? total - before : 0);
    if (rest->body.len > 0)
        reply->json = json_loadb(rest->body.data, rest->body.len,
                                 JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

enum ps_exit
ps_rest_send(struct ps_rest *rest, const struct ps_rest_call *call,
             struct ps_rest_reply *reply, struct ps_fault *fault)
{
    char *url = NULL, *text = NULL;
    memset(reply, 0, sizeof(*reply));
    ps_buf_done(&rest->body);
    ps_buf_init(&rest->body, call->max_bytes);
    PS_CHECK(asprintf(&url, "%s%s", call->base, call->path) >= 0);
    prepare(rest, call, reply, url);
    struct curl_slist *headers = make_headers(call);
    CURL *curl = rest->curl;
    SET(CURLOPT_HTTPHEADER, headers);
    if (call->body) {
        text = json_dumps(call->body, JSON_COMPACT | JSON_ENCODE_ANY);
        PS_CHECK(text);
        SET(CURLOPT_POSTFIELDS, text);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(text));
    }
    CURLcode rc = curl_easy_perform(curl);
    SET(CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
    free(url);
    if (rc != CURLE_OK)
        return explain(rest, call, rc, fault);
    finish(rest, reply);
    return PS_EXIT_OK;
}

enum ps_exit
ps_rest_judge(const struct ps_rest_call *call,
              const struct ps_rest_reply *reply, struct ps_fault *fault)
{
    if (reply->status >= 200 && reply->status < 300)
        return PS_EXIT_OK;
    const char *code = json_string_value(json_object_get(reply->json, "code"));
    const char *message =
        json_string_value(json_object_get(reply->json, "message"));
    if (code == NULL || message == NULL)
        ps_fault_set(fault, "not_portside",
                     "%s%s answered with HTTP %ld and not as Portside does; "
                     "check the address",
                     call->base, call->path, reply->status);
    else
        ps_fault_set(fault, code, "%s", message);
    if (code && reply->status == 401 && call->token) {
        ps_fault_set(fault, code,
                     "%s does not accept the token; log in again with "
                     "`psctl login`",
                     call->base);
        return PS_EXIT_CONNECT;
    }
    return code && reply->status == 404 ? PS_EXIT_NOT_FOUND : PS_EXIT_FAILED;
}

void
ps_rest_reply_done(struct ps_rest_reply *reply)
{
    json_decref(reply->json);
    reply->json = NULL;
}
