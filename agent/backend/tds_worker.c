/*
 * portside-tds: the process that holds one connection to a SQL Server. The
 * driver (tds.c) starts it, talks to it over PS_TDS_WORKER_FD, and kills it
 * when it is done with it.
 *
 *   driver <-> control thread: reads frames, cancels, watches an idle socket
 *                 | job, woken
 *                 v
 *              main thread: ODBC, which blocks; writes frames
 *
 * Why a process: FreeTDS has no mode that does not block, its connections
 * hide their sockets, and an upstream report (#732) has it abort in
 * SQLDisconnect. Here a call that never returns, a crash or a leak ends with
 * a process that holds nothing else. When the driver's end of the socket
 * closes, this process ends at once.
 */
#include "agent/backend/tds_odbc.h"
#include "agent/backend/tds_wire.h"
#include "common/check.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CANCEL_AGAIN_MS = 50, /* one that came between two reads hits nothing */
    OUT_FLUSH_BYTES = 65536,
    READ_BYTES = 65536
};

struct worker {
    struct ps_tds_out out; /* first user: ps_tds_odbc_execute */
    struct ps_tds_odbc odbc;
    struct ps_buf frames; /* to the driver, not sent yet */

    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct ps_buf job; /* the frame to work on; empty: none */
    bool busy;
    bool cancel;
    uint32_t seq;  /* of the statement under way */
    int origin_fd; /* FreeTDS's socket, -1 before the login */
    int poke_fd;   /* main thread -> control thread: look again */
};

/* The driver is gone, or nothing works: there is nothing to clean up. */
static _Noreturn void
leave(int code)
{
    _exit(code);
}

static void
send_frames(struct worker *w)
{
    const char *at = w->frames.data;
    size_t left = w->frames.len;
    if (ps_buf_rc(&w->frames) != PS_OK)
        leave(1);
    while (left > 0) {
        ssize_t n = send(PS_TDS_WORKER_FD, at, left, MSG_NOSIGNAL);
        if (n <= 0)
            leave(0);
        at += n;
        left -= (size_t)n;
    }
    ps_buf_clear(&w->frames);
}

static enum ps_rc
out_columns(struct ps_tds_out *out, const struct ps_column *columns,
            size_t count)
{
    struct worker *w = PS_CONTAINER_OF(out, struct worker, out);
    size_t begin = ps_tds_begin(&w->frames, PS_TDS_COLUMNS);
    ps_tds_put_u32(&w->frames, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        ps_tds_put_str(&w->frames, columns[i].name);
        ps_tds_put_u32(&w->frames, columns[i].type);
        ps_tds_put_u32(&w->frames, (uint32_t)columns[i].type_size);
        ps_tds_put_u32(&w->frames, (uint32_t)columns[i].type_modifier);
    }
    ps_tds_end(&w->frames, begin);
    return ps_buf_rc(&w->frames);
}

static enum ps_rc
out_row(struct ps_tds_out *out, const struct ps_cell *cells, size_t count)
{
    struct worker *w = PS_CONTAINER_OF(out, struct worker, out);
    size_t begin = ps_tds_begin(&w->frames, PS_TDS_ROW);
    for (size_t i = 0; i < count; i++)
        ps_tds_put_str(&w->frames, (struct ps_str){cells[i].ptr, cells[i].len});
    ps_tds_end(&w->frames, begin);
    if (ps_buf_rc(&w->frames) != PS_OK)
        return PS_RESULT_TOO_BIG;
    if (w->frames.len > OUT_FLUSH_BYTES)
        send_frames(w);
    return PS_OK;
}

/* -------------------------------------------------------- control thread */

/* FreeTDS's socket: the only one here that is not ours. */
static int
find_origin_fd(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int found = -1;
    if (!dir)
        return -1;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        int fd = (int)strtol(e->d_name, NULL, 10), domain = 0;
        socklen_t len = sizeof(domain);
        if (fd <= PS_TDS_WORKER_FD ||
            getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0)
            continue;
        if (domain == AF_INET || domain == AF_INET6)
            found = fd;
    }
    closedir(dir);
    return found;
}

/* An idle server says nothing; what comes is the end. */
static void
origin_spoke(struct worker *w)
{
    struct ps_buf frame;
    PS_CHECK(pthread_mutex_lock(&w->lock) == 0);
    bool idle = !w->busy;
    if (idle)
        w->origin_fd = -1;
    pthread_mutex_unlock(&w->lock);
    if (!idle)
        return;
    ps_buf_init(&frame, 64);
    ps_tds_end(&frame, ps_tds_begin(&frame, PS_TDS_LOST));
    if (send(PS_TDS_WORKER_FD, frame.data, frame.len, MSG_NOSIGNAL) !=
        (ssize_t)frame.len)
        leave(0);
    ps_buf_done(&frame);
}

