/*
 * Sockets, TLS and evhttp under the API, and their limits.
 *
 * evhttp's own time-outs are per read, so a sender of one byte a second would
 * never meet them. Each connection therefore has a deadline of its own: first
 * for the handshake, then for completing the next request. It lives in the
 * SSL object's ex_data, because that is freed exactly when the connection
 * ends, and it ends a connection by shutting its socket down, which evhttp
 * then notices in its ordinary way.
 *
 * What evhttp itself refuses (a malformed head, a body above the limit) it
 * answers with a page of HTML; on_output() replaces that by our error shape.
 */
#include "common/clock.h"
#include "common/io/address.h"
#include "common/list.h"
#include "common/log.h"
#include "common/tls.h"
#include "controlplane/api/api_private.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <openssl/ssl.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct api_server {
    struct evhttp *http;
    struct evconnlistener *listener; /* belongs to http */
    struct ssl_ctx_st *tls;
    struct ps_list connections;
    struct ps_list held; /* requests that wait, struct api_request */
    int port;
    int ex_index;
};

struct connection {
    struct ps_link link;
    struct ps_api *api;
    SSL *ssl;
    struct ps_timer timer;
    uint64_t since_ms; /* last request completed, or accepted */
    bool established;
    bool replacing;
};

/* --------------------------------------------------------- connections */

static void
check_deadline(void *arg)
{
    struct connection *c = arg;
    const struct ps_api_conf *conf = &c->api->conf;
    uint64_t now = ps_clock_now_ms(ps_loop_clock(conf->loop));
    if (SSL_is_init_finished(c->ssl))
        c->established = true;
    uint64_t due = c->established ? c->since_ms + conf->request_ms : now;
    if (due > now) {
        ps_timer_start_ms(&c->timer, due - now);
        return;
    }
    ps_debug("api", "a connection was shut: too slow or idle");
    int fd = SSL_get_fd(c->ssl);
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
}

/* CRYPTO_EX_free: the SSL object, and the connection with it, ends. */
static void
connection_free(PS_UNUSED void *parent, void *ptr, PS_UNUSED CRYPTO_EX_DATA *ad,
                PS_UNUSED int index, PS_UNUSED long argl, PS_UNUSED void *argp)
{
    struct connection *c = ptr;
    if (!c)
        return;
    struct api_server *server = c->api->server;
    ps_timer_stop(&c->timer);
    ps_list_remove(&server->connections, &c->link);
    if (server->listener)
        evconnlistener_enable(server->listener);
    free(c);
}

/* Is this the end of a page that evhttp made? Ours are JSON. */
static bool
is_html(struct evbuffer *buffer)
{
    static const char tail[] = "</BODY></HTML>\n";
    char end[sizeof(tail) - 1];
    size_t len = evbuffer_get_length(buffer);
    struct evbuffer_ptr at;
    if (len < sizeof(end) ||
        evbuffer_ptr_set(buffer, &at, len - sizeof(end), EVBUFFER_PTR_SET) ||
        evbuffer_copyout_from(buffer, &at, end, sizeof(end)) !=
            (ev_ssize_t)sizeof(end))
        return false;
    return memcmp(end, tail, sizeof(end)) == 0;
}

static enum ps_rc
refusal_of(struct evbuffer *buffer)
{
    char head[13] = ""; /* "HTTP/1.1 413 " */
    evbuffer_copyout(buffer, head, sizeof(head) - 1);
    switch (strtol(head + 9, NULL, 10)) {
    case 413:
        return PS_BODY_TOO_BIG;
    case 501:
        return PS_METHOD;
    default:
        return PS_BAD_REQUEST;
    }
}

