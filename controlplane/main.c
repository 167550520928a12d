/*
 * portside-controlplane: settings, signals, exit codes. What is started, and
 * in which order, is in serve.c.
 *
 * Exit codes: 0 clean stop, 1 failure, 2 wrong usage.
 */
#include "common/io/notify.h"
#include "common/log.h"
#include "controlplane/serve.h"
#include "controlplane/settings.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2
};

struct process {
    struct ps_loop *loop;
    struct ps_serve *serve; /* NULL while it is being started */
    bool ending;            /* a second signal does not wait */
};

static void
stop(void *arg)
{
    struct process *process = arg;
    ps_notify_stopping();
    ps_info("main", "stopping");
    if (process->serve && !process->ending)
        ps_serve_end(process->serve);
    else
        ps_loop_stop(process->loop);
    process->ending = true;
}

static int
complain(const struct ps_err *err, int status)
{
    fprintf(stderr, "portside-controlplane: %s\n", err->message);
    return status;
}

/* The loop turns, or this would not run. */
static void
tell_alive(void *arg)
{
    ps_notify_alive();
    ps_timer_start_ms(arg, ps_notify_alive_every_ms());
}

static void
serve_until_stopped(struct ps_loop *loop)
{
    struct ps_timer alive;
    ps_timer_init(&alive, loop, tell_alive, &alive);
    if (ps_notify_alive_every_ms() > 0)
        tell_alive(&alive);
    puts("ready");
    fflush(stdout);
    ps_notify_ready("serving");
    ps_loop_run(loop);
    ps_timer_stop(&alive);
}

static int
run(const struct ps_settings *settings)
{
    struct ps_err err;
    struct ps_signal *on_term = NULL, *on_int = NULL;
    struct ps_loop *loop = ps_loop_new(ps_clock_real(), "main");
    struct process process = {.loop = loop};
    enum ps_rc rc = PS_OK;
    if (loop) {
        on_term = ps_signal_new(loop, SIGTERM, stop, &process);
        on_int = ps_signal_new(loop, SIGINT, stop, &process);
    }
    if (!on_term || !on_int)
        rc = ps_err_set(&err, PS_NO_MEMORY, NULL);
    if (rc == PS_OK)
        rc = ps_serve_start(&process.serve, loop, settings, &err);
    if (rc == PS_OK)
        serve_until_stopped(loop);
    ps_serve_stop(&process.serve);
    ps_signal_free(&on_term);
    ps_signal_free(&on_int);
    ps_loop_free(&loop);
    return rc == PS_OK ? 0 : complain(&err, EXIT_FAILED);
}

static bool
has_option(int argc, char **argv, const char *option)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], option) == 0)
            return true;
    return false;
}

int
main(int argc, char **argv)
{
    struct ps_settings settings = {.config = NULL};
    struct ps_err err;
    enum ps_log_format format;
    int status;
    if (has_option(argc, argv, "--help") || has_option(argc, argv, "-h")) {
        puts("portside-controlplane: definitions, consistency and REST API "
             "of a Portside fleet\n\nusage: portside-controlplane "
             "[--name value ...]\n       portside-controlplane --help | "
             "--version\n");
        ps_settings_help();
        return 0;
    }
    if (has_option(argc, argv, "--version")) {
        puts("portside-controlplane " PS_VERSION);
        return 0;
    }
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    if (ps_settings_read(&settings, argc, argv, &err) == PS_OK) {
        /* Both were checked. */
        if (ps_log_parse_format(ps_str_of(settings.log_format), &format) &&
            ps_log_set_levels(ps_str_of(settings.log_level), &err) == PS_OK)
            ps_log_set_format(format);
        status = run(&settings);
    } else {
        status = complain(&err, EXIT_USAGE);
    }
    ps_settings_done(&settings);
    return status;
}
