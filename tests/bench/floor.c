/*
 * The floor: the least a server on epoll can do for a request. It reads what
 * there is and writes a constant reply of a given size; it parses nothing, so
 * it serves the load generator of this folder only (one request at a time per
 * connection, each small enough for one read).
 *
 *   floor BYTES     listens on 127.0.0.1 at a free port, prints it, and
 *                   answers until it is killed
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS = 64,
    READ_BYTES = 16 << 10,
    REPLY_MAX = 1 << 20
};

static char reply[REPLY_MAX];
static size_t reply_len;

static void
die(const char *what)
{
    perror(what);
    exit(1);
}

/* A reply of exactly total bytes, head included. */
static void
make_reply(size_t total)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nServer: floor\r\n"
                               "Content-Type: application/json\r\n"
                               "Content-Length: %6zu\r\n\r\n";
    size_t head_len = (size_t)snprintf(reply, sizeof(reply), head, (size_t)0);
    if (total <= head_len || total >= sizeof(reply)) {
        fprintf(stderr, "floor: BYTES must be %zu to %d\n", head_len + 1,
                REPLY_MAX - 1);
        exit(2);
    }
    snprintf(reply, sizeof(reply), head, total - head_len);
    memset(reply + head_len, 'x', total - head_len);
    reply_len = total;
}

static int
listen_anywhere(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
        listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
        die("floor: listen");
    printf("%d\n", ntohs(sa.sin_port));
    fflush(stdout);
    return fd;
}

static void
watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        die("floor: epoll_ctl");
}

static void
welcome(int epoll, int listener)
{
    int on = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    watch(epoll, fd);
}

static void
answer(int fd)
{
    char request[READ_BYTES];
    ssize_t n = read(fd, request, sizeof(request));
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || write(fd, reply, reply_len) != (ssize_t)reply_len)
        close(fd);
}

int
main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: floor BYTES\n", stderr);
        return 2;
    }
    make_reply((size_t)strtoul(argv[1], NULL, 10));
    int listener = listen_anywhere();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        die("floor: epoll_create1");
    watch(epoll, listener);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                welcome(epoll, listener);
            else
                answer(events[i].data.fd);
        }
    }
}
