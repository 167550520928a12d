/* See admin.h. */
#include "common/io/admin.h"

#include "common/check.h"
#include "common/io/address.h"
#include "common/list.h"
#include "common/log.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ADMIN_MAGIC = 0x7061646d,
    HEAD_MAX = 16 << 10,
    BODY_MAX = 4 << 10,
    TIMEOUT_S = 30,
    BACKLOG = 64,
    WAITING_MAX = 64, /* scrapes at a time */
    METRICS_MAX = 64 << 20
};

/* A scrape that waits for fresh figures. */
struct waiting {
    struct ps_link link;
    struct evhttp_request *req;
};

struct ps_admin {
    unsigned magic;
    struct ps_admin_conf conf;
    struct evhttp *http;
    int port;
    bool refreshing;
    struct ps_list waiting;
};

/* ---- replies ---- */

static void
reply(struct evhttp_request *req, int status, const char *type,
      struct ps_str text)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    struct evbuffer *body = evbuffer_new();
    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    if (body && text.len && evhttp_request_get_command(req) != EVHTTP_REQ_HEAD)
        evbuffer_add(body, text.ptr, text.len);
    evhttp_send_reply(req, status, ps_http_reason(status), body);
    if (body)
        evbuffer_free(body);
}

static void
reply_json(struct evhttp_request *req, int status, const char *name,
           const char *value)
{
    struct ps_buf out;
    ps_buf_init(&out, 4096);
    ps_buf_append_char(&out, '{');
    ps_buf_append_json(&out, ps_str_of(name));
    ps_buf_append_char(&out, ':');
    ps_buf_append_json(&out, ps_str_of(value));
    ps_buf_append_c(&out, "}\n");
    reply(req, status, "application/json", ps_buf_str(&out));
    ps_buf_done(&out);
}

static void
reply_error(struct evhttp_request *req, int status, const char *message)
{
    reply_json(req, status, "message", message);
}

/* ---- metrics ---- */

static void
send_metrics(struct ps_admin *admin, struct evhttp_request *req)
{
    struct ps_buf out;
    ps_buf_init(&out, METRICS_MAX);
    struct ps_metrics m = {.out = &out};
    admin->conf.metrics(admin->conf.arg, &m);
    if (ps_buf_rc(&out) == PS_OK)
        reply(req, 200, "text/plain; version=0.0.4; charset=utf-8",
              ps_buf_str(&out));
    else
        reply_error(req, 503, "not enough memory");
    ps_buf_done(&out);
}

void
ps_admin_fresh(struct ps_admin *admin)
{
    struct ps_link *link;
    PS_CHECK_OBJ(admin, ADMIN_MAGIC);
    admin->refreshing = false;
    while ((link = ps_list_pop_front(&admin->waiting))) {
        struct waiting *w = PS_CONTAINER_OF(link, struct waiting, link);
        send_metrics(admin, w->req);
        free(w);
    }
}

/* A client that goes away while it waits is noticed by evhttp, which lets the
 * reply go nowhere. */
static void
get_metrics(struct ps_admin *admin, struct evhttp_request *req)
{
    if (!admin->refreshing)
        admin->refreshing =
            admin->conf.refresh && admin->conf.refresh(admin->conf.arg);
    if (!admin->refreshing) {
        send_metrics(admin, req);
        return;
    }
    struct waiting *w =
        admin->waiting.count < WAITING_MAX ? calloc(1, sizeof(*w)) : NULL;
    if (!w) {
        reply_error(req, 503, "too many scrapes at a time");
        return;
    }
    w->req = req;
    ps_list_push_back(&admin->waiting, &w->link);
}

/* ---- the others ---- */

static void
get_health(PS_UNUSED struct ps_admin *admin, struct evhttp_request *req)
{
    reply_json(req, 200, "status", "ok");
}

static void
get_ready(struct ps_admin *admin, struct evhttp_request *req)
{
    const char *trouble =
        admin->conf.trouble ? admin->conf.trouble(admin->conf.arg) : NULL;
    if (trouble)
        reply_error(req, 503, trouble);
    else
        reply_json(req, 200, "status", "ready");
}

static void
get_levels(PS_UNUSED struct ps_admin *admin, struct evhttp_request *req)
{
    struct ps_buf out;
    ps_buf_init(&out, 4096);
    ps_log_show_levels(&out);
    ps_buf_append_char(&out, '\n');
    reply(req, 200, "text/plain; charset=utf-8", ps_buf_str(&out));
    ps_buf_done(&out);
}

