/*
 * Frames between the SQL Server driver and its worker, as the other side, gone
 * mad, might send them: nothing is read beyond a frame, what is past its end is
 * absent, and what is written is read back.
 *
 * Input: a byte per field that is asked for (0: the end of the list), then the
 * bytes of the stream.
 */
#include "agent/backend/tds_wire.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

enum {
    FIELDS_MAX = 64
};

struct fields {
    uint8_t kinds[FIELDS_MAX];
    size_t n;
};

static bool
inside(const struct ps_tds_reader *reader, const char *begin)
{
    return reader->at >= begin && reader->at <= reader->end;
}

/* Takes the fields, and writes them into again. */
static void
read_fields(struct ps_tds_reader *reader, const struct fields *fields,
            struct ps_buf *again)
{
    const char *begin = reader->at;
    for (size_t i = 0; i < fields->n; i++) {
        bool was_bad = reader->bad;
        uint64_t number = 0;
        struct ps_str text = PS_STR_NONE;
        if (fields->kinds[i] % 3 == 0)
            number = ps_tds_get_u32(reader);
        else if (fields->kinds[i] % 3 == 1)
            number = ps_tds_get_u64(reader);
        else
            text = ps_tds_get_str(reader);
        FUZZ_CHECK(inside(reader, begin));
        FUZZ_CHECK(!was_bad || reader->bad);
        if (reader->bad) {
            FUZZ_CHECK(!text.ptr);
            return;
        }
        if (text.ptr)
            FUZZ_CHECK(text.ptr >= begin && text.ptr + text.len <= reader->end);
        if (fields->kinds[i] % 3 == 0)
            ps_tds_put_u32(again, (uint32_t)number);
        else if (fields->kinds[i] % 3 == 1)
            ps_tds_put_u64(again, number);
        else
            ps_tds_put_str(again, text);
    }
    /* The same bytes, as far as they were asked for. */
    FUZZ_CHECK(again->len == (size_t)(reader->at - begin));
    FUZZ_CHECK(again->len == 0 || memcmp(again->data, begin, again->len) == 0);
}

static void
check_roundtrip(int type, const struct ps_buf *again)
{
    struct ps_buf frame;
    struct ps_tds_reader reader;
    int found;
    size_t len;
    ps_buf_init(&frame, 1 << 20);
    size_t begin = ps_tds_begin(&frame, (enum ps_tds_frame)type);
    ps_buf_append(&frame, again->data ? again->data : "", again->len);
    ps_tds_end(&frame, begin);
    FUZZ_CHECK(ps_buf_rc(&frame) == PS_OK);
    FUZZ_CHECK(ps_tds_frame(ps_buf_str(&frame), &found, &reader, &len));
    FUZZ_CHECK(found == type && len == frame.len);
    FUZZ_CHECK((size_t)(reader.end - reader.at) == again->len);
    ps_buf_done(&frame);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    struct fields fields = {.n = 0};
    uint8_t kind;
    while (fields.n < FIELDS_MAX && (kind = fuzz_byte(&in)) != 0)
        fields.kinds[fields.n++] = kind;
    struct ps_str rest = fuzz_rest(&in);
    for (;;) {
        struct ps_tds_reader reader;
        struct ps_buf again;
        int type;
        size_t len = 0;
        if (!ps_tds_frame(rest, &type, &reader, &len) || type == 0)
            return 0;
        FUZZ_CHECK(len >= PS_TDS_HEAD_BYTES && len <= rest.len);
        FUZZ_CHECK(reader.end == rest.ptr + len);
        ps_buf_init(&again, 1 << 20);
        read_fields(&reader, &fields, &again);
        check_roundtrip(type, &again);
        ps_buf_done(&again);
        rest.ptr += len;
        rest.len -= len;
    }
}
