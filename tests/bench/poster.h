/*
 * What programs need that ask one question again and again over connections
 * of their own: the bytes of a POST, a connection that epoll watches, time.
 * Whatever goes wrong ends the program with a sentence. One thread.
 */
#ifndef PS_TESTS_BENCH_POSTER_H
#define PS_TESTS_BENCH_POSTER_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

struct poster {
    const char *name; /* of the program, for what it says */
    struct sockaddr_in address;
    int epoll;
    char request[64 << 10];
    size_t request_len;
};

/* host_port: "127.0.0.1:8080". The request: what body_file holds, as JSON. */
void poster_init(struct poster *poster, const char *name, const char *host_port,
                 const char *path, const char *body_file);
/* With errno. */
void poster_die(const struct poster *poster, const char *what)
    __attribute__((noreturn));
/* A connected socket; epoll tells of what can be read with `arg`. */
int poster_connect(const struct poster *poster, void *arg);
/* The whole request at once: what is asked is small, and answered before the
 * next is. */
void poster_ask(const struct poster *poster, int fd);
uint64_t poster_now_ns(void);

#endif