static void
take_frame(struct worker *w, int type, struct ps_str frame,
           struct ps_tds_reader fields)
{
    PS_CHECK(pthread_mutex_lock(&w->lock) == 0);
    uint32_t seq = ps_tds_get_u32(&fields);
    if (type == PS_TDS_CANCEL) {
        if (w->busy && seq == w->seq)
            w->cancel = true;
    } else {
        ps_buf_clear(&w->job);
        ps_buf_append_str(&w->job, frame);
        w->busy = true;
        w->cancel = false;
        w->seq = type == PS_TDS_EXECUTE ? seq : 0;
        if (ps_buf_rc(&w->job) != PS_OK)
            leave(1);
        pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&w->lock);
}

static void
read_frames(struct worker *w, struct ps_buf *in)
{
    char *room = ps_buf_reserve(in, READ_BYTES);
    if (!room)
        leave(1);
    ssize_t n = recv(PS_TDS_WORKER_FD, room, READ_BYTES, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        leave(0);
    in->len += (size_t)n;
    for (;;) {
        struct ps_tds_reader fields;
        int type;
        size_t len;
        if (!ps_tds_frame(ps_buf_str(in), &type, &fields, &len))
            leave(1);
        if (type == 0)
            break;
        take_frame(w, type, (struct ps_str){in->data, len}, fields);
        explicit_bzero(in->data, len);
        ps_buf_consume(in, len);
    }
    if (in->len == 0 && in->cap > 1 << 20)
        ps_buf_done(in);
}

static void *
control(void *arg)
{
    struct worker *w = arg;
    struct ps_buf in;
    ps_buf_init(&in, PS_TDS_FRAME_MAX + READ_BYTES);
    for (;;) {
        PS_CHECK(pthread_mutex_lock(&w->lock) == 0);
        bool cancel = w->busy && w->cancel && w->seq;
        int origin = w->busy ? -1 : w->origin_fd;
        pthread_mutex_unlock(&w->lock);
        if (cancel)
            ps_tds_odbc_cancel(&w->odbc);
        struct pollfd fds[] = {
            {.fd = PS_TDS_WORKER_FD, .events = POLLIN},
            {.fd = w->poke_fd,       .events = POLLIN},
            {.fd = origin,           .events = POLLIN},
        };
        if (poll(fds, 3, cancel ? CANCEL_AGAIN_MS : -1) < 0 && errno != EINTR)
            leave(1);
        uint64_t pokes;
        if (fds[1].revents && read(w->poke_fd, &pokes, sizeof(pokes)) < 0)
            leave(1);
        if (fds[0].revents)
            read_frames(w, &in);
        else if (fds[2].revents && origin >= 0)
            origin_spoke(w);
    }
}

/* ----------------------------------------------------------- main thread */

static char *
copy_field(struct ps_tds_reader *fields)
{
    struct ps_str text = ps_tds_get_str(fields);
    return text.ptr ? strndup(text.ptr, text.len) : NULL;
}

static void
put_err(struct ps_buf *frames, const struct ps_err *err)
{
    ps_tds_put_u32(frames, (uint32_t)err->rc);
    ps_tds_put_str(frames, ps_str_of(err->sqlstate));
    ps_tds_put_str(frames, ps_str_of(err->message));
}

static void
run_open(struct worker *w, struct ps_tds_reader fields)
{
    struct ps_tds_target target = {.host = copy_field(&fields)};
    struct ps_err err = {.rc = PS_OK};
    target.port = (uint16_t)ps_tds_get_u32(&fields);
    target.tls = (enum ps_tls_mode)ps_tds_get_u32(&fields);
    target.timeout_ms = ps_tds_get_u64(&fields);
    target.ca_pem = copy_field(&fields);
    target.user = copy_field(&fields);
    target.password = copy_field(&fields);
    target.database = copy_field(&fields);
    if (fields.bad || !target.host || !target.user || !target.password ||
        !target.database)
        leave(1);
    enum ps_rc rc = ps_tds_odbc_open(&w->odbc, &target, &err);
    explicit_bzero(target.password, strlen(target.password));
    free(target.host);
    free(target.ca_pem);
    free(target.user);
    free(target.password);
    free(target.database);
    size_t begin = ps_tds_begin(&w->frames, PS_TDS_OPENED);
    put_err(&w->frames, &err);
    ps_tds_end(&w->frames, begin);
    if (rc == PS_OK)
        w->origin_fd = find_origin_fd();
}

static void
read_params(struct ps_tds_reader *fields, struct ps_statement *statement,
            struct ps_param *params)
{
    for (size_t i = 0; i < statement->n_params; i++) {
        params[i].kind = (enum ps_param_kind)ps_tds_get_u32(fields);
        params[i].text = ps_tds_get_str(fields);
        if (params[i].kind > PS_PARAM_TEXT)
            fields->bad = true;
    }
    statement->params = params;
}

static void
run_execute(struct worker *w, struct ps_tds_reader fields)
{
    struct ps_tds_result result = {.err = {.rc = PS_OK}};
    struct ps_statement statement = {.params = NULL};
    uint32_t seq = ps_tds_get_u32(&fields);
    statement.timeout_ms = ps_tds_get_u64(&fields);
    statement.sql = ps_tds_get_str(&fields);
    statement.n_params = ps_tds_get_u32(&fields);
    struct ps_param *params = calloc(statement.n_params + 1, sizeof(*params));
    if (!params)
        leave(1);
    read_params(&fields, &statement, params);
    /* An agent that runs while its package is replaced does not send it. */
    if (fields.at < fields.end)
        statement.plain = ps_tds_get_u32(&fields) != 0;
    if (fields.bad || !statement.sql.ptr)
        leave(1);
    ps_tds_odbc_execute(&w->odbc, &statement, &w->out, &result);
    free(params);
    size_t begin = ps_tds_begin(&w->frames, PS_TDS_DONE);
    ps_tds_put_u32(&w->frames, seq);
    put_err(&w->frames, &result.err);
    ps_tds_put_u32(&w->frames, (uint32_t)result.broken |
                                   (uint32_t)result.cancelled << 1 |
                                   (uint32_t)result.transaction << 2);
    ps_tds_put_u64(&w->frames, result.rows);
    ps_tds_end(&w->frames, begin);
}

static void
run_reset(struct worker *w)
{
    size_t begin = ps_tds_begin(&w->frames, PS_TDS_CLEAN);
    ps_tds_put_u32(&w->frames, (uint32_t)ps_tds_odbc_reset(&w->odbc));
    ps_tds_end(&w->frames, begin);
}

static void
run_job(struct worker *w)
{
    struct ps_tds_reader fields;
    int type;
    size_t len;
    if (!ps_tds_frame(ps_buf_str(&w->job), &type, &fields, &len))
        leave(1);
    if (type == PS_TDS_OPEN)
        run_open(w, fields);
    else if (type == PS_TDS_EXECUTE)
        run_execute(w, fields);
    else if (type == PS_TDS_RESET)
        run_reset(w);
    else
        leave(1);
    if (w->job.data)
        explicit_bzero(w->job.data, w->job.len);
}

/* Idle before the driver hears of it: what it sends next finds it so. */
static void
job_done(struct worker *w)
{
    uint64_t one = 1;
    PS_CHECK(pthread_mutex_lock(&w->lock) == 0);
    w->busy = w->cancel = false;
    ps_buf_clear(&w->job);
    if (w->job.cap > 1 << 20)
        ps_buf_done(&w->job);
    pthread_mutex_unlock(&w->lock);
    send_frames(w);
    if (write(w->poke_fd, &one, sizeof(one)) < 0)
        leave(1);
}

int
main(void)
{
    static struct worker w;
    pthread_t thread;
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_DUMPABLE, 0); /* it holds a password for a moment */
    w.out = (struct ps_tds_out){out_columns, out_row};
    w.origin_fd = -1;
    w.poke_fd = eventfd(0, EFD_CLOEXEC);
    ps_buf_init(&w.frames, PS_TDS_FRAME_MAX);
    ps_buf_init(&w.job, PS_TDS_FRAME_MAX + PS_TDS_HEAD_BYTES);
    if (w.poke_fd < 0 || pthread_mutex_init(&w.lock, NULL) != 0 ||
        pthread_cond_init(&w.wake, NULL) != 0 ||
        pthread_create(&thread, NULL, control, &w) != 0)
        return 1;
    for (;;) {
        PS_CHECK(pthread_mutex_lock(&w.lock) == 0);
        while (w.job.len == 0)
            pthread_cond_wait(&w.wake, &w.lock);
        pthread_mutex_unlock(&w.lock);
        run_job(&w);
        job_done(&w);
    }
}
