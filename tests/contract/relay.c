/*
 * Pairs of sockets and their watches. What is passed on is little and goes
 * over loopback, so that a short write does not happen; it is checked.
 */
#include "tests/contract/relay.h"

#include "common/check.h"
#include "common/list.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct pair {
    struct ps_link link;
    struct relay *relay;
    int client, server; /* -1: none */
    struct ps_watch *client_watch, *server_watch;
};

struct relay {
    struct ps_loop *loop;
    struct relay_conf conf;
    int listener;
    struct ps_watch *watch;
    uint16_t port;
    size_t bytes;
    bool stalled, saw;
    struct ps_list pairs;
};

static void
pair_free(struct pair *pair)
{
    ps_list_remove(&pair->relay->pairs, &pair->link);
    ps_watch_free(&pair->client_watch);
    ps_watch_free(&pair->server_watch);
    close(pair->client);
    if (pair->server >= 0)
        close(pair->server);
    free(pair);
}

static void
write_all(int fd, const char *bytes, size_t n)
{
    ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
    PS_CHECK(sent == (ssize_t)n || (sent < 0 && errno != EAGAIN));
}

static void
on_server(void *arg, unsigned ready)
{
    struct pair *pair = arg;
    struct relay *relay = pair->relay;
    char bytes[16384];
    (void)ready;
    if (relay->stalled) {
        ps_watch_set(pair->server_watch, 0);
        return;
    }
    size_t left = relay->conf.cut_after - relay->bytes;
    ssize_t n = read(pair->server, bytes, PS_MIN(sizeof(bytes), left));
    if (n > 0) {
        write_all(pair->client, bytes, (size_t)n);
        relay->bytes += (size_t)n;
    }
    if (relay->bytes == relay->conf.cut_after && relay->conf.stall)
        relay->stalled = true;
    else if (n <= 0 || relay->bytes == relay->conf.cut_after)
        pair_free(pair);
}

static void
on_client(void *arg, unsigned ready)
{
    struct pair *pair = arg;
    const struct relay_conf *conf = &pair->relay->conf;
    char bytes[16384];
    (void)ready;
    ssize_t n = read(pair->client, bytes, sizeof(bytes));
    if (n > 0 && conf->look_for.len &&
        memmem(bytes, (size_t)n, conf->look_for.ptr, conf->look_for.len))
        pair->relay->saw = true;
    if (n <= 0)
        pair_free(pair);
    else if (conf->says.len)
        write_all(pair->client, conf->says.ptr, conf->says.len);
    else if (conf->cut_after == 0)
        pair_free(pair);
    else if (pair->server >= 0)
        write_all(pair->server, bytes, (size_t)n);
}

/* For a protocol whose server speaks first. */
static void
speak_first(struct pair *pair)
{
    const struct relay_conf *conf = &pair->relay->conf;
    if (conf->says.len)
        write_all(pair->client, conf->says.ptr, conf->says.len);
    else if (conf->cut_after == 0)
        pair_free(pair);
}

static int
connect_to(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    PS_CHECK(fd >= 0);
    PS_CHECK(connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
    return fd;
}

static void
on_listener(void *arg, unsigned ready)
{
    struct relay *relay = arg;
    (void)ready;
    int fd = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct pair *pair = calloc(1, sizeof(*pair));
    PS_CHECK(pair);
    pair->relay = relay;
    pair->client = fd;
    pair->server = -1;
    ps_list_push_back(&relay->pairs, &pair->link);
    pair->client_watch = ps_watch_new(relay->loop, fd, on_client, pair);
    ps_watch_set(pair->client_watch, relay->conf.silent ? 0 : PS_IO_READ);
    if (relay->conf.server_port) {
        pair->server = connect_to(relay->conf.server_port);
        pair->server_watch =
            ps_watch_new(relay->loop, pair->server, on_server, pair);
        ps_watch_set(pair->server_watch, PS_IO_READ);
    } else if (relay->conf.first) {
        speak_first(pair);
    }
}

struct relay *
relay_new(struct ps_loop *loop, const struct relay_conf *conf)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    struct relay *relay = calloc(1, sizeof(*relay));
    PS_CHECK(relay);
    relay->loop = loop;
    relay->conf = *conf;
    ps_list_init(&relay->pairs);
    relay->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    PS_CHECK(relay->listener >= 0);
    PS_CHECK(bind(relay->listener, (struct sockaddr *)&at, len) == 0);
    PS_CHECK(getsockname(relay->listener, (struct sockaddr *)&at, &len) == 0);
    PS_CHECK(listen(relay->listener, 16) == 0);
    relay->port = ntohs(at.sin_port);
    relay->watch = ps_watch_new(loop, relay->listener, on_listener, relay);
    ps_watch_set(relay->watch, PS_IO_READ);
    return relay;
}

void
relay_free(struct relay **relay)
{
    struct relay *old = *relay;
    *relay = NULL;
    struct ps_link *link;
    while ((link = ps_list_first(&old->pairs)))
        pair_free(PS_CONTAINER_OF(link, struct pair, link));
    ps_watch_free(&old->watch);
    close(old->listener);
    free(old);
}

uint16_t
relay_port(const struct relay *relay)
{
    return relay->port;
}

size_t
relay_bytes(const struct relay *relay)
{
    return relay->bytes;
}

bool
relay_saw(const struct relay *relay)
{
    return relay->saw;
}

void
relay_stall(struct relay *relay)
{
    relay->stalled = true;
}
