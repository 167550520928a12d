/*
 * What the agent adds to a query that it has to pass on: the same statement
 * with a fresh value, once by libpq on an open connection and once by HTTP to
 * the agent on an open connection, in turn, one at a time. Both must give the
 * same number, and the agent's answer must be a miss.
 *
 *   miss CONNINFO HOST PORT HEAD BODY TEXT COUNT SKIP
 *
 * CONNINFO goes to libpq. BODY is the JSON of the request in two halves with
 * `@` where the value stands; HEAD must be in the reply's head. TEXT is the
 * statement with $1; it returns one row with one integer. COUNT pairs are
 * measured after SKIP that are not. Prints one line of JSON: direct_p50_us
 * agent_p50_us direct_p99_us agent_p99_us added_us (the difference of the
 * medians) pairs.
 */
#include <libpq-fe.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
    REQUEST_MAX = 8192,
    REPLY_MAX = 65536,
    COUNT_MAX = 1000000
};

static void __attribute__((noreturn)) fail(const char *what, const char *detail)
{
    fprintf(stderr, "miss: %s: %s\n", what, detail);
    exit(1);
}

static double
now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* ---- by libpq ---- */

static long
ask_directly(PGconn *conn, const char *text, long value)
{
    char number[32];
    const char *values[] = {number};
    snprintf(number, sizeof(number), "%ld", value);
    PGresult *result = PQexecParams(conn, text, 1, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
        fail("libpq", PQerrorMessage(conn));
    long answer = strtol(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return answer;
}

/* ---- by HTTP ---- */

struct agent {
    int fd;
    const char *host, *head, *body;
    char reply[REPLY_MAX];
    size_t len;
};

static void
connect_agent(struct agent *agent, const char *host, const char *port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    struct timeval limit = {.tv_sec = 10};
    int on = 1;
    sa.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    agent->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (agent->fd < 0 || inet_pton(AF_INET, host, &sa.sin_addr) != 1 ||
        connect(agent->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
        fail("connect", host);
    setsockopt(agent->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(agent->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

static void
send_request(const struct agent *agent, long value)
{
    static char request[REQUEST_MAX];
    char number[32];
    const char *gap = strchr(agent->body, '@');
    if (!gap)
        fail("BODY", "there is no @");
    int digits = snprintf(number, sizeof(number), "%ld", value);
    int n = snprintf(request, sizeof(request),
                     "POST /sql HTTP/1.1\r\nHost: %s\r\n"
                     "Content-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n%.*s%s%s",
                     agent->host, strlen(agent->body) - 1 + (size_t)digits,
                     (int)(gap - agent->body), agent->body, number, gap + 1);
    if (n >= REQUEST_MAX || send(agent->fd, request, (size_t)n, 0) != n)
        fail("send", "the request did not go out");
}

/* The body of the reply, which has come whole. */
static const char *
receive_reply(struct agent *agent)
{
    static const char name[] = "\r\nContent-Length: ";
    agent->len = 0;
    for (;;) {
        ssize_t n = recv(agent->fd, agent->reply + agent->len,
                         sizeof(agent->reply) - 1 - agent->len, 0);
        if (n <= 0)
            fail("recv", "no reply");
        agent->len += (size_t)n;
        agent->reply[agent->len] = '\0';
        const char *end = strstr(agent->reply, "\r\n\r\n");
        const char *at = end ? strstr(agent->reply, name) : NULL;
        if (!at || at > end)
            continue;
        size_t total = (size_t)(end + 4 - agent->reply) +
                       strtoul(at + sizeof(name) - 1, NULL, 10);
        if (agent->len >= total)
            return end + 4;
    }
}

static long
ask_agent(struct agent *agent, long value)
{
    send_request(agent, value);
    const char *body = receive_reply(agent);
    const char *colon = strchr(body, ':');
    const char *head = strstr(agent->reply, agent->head);
    if (!colon || !head || head > body)
        fail("unexpected reply", agent->reply);
    return strtol(colon + 1, NULL, 10);
}

/* ---- figures ---- */

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double
share(const double *sorted, size_t n, double part)
{
    return sorted[(size_t)((double)(n - 1) * part)];
}

int
main(int argc, char **argv)
{
    if (argc != 9) {
        fputs("usage: miss CONNINFO HOST PORT HEAD BODY TEXT COUNT SKIP\n",
              stderr);
        return 2;
    }
    static struct agent agent;
    size_t count = strtoul(argv[7], NULL, 10);
    size_t skip = strtoul(argv[8], NULL, 10);
    if (count == 0 || count > COUNT_MAX || skip > COUNT_MAX)
        fail("COUNT", argv[7]);
    double *direct = calloc(count, sizeof(*direct));
    double *through = calloc(count, sizeof(*through));
    PGconn *conn = PQconnectdb(argv[1]);
    if (!direct || !through || PQstatus(conn) != CONNECTION_OK)
        fail("libpq", PQerrorMessage(conn));
    agent.host = argv[2];
    agent.head = argv[4];
    agent.body = argv[5];
    connect_agent(&agent, argv[2], argv[3]);
    for (size_t i = 1; i <= skip + count; i++) {
        double begin = now_us();
        long a = ask_directly(conn, argv[6], (long)i);
        double middle = now_us();
        long b = ask_agent(&agent, (long)i);
        double end = now_us();
        if (a != b)
            fail("the two answers differ", agent.reply);
        if (i <= skip)
            continue;
        direct[i - skip - 1] = middle - begin;
        through[i - skip - 1] = end - middle;
    }
    qsort(direct, count, sizeof(*direct), compare);
    qsort(through, count, sizeof(*through), compare);
    printf("{\"direct_p50_us\":%.1f,\"agent_p50_us\":%.1f,"
           "\"direct_p99_us\":%.1f,\"agent_p99_us\":%.1f,"
           "\"added_us\":%.1f,\"pairs\":%zu}\n",
           share(direct, count, 0.5), share(through, count, 0.5),
           share(direct, count, 0.99), share(through, count, 0.99),
           share(through, count, 0.5) - share(direct, count, 0.5), count);
    PQfinish(conn);
    close(agent.fd);
    free(direct);
    free(through);
    return 0;
}