static void
put_levels(struct ps_admin *admin, struct evhttp_request *req)
{
    struct evbuffer *input = evhttp_request_get_input_buffer(req);
    struct ps_str text = {.len = evbuffer_get_length(input)};
    struct ps_err err;
    text.ptr = (const char *)evbuffer_pullup(input, -1);
    if (!text.ptr)
        text.len = 0;
    while (text.len &&
           (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
        text.len--;
    if (ps_log_set_levels(text, &err) != PS_OK) {
        reply_error(req, 400, err.message);
        return;
    }
    /* Whatever the levels are, this is worth a line. */
    struct ps_buf now;
    ps_buf_init(&now, 4096);
    ps_log_show_levels(&now);
    ps_buf_append_char(&now, '\0');
    ps_log(PS_MAX(ps_log_level(), PS_LOG_WARN), "admin",
           "log levels are now %s", now.data ? now.data : "?");
    ps_buf_done(&now);
    get_levels(admin, req);
}

static const struct {
    const char *path;
    void (*get)(struct ps_admin *admin, struct evhttp_request *req);
    void (*put)(struct ps_admin *admin, struct evhttp_request *req);
} routes[] = {
    {"/metrics",    get_metrics, NULL      },
    {"/healthz",    get_health,  NULL      },
    {"/readyz",     get_ready,   NULL      },
    {"/log-levels", get_levels,  put_levels},
};

static void
on_request(struct evhttp_request *req, void *arg)
{
    struct ps_admin *admin = arg;
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
    enum evhttp_cmd_type command = evhttp_request_get_command(req);
    for (size_t i = 0; path && i < PS_ARRAY_LEN(routes); i++) {
        if (strcmp(routes[i].path, path) != 0)
            continue;
        if (command == EVHTTP_REQ_PUT && routes[i].put) {
            routes[i].put(admin, req);
            return;
        }
        if (command == EVHTTP_REQ_GET || command == EVHTTP_REQ_HEAD) {
            routes[i].get(admin, req);
            return;
        }
        evhttp_add_header(evhttp_request_get_output_headers(req), "Allow",
                          routes[i].put ? "GET, HEAD, PUT" : "GET, HEAD");
        reply_error(req, 405, "this path does not take that method");
        return;
    }
    reply_error(req, 404,
                "there are /metrics, /healthz, /readyz and /log-levels");
}

/* ---- life ---- */

enum ps_rc
ps_admin_start(struct ps_admin **out, const struct ps_admin_conf *conf,
               struct ps_err *err)
{
    int fd = -1;
    const struct ps_listen at = {.address = conf->address,
                                 .backlog = BACKLOG,
                                 .option = "--listen-admin"};
    enum ps_rc rc = ps_listen_open(&at, &fd, err);
    if (rc != PS_OK)
        return rc;
    struct ps_admin *admin = calloc(1, sizeof(*admin));
    struct evhttp *http = evhttp_new(ps_loop_base(conf->loop));
    if (!admin || !http || evhttp_accept_socket(http, fd) != 0) {
        if (http)
            evhttp_free(http);
        free(admin);
        close(fd);
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    }
    *admin = (struct ps_admin){.magic = ADMIN_MAGIC,
                               .conf = *conf,
                               .http = http,
                               .port = ps_listen_port(fd)};
    ps_list_init(&admin->waiting);
    evhttp_set_max_headers_size(http, HEAD_MAX);
    evhttp_set_max_body_size(http, BODY_MAX);
    evhttp_set_timeout(http, TIMEOUT_S);
    evhttp_set_allowed_methods(
        http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT |
                  EVHTTP_REQ_POST | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS);
    evhttp_set_gencb(http, on_request, admin);
    *out = admin;
    return PS_OK;
}

void
ps_admin_stop(struct ps_admin **adminp)
{
    struct ps_admin *admin = *adminp;
    struct ps_link *link;
    if (!admin)
        return;
    PS_CHECK_OBJ(admin, ADMIN_MAGIC);
    *adminp = NULL;
    while ((link = ps_list_pop_front(&admin->waiting))) {
        struct waiting *w = PS_CONTAINER_OF(link, struct waiting, link);
        reply_error(w->req, 503, "stopping");
        free(w);
    }
    evhttp_free(admin->http);
    admin->magic = 0;
    free(admin);
}

int
ps_admin_port(const struct ps_admin *admin)
{
    return admin->port;
}
