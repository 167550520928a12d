/*
 * A crowd: IDLE connections on which nothing is asked, and BUSY ones that ask
 * one question after the other for a time. In the end every idle one asks,
 * too. Every reply must be HTTP status 200 with the same body; anything else
 * ends the run with an error.
 *
 *   crowd HOST-PORT PATH BODY-FILE IDLE BUSY MILLISECONDS
 *
 * Prints "idle" when all are connected, waits for a line on standard input, and
 * then prints one line of JSON: requests, rps, median_us (of all), worst_p99_us
 * (the 99th percentile of the client that had the worst), fair (the second
 * divided by the first), fewest and most requests of a client, idle_answered.
 */
#include "tests/bench/poster.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    REPLY_MAX = 8 << 10,
    TIMES_MAX = 1 << 16, /* of one busy client */
    EVENTS_MAX = 256,
    WARMUP_MS = 2000, /* the pool fills; it does not count */
    /* Idle clients that ask at a time in the end. */
    ASK_AT_A_TIME = 64
};

struct client {
    int fd;
    uint64_t sent_ns;
    size_t got;
    char *reply;        /* while it waits for one */
    uint32_t *times_us; /* busy ones only */
    size_t n;
};

static char want[REPLY_MAX];
static struct poster poster;

static void __attribute__((noreturn)) die(const char *what)
{
    poster_die(&poster, what);
}

static void *
zalloc(size_t n, size_t size)
{
    void *at = calloc(n, size);
    if (!at)
        die("calloc");
    return at;
}

static void
ask(struct client *c)
{
    if (!c->reply)
        c->reply = zalloc(REPLY_MAX, 1);
    c->got = 0;
    c->sent_ns = poster_now_ns();
    poster_ask(&poster, c->fd);
}

static void __attribute__((noreturn)) bad_reply(const struct client *c)
{
    fprintf(stderr, "crowd: unexpected reply: %.*s\n", (int)c->got, c->reply);
    exit(1);
}

/* True when the reply is whole; it is checked then. */
static bool
receive(struct client *c)
{
    static const char ok[] = "HTTP/1.1 200 ", name[] = "\r\nContent-Length: ";
    if (!c->reply) {
        errno = ECONNRESET;
        die("an idle connection");
    }
    ssize_t n = recv(c->fd, c->reply + c->got, REPLY_MAX - 1 - c->got, 0);
    if (n <= 0)
        die("the server closed a connection");
    c->got += (size_t)n;
    c->reply[c->got] = '\0';
    char *body = strstr(c->reply, "\r\n\r\n");
    if (!body)
        return false;
    char *length = strstr(c->reply, name);
    if (strncmp(c->reply, ok, sizeof(ok) - 1) != 0 || !length || length > body)
        bad_reply(c);
    body += 4;
    size_t expected = strtoul(length + sizeof(name) - 1, NULL, 10);
    if (c->got < (size_t)(body - c->reply) + expected)
        return false;
    if (!want[0])
        snprintf(want, sizeof(want), "%s", body);
    if (strcmp(want, body) != 0)
        bad_reply(c);
    return true;
}

static int
wait_events(struct epoll_event *events)
{
    int n = epoll_wait(poster.epoll, events, EVENTS_MAX, 10000);
    if (n <= 0) {
        errno = ETIMEDOUT;
        die("no reply for ten seconds");
    }
    return n;
}

/* The busy ones ask until the time is over, and are heard out. */
static void
run_busy(struct client *busy, size_t n_busy, uint64_t begin_ns, uint64_t end_ns)
{
    struct epoll_event events[EVENTS_MAX];
    size_t waiting = n_busy;
    for (size_t i = 0; i < n_busy; i++)
        ask(&busy[i]);
    while (waiting > 0) {
        int n = wait_events(events);
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            if (!receive(c))
                continue;
            uint64_t now = poster_now_ns();
            if (c->sent_ns >= begin_ns && c->n < TIMES_MAX)
                c->times_us[c->n++] = (uint32_t)((now - c->sent_ns) / 1000);
            if (now < end_ns)
                ask(c);
            else
                waiting--;
        }
    }
}

static size_t
ask_idle(struct client *idle, size_t n_idle)
{
    struct epoll_event events[EVENTS_MAX];
    size_t asked = 0, answered = 0;
    while (answered < n_idle) {
        while (asked < n_idle && asked - answered < ASK_AT_A_TIME)
            ask(&idle[asked++]);
        int n = wait_events(events);
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            if (!receive(c))
                continue;
            answered++;
            free(c->reply);
            c->reply = NULL;
        }
    }
    return answered;
}

static int
by_size(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void
report(struct client *busy, size_t n_busy, double seconds, size_t answered)
{
    size_t total = 0, fewest = SIZE_MAX, most = 0;
    uint32_t worst = 0;
    for (size_t i = 0; i < n_busy; i++)
        total += busy[i].n;
    uint32_t *all = zalloc(total, sizeof(*all));
    for (size_t i = 0, at = 0; i < n_busy; at += busy[i++].n) {
        struct client *c = &busy[i];
        qsort(c->times_us, c->n, sizeof(*c->times_us), by_size);
        memcpy(all + at, c->times_us, c->n * sizeof(*all));
        uint32_t p99 = c->times_us[(size_t)((double)c->n * 0.99)];
        worst = p99 > worst ? p99 : worst;
        fewest = c->n < fewest ? c->n : fewest;
        most = c->n > most ? c->n : most;
    }
    qsort(all, total, sizeof(*all), by_size);
    uint32_t median = all[total / 2];
    printf("{\"requests\":%zu,\"rps\":%.0f,\"median_us\":%u,"
           "\"worst_p99_us\":%u,\"fair\":%.3f,\"fewest\":%zu,\"most\":%zu,"
           "\"idle_answered\":%zu}\n",
           total, (double)total / seconds, median, worst,
           (double)worst / (double)median, fewest, most, answered);
    free(all);
}

int
main(int argc, char **argv)
{
    char line[16];
    struct rlimit limit;
    if (argc != 7) {
        fputs("usage: crowd HOST:PORT PATH BODY-FILE IDLE BUSY MILLISECONDS\n",
              stderr);
        return 2;
    }
    poster_init(&poster, "crowd", argv[1], argv[2], argv[3]);
    size_t n_idle = strtoul(argv[4], NULL, 10);
    size_t n_busy = strtoul(argv[5], NULL, 10);
    uint64_t ms = strtoul(argv[6], NULL, 10);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    struct client *idle = zalloc(n_idle + 1, sizeof(*idle));
    struct client *busy = zalloc(n_busy + 1, sizeof(*busy));
    for (size_t i = 0; i < n_idle; i++)
        idle[i].fd = poster_connect(&poster, &idle[i]);
    for (size_t i = 0; i < n_busy; i++) {
        busy[i].fd = poster_connect(&poster, &busy[i]);
        busy[i].times_us = zalloc(TIMES_MAX, sizeof(*busy[i].times_us));
    }
    puts("idle");
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        return 1;
    uint64_t begin = poster_now_ns() + WARMUP_MS * 1000000u;
    run_busy(busy, n_busy, begin, begin + ms * 1000000);
    double seconds = (double)(poster_now_ns() - begin) / 1e9;
    report(busy, n_busy, seconds, ask_idle(idle, n_idle));
    return 0;
}
