/*
 * The front alone: the agent's HTTP side with a stub for the engine, which
 * answers every query with a constant. What a hit costs less the store.
 *
 *   front_server BYTES     listens on 127.0.0.1 at a free port, prints it, and
 *                          answers with bodies of that size until it is killed
 */
#include "agent/front/front.h"
#include "agent/front/stub_engine.h"

#include <stdio.h>
#include <stdlib.h>

int
main(int argc, char **argv)
{
    static char body[1 << 20];
    struct ps_front *front;
    struct ps_err err;
    int http, https;
    size_t len = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    if (len < 2 || len > sizeof(body)) {
        fputs("usage: front_server BYTES\n", stderr);
        return 2;
    }
    memset(body, ' ', len);
    body[0] = '[';
    body[len - 1] = ']';
    struct ps_engine engine = {
        .body = {body, len},
          .verdict = PS_VERDICT_HIT, .reason = "hit"
    };
    struct ps_loop *loop = ps_loop_new(ps_clock_real(), "front");
    struct ps_front_conf conf = {
        .loop = loop, .engine = &engine, .listen_http = "127.0.0.1:0"};
    if (!loop || ps_front_start(&front, &conf, &err) != PS_OK) {
        fprintf(stderr, "front_server: %s\n", err.message);
        return 1;
    }
    ps_front_ports(front, &http, &https);
    printf("%d\n", http);
    fflush(stdout);
    ps_loop_run(loop);
    return 0;
}
