/*
 * Load generator: keeps CONNECTIONS keep-alive connections busy with one POST
 * each, for a time, on one thread, and tells how many replies came and how
 * long they took. Every reply must be HTTP status 200 with the same body as
 * the first, and its head must contain HEAD-TEXT where that is given (say, that
 * it is a hit); anything else ends the run with an error.
 *
 *   load HOST-PORT PATH BODY-FILE CONNECTIONS MILLISECONDS [HEAD-TEXT]
 *
 * Prints one line of JSON: requests, all_requests (with those of the warm-up),
 * seconds, rps, p50_us, p99_us, max_us, reply_bytes (head and body of the last
 * reply). Nothing allocates while it
 * measures; a reply is looked at just enough to be checked.
 */
#include "tests/bench/poster.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MAX_CONNECTIONS = 1024,
    MAX_REPLY = 256 << 10,
    SLOT_NS = 200,   /* resolution of the histogram */
    SLOTS = 1 << 23, /* up to 1.6 s */
    WARMUP_MS = 100
};

struct connection {
    int fd;
    uint64_t sent_ns;
    size_t got;      /* bytes of the reply so far */
    size_t expected; /* bytes of the whole reply, 0: head not complete */
    char *reply;
};

static struct connection connections[MAX_CONNECTIONS];
static struct poster poster;
static char *first_body; /* of the first reply */
static long content_length = -1;
static const char *head_text;
static size_t reply_bytes;
static uint32_t slots[SLOTS];
static uint64_t requests, all_requests, max_ns;
static size_t unanswered;
static bool ending;

static void
die(const char *what)
{
    poster_die(&poster, what);
}

static void
send_request(struct connection *c)
{
    c->got = c->expected = 0;
    c->sent_ns = poster_now_ns();
    unanswered++;
    poster_ask(&poster, c->fd);
}

static void
bad_reply(const struct connection *c)
{
    fprintf(stderr, "load: unexpected reply (%zu bytes, %zu expected): %.*s\n",
            c->got, c->expected, (int)(c->got < 1000 ? c->got : 1000),
            c->reply);
    if (first_body)
        fprintf(stderr, "load: the first body: %.*s\n", (int)content_length,
                first_body);
    exit(1);
}

/* The head is complete at end: what does it announce? */
static void
read_head(struct connection *c, const char *end)
{
    static const char status[] = "HTTP/1.1 200 ";
    static const char name[] = "\r\nContent-Length: ";
    size_t head_len = (size_t)(end - c->reply) + 4;
    const char *at = memmem(c->reply, head_len, name, sizeof(name) - 1);
    if (memcmp(c->reply, status, sizeof(status) - 1) != 0 || !at)
        bad_reply(c);
    if (head_text && !memmem(c->reply, head_len, head_text, strlen(head_text)))
        bad_reply(c);
    long length = strtol(at + sizeof(name) - 1, NULL, 10);
    if (content_length < 0)
        content_length = length;
    if (length != content_length)
        bad_reply(c);
    c->expected = head_len + (size_t)length;
}

static void
check_body(const struct connection *c)
{
    const char *body = c->reply + c->expected - content_length;
    if (!first_body) {
        first_body = malloc((size_t)content_length + 1);
        if (!first_body)
            die("malloc");
        memcpy(first_body, body, (size_t)content_length);
    }
    if (memcmp(first_body, body, (size_t)content_length) != 0)
        bad_reply(c);
}

static void
record(struct connection *c)
{
    uint64_t ns = poster_now_ns() - c->sent_ns;
    size_t slot = ns / SLOT_NS;
    slots[slot < SLOTS ? slot : SLOTS - 1]++;
    if (ns > max_ns)
        max_ns = ns;
    requests++;
    all_requests++;
    reply_bytes = c->expected;
}

static void
receive(struct connection *c)
{
    ssize_t n = recv(c->fd, c->reply + c->got, MAX_REPLY - 1 - c->got, 0);
    if (n <= 0)
        die("the server closed a connection");
    c->got += (size_t)n;
    if (c->expected == 0) {
        const char *end = memmem(c->reply, c->got, "\r\n\r\n", 4);
        if (!end)
            return;
        read_head(c, end);
    }
    if (c->got < c->expected)
        return;
    if (c->got > c->expected)
        bad_reply(c);
    check_body(c);
    record(c);
    unanswered--;
    if (!ending)
        send_request(c);
}

static void
receive_some(void)
{
    struct epoll_event events[MAX_CONNECTIONS];
    int n = epoll_wait(poster.epoll, events, MAX_CONNECTIONS, 10000);
    if (n == 0) {
        errno = ETIMEDOUT;
        die("no reply for ten seconds");
    }
    for (int i = 0; i < n; i++)
        receive(events[i].data.ptr);
}

static void
run_until(uint64_t end_ns)
{
    while (poster_now_ns() < end_ns)
        receive_some();
}

/* A client that goes away has its query cancelled and its connection to the
 * database closed: the next run would begin with logins. */
static void
finish(void)
{
    ending = true;
    while (unanswered > 0)
        receive_some();
}

static double
percentile_us(double share)
{
    uint64_t wanted = (uint64_t)((double)requests * share), seen = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        seen += slots[i];
        if (seen > wanted)
            return (double)(i + 1) * SLOT_NS / 1000;
    }
    return (double)max_ns / 1000;
}

int
main(int argc, char **argv)
{
    if (argc != 6 && argc != 7) {
        fputs("usage: load HOST:PORT PATH BODY-FILE CONNECTIONS "
              "MILLISECONDS [HEAD-TEXT]\n",
              stderr);
        return 2;
    }
    head_text = argv[6]; /* or NULL */
    poster_init(&poster, "load", argv[1], argv[2], argv[3]);
    unsigned long count = strtoul(argv[4], NULL, 10);
    uint64_t duration_ns = strtoul(argv[5], NULL, 10) * 1000000;
    if (count == 0 || count > MAX_CONNECTIONS) {
        errno = EINVAL;
        die("CONNECTIONS");
    }
    for (unsigned long i = 0; i < count; i++) {
        connections[i].reply = malloc(MAX_REPLY);
        if (!connections[i].reply)
            die("malloc");
        connections[i].fd = poster_connect(&poster, &connections[i]);
    }
    for (unsigned long i = 0; i < count; i++)
        send_request(&connections[i]);
    run_until(poster_now_ns() + WARMUP_MS * 1000000ull);
    memset(slots, 0, sizeof(slots));
    requests = max_ns = 0;
    uint64_t begin_ns = poster_now_ns();
    run_until(begin_ns + duration_ns);
    double seconds = (double)(poster_now_ns() - begin_ns) / 1e9;
    printf("{\"requests\":%llu,\"all_requests\":%llu,\"seconds\":%.3f,\"rps\":%"
           ".0f,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,"
           "\"reply_bytes\":%zu}\n",
           (unsigned long long)requests, (unsigned long long)all_requests,
           seconds, (double)requests / seconds, percentile_us(0.5),
           percentile_us(0.99), (double)max_ns / 1000, reply_bytes);
    finish();
    return 0;
}
