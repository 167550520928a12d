/*
 * Worker processes: one for each connection, made by posix_spawn (which does
 * not copy this process), with an empty environment, killed when not needed.
 * A killed one is collected when the next is started or killed; so at most a
 * few are waiting to be collected.
 */
#include "agent/backend/tds.h"
#include "agent/backend/tds_wire.h"
#include "common/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PS_TDS_WORKER
#    define PS_TDS_WORKER "/usr/lib/portside/portside-tds"
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned n_workers;
static pid_t killed[PS_TDS_WORKERS_MAX];
static size_t n_killed;

/* Lock held. */
static void
collect(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < n_killed; i++) {
        if (waitpid(killed[i], NULL, WNOHANG) == 0)
            killed[kept++] = killed[i];
    }
    n_workers -= (unsigned)(n_killed - kept);
    n_killed = kept;
}

/* Beside this program (build tree), else in its prefix's lib/portside (as
 * installed), else where it was built. */
static const char *
worker_path(char *buf, size_t size)
{
    static const char *const places[] = {"portside-tds",
                                         "../lib/portside/portside-tds"};
    const char *given = getenv("PORTSIDE_TDS_WORKER");
    if (given && *given)
        return given;
    ssize_t n = readlink("/proc/self/exe", buf, size - 1);
    if (n <= 0)
        return PS_TDS_WORKER;
    buf[n] = '\0';
    char *slash = strrchr(buf, '/');
    size_t used = slash ? (size_t)(slash + 1 - buf) : 0;
    for (size_t i = 0; used > 0 && i < PS_ARRAY_LEN(places); i++) {
        snprintf(buf + used, size - used, "%s", places[i]);
        if (access(buf, X_OK) == 0)
            return buf;
    }
    return PS_TDS_WORKER;
}

static int
start(pid_t *pid, int theirs)
{
    char path[1024];
    char name[] = "portside-tds";
    char locale[] = "LC_ALL=C.UTF-8";
    char *argv[] = {name, NULL}, *envp[] = {locale, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigfillset(&defaults);
    sigdelset(&defaults, SIGKILL);
    sigdelset(&defaults, SIGSTOP);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ENOMEM;
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return ENOMEM;
    }
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setflags(&attr,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int rc =
        posix_spawn_file_actions_adddup2(&actions, theirs, PS_TDS_WORKER_FD);
    if (rc == 0) /* whatever was opened without CLOEXEC stays here */
        rc = posix_spawn_file_actions_addclosefrom_np(&actions,
                                                      PS_TDS_WORKER_FD + 1);
    if (rc == 0)
        rc = posix_spawn(pid, worker_path(path, sizeof(path)), &actions, &attr,
                         argv, envp);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static bool
take_place(void)
{
    PS_CHECK(pthread_mutex_lock(&lock) == 0);
    collect();
    bool room = n_workers < PS_TDS_WORKERS_MAX;
    n_workers += room;
    pthread_mutex_unlock(&lock);
    return room;
}

static void
give_place(void)
{
    PS_CHECK(pthread_mutex_lock(&lock) == 0);
    n_workers--;
    pthread_mutex_unlock(&lock);
}

enum ps_rc
ps_tds_spawn(pid_t *pid, int *fd, struct ps_err *err)
{
    int pair[2];
    if (!take_place())
        return ps_err_set(err, PS_POOL_FULL,
                          "this agent holds too many SQL Server connections");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        give_place();
        return ps_err_set(err, PS_NO_MEMORY, NULL);
    }
    int rc = start(pid, pair[1]);
    close(pair[1]);
    if (rc == 0 && fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0) {
        *fd = pair[0];
        return PS_OK;
    }
    close(pair[0]);
    if (rc == 0) {
        kill(*pid, SIGKILL);
        waitpid(*pid, NULL, 0);
    }
    give_place();
    return ps_err_set(err, PS_UNSUPPORTED,
                      "the helper program portside-tds cannot be started; "
                      "install it beside portside-agent");
}

void
ps_tds_kill(pid_t *pid, int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    if (*pid <= 0)
        return;
    PS_CHECK(pthread_mutex_lock(&lock) == 0);
    kill(*pid, SIGKILL);
    PS_CHECK(n_killed < PS_TDS_WORKERS_MAX);
    killed[n_killed++] = *pid;
    collect();
    pthread_mutex_unlock(&lock);
    *pid = 0;
}