static void
on_output(struct evbuffer *buffer, const struct evbuffer_cb_info *info,
          void *arg)
{
    struct connection *c = arg;
    if (info->n_added == 0 || c->replacing || !is_html(buffer))
        return;
    struct ps_buf body;
    enum ps_rc rc = refusal_of(buffer);
    const char *message = rc == PS_BAD_REQUEST
                              ? "the request is not valid HTTP, or its head "
                                "is too large"
                              : NULL;
    ps_buf_init(&body, 4096);
    int status = api_put_error(&body, rc, message);
    if (ps_buf_rc(&body) == PS_OK) {
        c->replacing = true;
        evbuffer_drain(buffer, evbuffer_get_length(buffer));
        evbuffer_add_printf(buffer,
                            "HTTP/1.1 %d %s\r\n"
                            "Content-Type: application/json\r\n"
                            "Content-Length: %zu\r\n"
                            "Connection: close\r\n\r\n",
                            status, ps_http_reason(status), body.len);
        evbuffer_add(buffer, body.data, body.len);
        c->replacing = false;
    }
    ps_buf_done(&body);
}

static struct connection *
connection_new(struct ps_api *api, SSL *ssl)
{
    struct api_server *server = api->server;
    struct connection *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->api = api;
    c->ssl = ssl;
    ps_timer_init(&c->timer, api->conf.loop, check_deadline, c);
    c->since_ms = ps_clock_now_ms(ps_loop_clock(api->conf.loop));
    ps_list_push_back(&server->connections, &c->link);
    if (SSL_set_ex_data(ssl, server->ex_index, c) != 1) {
        ps_list_remove(&server->connections, &c->link);
        free(c);
        return NULL;
    }
    ps_timer_start_ms(&c->timer, api->conf.handshake_ms);
    if (server->connections.count >= PS_API_CONNECTIONS_MAX)
        evconnlistener_disable(server->listener);
    return c;
}

/* evhttp takes NULL for "make one without TLS", and a request that came on
 * such a connection is refused in on_request(). */
static struct bufferevent *
make_bufferevent(struct event_base *base, void *arg)
{
    struct ps_api *api = arg;
    SSL *ssl = SSL_new(api->server->tls);
    struct connection *c = ssl ? connection_new(api, ssl) : NULL;
    struct bufferevent *bev = NULL;
    if (c)
        bev = bufferevent_openssl_socket_new(
            base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (!bev) {
        ps_error("api", "no memory for a connection");
        SSL_free(ssl);
        return NULL;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    evbuffer_add_cb(bufferevent_get_output(bev), on_output, c);
    return bev;
}

/* ------------------------------------------------------------ requests */

static enum api_method
method_of(enum evhttp_cmd_type command)
{
    switch (command) {
    case EVHTTP_REQ_GET:
        return API_GET;
    case EVHTTP_REQ_POST:
        return API_POST;
    case EVHTTP_REQ_PUT:
        return API_PUT;
    case EVHTTP_REQ_PATCH:
        return API_PATCH;
    case EVHTTP_REQ_DELETE:
        return API_DELETE;
    default:
        return API_OTHER;
    }
}

static void
send_reply(struct evhttp_request *req, struct api_request *request)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    struct evbuffer *body = evbuffer_new();
    evhttp_add_header(headers, "Content-Type", "application/json");
    evhttp_add_header(headers, "Cache-Control", "no-store");
    if (request->status == 401)
        evhttp_add_header(headers, "WWW-Authenticate", "Bearer");
    if (request->status == 405)
        evhttp_add_header(headers, "Allow", request->allow);
    if (request->location[0])
        evhttp_add_header(headers, "Location", request->location);
    if (request->etag[0])
        evhttp_add_header(headers, "ETag", request->etag);
    if (request->replayed)
        evhttp_add_header(headers, "Idempotent-Replayed", "true");
    if (request->status == 204 || request->status == 304)
        evhttp_remove_header(headers, "Content-Type");
    else if (body && evhttp_request_get_command(req) != EVHTTP_REQ_HEAD)
        evbuffer_add(body, request->out.data, request->out.len);
    evhttp_send_reply(req, request->status, ps_http_reason(request->status),
                      body);
    if (body)
        evbuffer_free(body);
}

/* The header, or NULL; *twice gets the name of one that is there twice. */
static const char *
once(const struct evkeyvalq *headers, const char *name, const char **twice)
{
    const char *value = NULL;
    for (const struct evkeyval *h = headers->tqh_first; h;
         h = h->next.tqe_next) {
        if (strcasecmp(h->key, name) != 0)
            continue;
        if (value)
            *twice = name;
        value = h->value;
    }
    return value;
}

/* The connection of a request, NULL when it has no TLS. */
static struct connection *
connection_of(struct ps_api *api, struct evhttp_request *req)
{
    struct evhttp_connection *evcon = evhttp_request_get_connection(req);
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evcon);
    SSL *ssl = bufferevent_openssl_get_ssl(bev);
    return ssl ? SSL_get_ex_data(ssl, api->server->ex_index) : NULL;
}

