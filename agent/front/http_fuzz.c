/*
 * A whole connection over the memory transport: whatever comes in, in
 * whatever pieces, what goes out is well-formed replies, and every request
 * that was begun ends. The front must read it the same way in one piece.
 *
 * Input: a byte of modes, a byte for the size of the pieces, then the bytes
 * that the client sends.
 */
#include "agent/front/front_private.h"
#include "agent/front/memory_transport.h"
#include "agent/front/stub_engine.h"
#include "tests/fuzz/fuzz.h"

enum {
    SMALL_WRITE = 40,   /* "100 Continue" fits, as it must */
    MODE_HOLD = 1,      /* the engine answers later */
    MODE_PREPARE = 2,   /* and looks at the bindings */
    MODE_EOF = 4,       /* the client closes its direction at the end */
    MODE_SMALL_OUT = 8, /* the socket takes few bytes at a time */
    MODE_FAIL = 16,     /* the engine answers with an error */
    MODE_EXPIRE = 32,   /* time passes at the end */
    MODE_BREAK = 64     /* the connection breaks at the end */
};

struct world {
    struct ps_clock *clock;
    struct ps_loop *loop;
    struct ps_engine engine;
    struct ps_front *front;
    struct ps_memory memory;
};

static void
open_world(struct world *w, unsigned modes)
{
    memset(w, 0, sizeof(*w));
    w->clock = ps_clock_virtual_new();
    w->loop = ps_loop_new(w->clock, "fuzz");
    w->engine =
        (struct ps_engine){.body = PS_STR("[{\"a\":1}]"),
                           .rc = modes & MODE_FAIL ? PS_ORIGIN_SQL : PS_OK,
                           .hold = modes & MODE_HOLD,
                           .prepare = modes & MODE_PREPARE,
                           .finish_abandoned = true,
                           .verdict = PS_VERDICT_HIT,
                           .reason = "hit"};
    struct ps_front_conf conf = {
        .loop = w->loop,
        .engine = &w->engine,
        .limits = {.max_head_bytes = 1024,
                   .max_body_bytes = 4096,
                   .max_buffered_bytes = 1 << 20}
    };
    w->front = ps_front_new(&conf);
    FUZZ_CHECK(w->front);
    FUZZ_CHECK(
        ps_http_open(w->front, ps_memory_init(&w->memory), "192.0.2.1", false));
    if (modes & MODE_SMALL_OUT)
        w->memory.max_write = SMALL_WRITE;
}

static void
advance_ms(struct world *w, uint64_t ms)
{
    ps_clock_virtual_advance_us(w->clock, ms * 1000);
    while (ps_loop_turn(w->loop) > 0)
        ;
}

static void
settle(struct world *w)
{
    while (w->engine.n_held > 0)
        ps_stub_finish(&w->engine);
    if (!w->memory.freed)
        ps_memory_pump(&w->memory);
}

static void
close_world(struct world *w)
{
    ps_memory_done(&w->memory);
    ps_front_free(&w->front);
    ps_loop_free(&w->loop);
    ps_clock_virtual_free(&w->clock);
    FUZZ_CHECK(w->engine.n_started == w->engine.n_finished);
    FUZZ_CHECK(w->engine.n_finished == w->engine.n_done);
}

static bool
starts_with(struct ps_str text, const char *prefix)
{
    size_t n = strlen(prefix);
    return text.len >= n && memcmp(text.ptr, prefix, n) == 0;
}

/* Replies side by side, each with a status and, where the client did not ask
 * for the head only, a body of the announced length; returns how many. */
static size_t
check_replies(struct ps_str out)
{
    static const char name[] = "\r\nContent-Length: ";
    size_t n = 0;
    while (out.len > 0) {
        FUZZ_CHECK(starts_with(out, "HTTP/1.1 "));
        const char *end = memmem(out.ptr, out.len, "\r\n\r\n", 4);
        FUZZ_CHECK(end);
        size_t head = (size_t)(end - out.ptr) + 4, body = 0;
        const char *at = memmem(out.ptr, head, name, sizeof(name) - 1);
        if (at)
            body = strtoul(at + sizeof(name) - 1, NULL, 10);
        bool interim = starts_with(out, "HTTP/1.1 100 ");
        out.ptr += head;
        out.len -= head;
        /* Behind the head of a HEAD reply the next reply begins. */
        if (body > 0 && out.len > 0 && !starts_with(out, "HTTP/1.1 ")) {
            FUZZ_CHECK(body <= out.len);
            FUZZ_CHECK(out.ptr[0] == '{' || out.ptr[0] == '[');
            out.ptr += body;
            out.len -= body;
        }
        n += !interim;
    }
    return n;
}

/* Sends all of text and returns what came back. */
static size_t
talk(unsigned modes, size_t piece, struct ps_str text, unsigned *started)
{
    struct world w;
    open_world(&w, modes);
    while (text.len > 0 && !w.memory.freed) {
        struct ps_str part = {text.ptr, PS_MIN(piece, text.len)};
        ps_memory_feed(&w.memory, part);
        settle(&w);
        text.ptr += part.len;
        text.len -= part.len;
    }
    w.memory.eof = modes & MODE_EOF;
    w.memory.broken = modes & MODE_BREAK;
    settle(&w);
    if (modes & MODE_EXPIRE) {
        advance_ms(&w, 200000);
        settle(&w);
        advance_ms(&w, 200000);
        FUZZ_CHECK(w.memory.freed);
    }
    size_t n = 0;
    if (!(modes & MODE_BREAK))
        n = check_replies(ps_buf_str(&w.memory.out));
    *started = w.engine.n_started;
    close_world(&w);
    return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    unsigned modes = fuzz_byte(&in);
    size_t piece = fuzz_byte(&in);
    struct ps_str text = fuzz_rest(&in);
    unsigned whole, pieces;
    size_t a = talk(modes, SIZE_MAX, text, &whole);
    size_t b = talk(modes, piece ? piece : 256, text, &pieces);
    if (modes & (MODE_HOLD | MODE_BREAK))
        return 0; /* when the end is seen depends on the pieces */
    FUZZ_CHECK(a == b);
    FUZZ_CHECK(whole == pieces);
    return 0;
}
