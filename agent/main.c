/*
 * portside-agent: `enroll` makes this node an agent, `run` serves.
 */
#include "agent/link/enroll.h"
#include "agent/owner.h"
#include "agent/run.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    EXIT_USAGE = 2,
    TOKEN_MAX = 8192
};

struct enroll_settings {
    char *dir, *name, *url;
    bool force;
};

static const struct ps_conf_item enroll_items[] = {
    {"dir",   PS_CONF_TEXT, offsetof(struct enroll_settings, dir),
     "/var/lib/portside-agent",                                               0, 0, "where to keep the identity (mode 0700)"   },
    {"name",  PS_CONF_TEXT, offsetof(struct enroll_settings, name),  NULL,    0, 0,
     "name of this agent; default: the host's, made unique"                                                                    },
    {"url",   PS_CONF_TEXT, offsetof(struct enroll_settings, url),   NULL,    0, 0,
     "the control plane's API, if not as the token says"                                                                       },
    {"force", PS_CONF_BOOL, offsetof(struct enroll_settings, force), "false", 0,
     0,                                                                             "replace an identity that is already there"},
};

struct run_file {
    char *config;
};
static const struct ps_conf_item run_file_item = {
    .name = "config",
    .kind = PS_CONF_TEXT,
    .offset = offsetof(struct run_file, config),
    .help = "file with settings (\"name = value\" lines)"};

static void
usage(FILE *to)
{
    fputs("usage: portside-agent enroll <join-token> [options]\n"
          "       portside-agent run [options]\n"
          "       portside-agent --help | --version\n"
          "\n"
          "The agent of one node: answers SQL over HTTP from memory or from "
          "a pooled\nconnection to the database. A join token comes from "
          "`psctl agent join-token`.\n"
          "`portside-agent run --help` and `portside-agent enroll --help` "
          "list the options.\n",
          to);
}

static int
fail(const struct ps_err *err, int status)
{
    fprintf(stderr, "portside-agent: %s\n", err->message);
    return status;
}

static bool
wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

/* The first line of standard input, into buf; PS_CONFIG when there is none. */
static enum ps_rc
read_token(char *buf, size_t size, struct ps_err *err)
{
    if (!fgets(buf, (int)size, stdin))
        return ps_err_set(err, PS_CONFIG,
                          "there is no join token on standard input");
    buf[strcspn(buf, "\r\n")] = '\0';
    return PS_OK;
}

static int
command_enroll(int argc, char **argv)
{
    const size_t n = PS_ARRAY_LEN(enroll_items);
    struct enroll_settings s = {0};
    struct ps_err err = {0};
    char line[TOKEN_MAX];
    if (wants_help(argc, argv)) {
        puts("usage: portside-agent enroll <join-token> [options]\n\n"
             "-  instead of the token: it is the first line of standard "
             "input, where other\n   users of this machine do not see it\n");
        ps_conf_help(enroll_items, n);
        return 0;
    }
    enum ps_rc rc = ps_conf_defaults(enroll_items, n, &s, &err);
    if (rc == PS_OK)
        rc = ps_conf_arguments(enroll_items, n, &s, &argc, argv, &err);
    if (rc == PS_OK && argc != 2)
        rc = ps_err_set(&err, PS_CONFIG,
                        "enroll takes one join token; see `portside-agent "
                        "enroll --help`");
    const char *token = argc == 2 ? argv[1] : "";
    if (rc == PS_OK && strcmp(token, "-") == 0) {
        rc = read_token(line, sizeof(line), &err);
        token = line;
    }
    int status = EXIT_USAGE;
    if (rc == PS_OK) {
        status = 1;
        rc = ps_owner_become(s.dir, &err);
    }
    if (rc == PS_OK) {
        const struct ps_enroll enroll = {.token = token,
                                         .dir = s.dir,
                                         .name = s.name,
                                         .url = s.url,
                                         .force = s.force};
        rc = ps_enroll_run(&enroll, &err);
    }
    ps_conf_done(enroll_items, n, &s);
    return rc == PS_OK ? 0 : fail(&err, status);
}

/* The file is named on the command line or in the environment, but counts
 * less than both: it is looked for first. */
static enum ps_rc
find_file(int *argc, char **argv, struct run_file *file, struct ps_err *err)
{
    enum ps_rc rc = ps_conf_environment(&run_file_item, 1, file, err);
    for (int i = 1; rc == PS_OK && i < *argc; i++) {
        int used = 0;
        const char *value = NULL;
        if (strncmp(argv[i], "--config=", 9) == 0) {
            value = argv[i] + 9;
            used = 1;
        } else if (strcmp(argv[i], "--config") == 0 && i + 1 < *argc) {
            value = argv[i + 1];
            used = 2;
        }
        if (!used)
            continue;
        free(file->config);
        file->config = strdup(value);
        for (int j = i; j + used <= *argc; j++)
            argv[j] = argv[j + used];
        *argc -= used;
        break;
    }
    return rc;
}

static enum ps_rc
read_settings(int argc, char **argv, struct ps_agent_settings *s,
              struct ps_err *err)
{
    const struct ps_conf_item *items = ps_agent_settings_items;
    const size_t n = ps_agent_settings_count;
    struct run_file file = {0};
    enum ps_rc rc = ps_conf_defaults(items, n, s, err);
    if (rc == PS_OK)
        rc = find_file(&argc, argv, &file, err);
    if (rc == PS_OK && file.config)
        rc = ps_conf_file(items, n, s, file.config, err);
    if (rc == PS_OK)
        rc = ps_conf_environment(items, n, s, err);
    if (rc == PS_OK)
        rc = ps_conf_arguments(items, n, s, &argc, argv, err);
    if (rc == PS_OK && argc != 1)
        rc = ps_err_set(err, PS_CONFIG,
                        "`%s` is not an option of run; see "
                        "`portside-agent run --help`",
                        argv[1]);
    if (rc == PS_OK)
        rc = ps_agent_settings_check(s, err);
    free(file.config);
    return rc;
}

static int
command_run(int argc, char **argv)
{
    struct ps_agent_settings s = {0};
    struct ps_err err = {0};
    enum ps_log_format format = PS_LOG_TEXT;
    if (wants_help(argc, argv)) {
        puts("usage: portside-agent run [options]\n");
        ps_conf_help(&run_file_item, 1);
        ps_conf_help(ps_agent_settings_items, ps_agent_settings_count);
        return 0;
    }
    int status = EXIT_USAGE;
    if (read_settings(argc, argv, &s, &err) == PS_OK) {
        /* Both were checked. */
        if (ps_log_parse_format(ps_str_of(s.log_format), &format) &&
            ps_log_set_levels(ps_str_of(s.log_level), &err) == PS_OK)
            ps_log_set_format(format);
        status = ps_agent_run(&s);
    } else {
        fail(&err, status);
    }
    ps_conf_done(ps_agent_settings_items, ps_agent_settings_count, &s);
    return status;
}

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "run") == 0)
        return command_run(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "enroll") == 0)
        return command_enroll(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("portside-agent " PS_VERSION);
        return 0;
    }
    bool help = wants_help(argc, argv);
    if (argc > 1 && !help)
        fprintf(stderr, "portside-agent: \"%.64s\" is not a command\n\n",
                argv[1]);
    usage(help ? stdout : stderr);
    return help ? 0 : EXIT_USAGE;
}