/* The end of a request, and of its reply. */
static void
finish(struct api_request *request)
{
    struct ps_api *api = request->api;
    api->replies[PS_MIN(request->status / 100, 5)]++;
    send_reply(request->http, request);
    api_request_done(request);
    free(request);
}

/* Its connection may be gone: then evhttp has left the request to us, and
 * send_reply() frees it. */
void
api_finish(struct api_request *request, enum ps_rc rc, struct ps_err *err)
{
    PS_CHECK(request->held);
    ps_list_remove(&request->api->server->held, &request->link);
    request->ask = NULL;
    request->held = false;
    api_complete(request, rc, err);
    finish(request);
}

static void
answer(struct ps_api *api, struct evhttp_request *req)
{
    struct evkeyvalq *headers = evhttp_request_get_input_headers(req);
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
    const char *query = uri ? evhttp_uri_get_query(uri) : NULL;
    struct evbuffer *input = evhttp_request_get_input_buffer(req);
    struct evkeyvalq params = {NULL, NULL};
    struct api_request *request = calloc(1, sizeof(*request));
    if (!request) {
        evhttp_send_error(req, 503, NULL);
        return;
    }
    *request = (struct api_request){
        .api = api,
        .method = method_of(evhttp_request_get_command(req)),
        .path = path ? path : "",
        .query = query,
        .authorization = evhttp_find_header(headers, "Authorization"),
        .text = {.ptr = NULL, .len = evbuffer_get_length(input)},
        .http = req,
    };
    request->if_match = once(headers, "If-Match", &request->twice);
    request->if_none_match = once(headers, "If-None-Match", &request->twice);
    request->idempotency_key =
        once(headers, "Idempotency-Key", &request->twice);
    bool parsed = query && evhttp_parse_query_str(query, &params) == 0;
    if (parsed)
        request->run = evhttp_find_header(&params, "run");
    request->text.ptr = (const char *)evbuffer_pullup(input, -1);
    if (!request->text.ptr)
        request->text.len = 0;
    api_run(request);
    if (parsed)
        evhttp_clear_headers(&params);
    request->run = NULL;
    if (request->held)
        ps_list_push_back(&api->server->held, &request->link);
    else
        finish(request);
}

static void
on_request(struct evhttp_request *req, void *arg)
{
    struct ps_api *api = arg;
    struct connection *c = connection_of(api, req);
    if (!c) {
        evhttp_send_error(req, 400, NULL);
        return;
    }
    c->established = true;
    c->since_ms = ps_clock_now_ms(ps_loop_clock(api->conf.loop));
    answer(api, req);
}

/* ---------------------------------------------------------- life cycle */

static enum ps_rc
make_tls(struct ps_api *api, struct ps_err *err)
{
    char *cert = NULL, *key = NULL;
    enum ps_rc rc =
        ps_ca_issue_server(api->conf.ca, api->conf.names, &cert, &key, err);
    if (rc == PS_OK)
        rc = ps_tls_server_ctx(cert, key, &api->server->tls, err);
    free(cert);
    if (key)
        explicit_bzero(key, strlen(key));
    free(key);
    return rc;
}

