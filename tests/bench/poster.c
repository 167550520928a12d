#include "tests/bench/poster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

void
poster_die(const struct poster *poster, const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", poster->name, what, strerrordesc_np(errno));
    exit(1);
}

static void
make_request(struct poster *poster, const char *path, const char *body_file)
{
    static char body[sizeof(poster->request) / 2];
    FILE *file = fopen(body_file, "rb");
    if (!file)
        poster_die(poster, body_file);
    size_t n = fread(body, 1, sizeof(body), file);
    fclose(file);
    int head = snprintf(poster->request, sizeof(poster->request),
                        "POST %s HTTP/1.1\r\n"
                        "Host: 127.0.0.1\r\n"
                        "Content-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n",
                        path, n);
    errno = EMSGSIZE;
    if (head < 0 || (size_t)head + n > sizeof(poster->request))
        poster_die(poster, path);
    memcpy(poster->request + head, body, n);
    poster->request_len = (size_t)head + n;
}

static void
parse_address(struct poster *poster, const char *text)
{
    struct sockaddr_in *address = &poster->address;
    char host[64];
    const char *colon = strchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : sizeof(host);
    errno = EINVAL;
    if (n >= sizeof(host))
        poster_die(poster, text);
    memcpy(host, text, n);
    host[n] = '\0';
    address->sin_family = AF_INET;
    address->sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &address->sin_addr) != 1)
        poster_die(poster, text);
}

void
poster_init(struct poster *poster, const char *name, const char *host_port,
            const char *path, const char *body_file)
{
    memset(poster, 0, sizeof(*poster));
    poster->name = name;
    parse_address(poster, host_port);
    make_request(poster, path, body_file);
    poster->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (poster->epoll < 0)
        poster_die(poster, "epoll_create1");
}

int
poster_connect(const struct poster *poster, void *arg)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&poster->address,
                          sizeof(poster->address)) != 0)
        poster_die(poster, "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = arg};
    if (epoll_ctl(poster->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        poster_die(poster, "epoll_ctl");
    return fd;
}

void
poster_ask(const struct poster *poster, int fd)
{
    if (send(fd, poster->request, poster->request_len, MSG_NOSIGNAL) !=
        (ssize_t)poster->request_len)
        poster_die(poster, "send");
}

uint64_t
poster_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
