/*
 * Runs one script: scenario FILE.scn. Exit code 0: everything came as the
 * script expects. Commands are in the table below; README.md explains them.
 */
#include "common/log.h"
#include "tests/scenario/world.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    void (*fn)(struct scn_world *world, struct scn_line *line);
} commands[] = {
    {"agent",         scn_agent        },
    {"cache",         scn_cache        },
    {"rule",          scn_rule         },
    {"table",         scn_table        },
    {"view",          scn_view         },
    {"catalog",       scn_catalog      },
    {"user",          scn_user         },
    {"origin",        scn_origin       },
    {"on_login",      scn_on_login     },
    {"on_reset",      scn_on_reset     },
    {"server",        scn_server       },
    {"request",       scn_request      },
    {"ask",           scn_ask          },
    {"expect",        scn_expect       },
    {"abandon",       scn_abandon      },
    {"advance",       scn_advance      },
    {"lease",         scn_lease        },
    {"remote",        scn_remote       },
    {"publisher",     scn_publisher    },
    {"ack",           scn_ack          },
    {"published",     scn_published    },
    {"lingers",       scn_lingers      },
    {"drain",         scn_drain        },
    {"expect_agent",  scn_expect_agent },
    {"expect_origin", scn_expect_origin},
    {"usage",         scn_usage        },
};

static void
run_line(struct scn_world *world, struct scn_line *line)
{
    const char *name = scn_operand(line, 0);
    for (size_t i = 0; i < PS_ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            commands[i].fn(world, line);
            scn_line_all_used(line);
            scn_settle(world);
            return;
        }
    }
    scn_fail(line, "no such command: %s", name);
}

int
main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FILE.scn\n", argv[0]);
        return 2;
    }
    FILE *file = fopen(argv[1], "r");
    if (!file) {
        perror(argv[1]);
        return 2;
    }
    ps_log_set_level(PS_LOG_ERROR);
    struct scn_world world;
    struct scn_line line = {.file = argv[1]};
    char *text = NULL;
    size_t cap = 0;
    scn_world_init(&world);
    while (getline(&text, &cap, file) >= 0) {
        line.number++;
        if (scn_line_parse(&line, text))
            run_line(&world, &line);
    }
    free(text);
    fclose(file);
    scn_world_done(&world, &line);
    return 0;
}
