/* Reads and writes are copies; readiness is whatever the test pumps. */
#include "agent/front/memory_transport.h"

static struct ps_memory *
memory_of(struct ps_transport *transport)
{
    return PS_CONTAINER_OF(transport, struct ps_memory, base);
}

static int
memory_handshake(struct ps_transport *transport)
{
    return memory_of(transport)->broken ? PS_TRANSPORT_BROKEN : 0;
}

static ssize_t
memory_read(struct ps_transport *transport, void *buf, size_t n)
{
    struct ps_memory *m = memory_of(transport);
    if (m->broken)
        return PS_TRANSPORT_BROKEN;
    if (m->in.len == 0)
        return m->eof ? 0 : PS_TRANSPORT_AGAIN;
    n = PS_MIN(n, m->in.len);
    memcpy(buf, m->in.data, n);
    ps_buf_consume(&m->in, n);
    return (ssize_t)n;
}

static ssize_t
memory_writev(struct ps_transport *transport, const struct iovec *iov,
              int count)
{
    struct ps_memory *m = memory_of(transport);
    size_t taken = 0, room = PS_MIN(m->max_write, m->window);
    if (m->broken)
        return PS_TRANSPORT_BROKEN;
    if (room == 0)
        return PS_TRANSPORT_AGAIN;
    for (int i = 0; i < count && taken < room; i++) {
        size_t n = PS_MIN(iov[i].iov_len, room - taken);
        ps_buf_append(&m->out, iov[i].iov_base, n);
        taken += n;
    }
    m->window -= taken;
    return (ssize_t)taken;
}

static bool
memory_pending(const struct ps_transport *transport)
{
    (void)transport;
    return false;
}

static void
memory_want(struct ps_transport *transport, unsigned interest)
{
    memory_of(transport)->interest = interest;
}

static void
memory_finish(struct ps_transport *transport)
{
    memory_of(transport)->finished = true;
}

static void
memory_free(struct ps_transport *transport)
{
    memory_of(transport)->freed = true;
}

static const struct ps_transport_ops memory_ops = {
    .handshake = memory_handshake,
    .read = memory_read,
    .writev = memory_writev,
    .pending = memory_pending,
    .want = memory_want,
    .finish = memory_finish,
    .free = memory_free,
};

struct ps_transport *
ps_memory_init(struct ps_memory *memory)
{
    *memory = (struct ps_memory){.base = {.ops = &memory_ops},
                                 .max_write = SIZE_MAX,
                                 .window = SIZE_MAX};
    ps_buf_init(&memory->in, 64 << 20);
    ps_buf_init(&memory->out, 64 << 20);
    return &memory->base;
}

void
ps_memory_done(struct ps_memory *memory)
{
    ps_buf_done(&memory->in);
    ps_buf_done(&memory->out);
}

void
ps_memory_pump(struct ps_memory *m)
{
    for (;;) {
        bool readable = m->in.len > 0 || m->eof || m->broken;
        bool writable = m->window > 0 || m->broken;
        unsigned ready = 0;
        if (m->freed)
            return;
        if (readable && (m->interest & PS_IO_READ))
            ready = PS_IO_READ;
        else if (writable && (m->interest & PS_IO_WRITE))
            ready = PS_IO_WRITE;
        if (ready == 0)
            return;
        m->base.ready(m->base.arg, ready);
    }
}

void
ps_memory_feed(struct ps_memory *m, struct ps_str bytes)
{
    ps_buf_append_str(&m->in, bytes);
    ps_memory_pump(m);
}