static bool
make_http(struct ps_api *api, int fd)
{
    struct api_server *server = api->server;
    server->http = evhttp_new(ps_loop_base(api->conf.loop));
    if (!server->http)
        return false;
    evhttp_set_max_headers_size(server->http, PS_API_HEAD_MAX);
    evhttp_set_max_body_size(server->http, PS_API_BODY_MAX);
    evhttp_set_timeout(server->http, PS_API_REQUEST_MS / 1000);
    /* The body that is too big is read (and dropped) before the answer:
     * otherwise the client sees a reset instead. */
    evhttp_set_flags(server->http, EVHTTP_SERVER_LINGERING_CLOSE);
    /* All methods, so that the route table can say which ones it takes. */
    evhttp_set_allowed_methods(server->http, UINT16_MAX);
    evhttp_set_default_content_type(server->http, NULL);
    evhttp_set_bevcb(server->http, make_bufferevent, api);
    evhttp_set_gencb(server->http, on_request, api);
    struct evhttp_bound_socket *bound =
        evhttp_accept_socket_with_handle(server->http, fd);
    if (!bound)
        return false;
    server->listener = evhttp_bound_socket_get_listener(bound);
    return true;
}

enum ps_rc
api_server_start(struct ps_api *api, struct ps_err *err)
{
    int fd = -1;
    /* Head and body are two writes, hence no_delay. */
    const struct ps_listen at = {.address = api->conf.address,
                                 .backlog = 128,
                                 .no_delay = true,
                                 .option = "--listen-api"};
    struct api_server *server = calloc(1, sizeof(*server));
    if (!server)
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    api->server = server;
    ps_list_init(&server->connections);
    ps_list_init(&server->held);
    server->ex_index =
        SSL_get_ex_new_index(0, NULL, NULL, NULL, connection_free);
    enum ps_rc rc = make_tls(api, err);
    if (rc == PS_OK)
        rc = ps_listen_open(&at, &fd, err);
    if (rc != PS_OK)
        return rc;
    server->port = ps_listen_port(fd);
    if (!make_http(api, fd)) {
        close(fd);
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    }
    return PS_OK;
}

/* libevent frees a bufferevent, and the SSL object with it, from its loop, or
 * when that ends: later than the API. */
static void
forget_connections(struct api_server *server)
{
    struct ps_link *link;
    while ((link = ps_list_pop_front(&server->connections))) {
        struct connection *c = PS_CONTAINER_OF(link, struct connection, link);
        SSL_set_ex_data(c->ssl, server->ex_index, NULL);
        ps_timer_stop(&c->timer);
        free(c);
    }
}

bool
ps_api_end_held(struct ps_api *api)
{
    struct api_server *server = api->server;
    struct ps_link *link;
    struct ps_err err;
    bool any = ps_list_first(&server->held) != NULL;
    while ((link = ps_list_first(&server->held))) {
        struct api_request *request =
            PS_CONTAINER_OF(link, struct api_request, link);
        enum ps_rc rc = ps_err_set(&err, PS_SHUTTING_DOWN,
                                   "the control plane is shutting down");
        ps_fleet_ask_cancel(&request->ask);
        api_finish(request, rc, &err);
    }
    return any;
}

void
api_server_stop(struct ps_api *api)
{
    struct api_server *server = api->server;
    if (!server)
        return;
    (void)ps_api_end_held(api);
    server->listener = NULL;
    if (server->http)
        evhttp_free(server->http);
    forget_connections(server);
    ps_tls_ctx_free(&server->tls);
    free(server);
    api->server = NULL;
}

int
api_server_port(const struct ps_api *api)
{
    return api->server->port;
}
