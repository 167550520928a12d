/* Frames between the SQL Server driver and its worker: see tds_wire.h. Pure. */
#include "agent/backend/tds_wire.h"

static void
store_u32(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static uint32_t
load_u32(const char *at)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value |= (uint32_t)(unsigned char)at[i] << 8 * i;
    return value;
}

size_t
ps_tds_begin(struct ps_buf *buf, enum ps_tds_frame type)
{
    size_t begin = buf->len;
    ps_tds_put_u32(buf, 0);
    ps_buf_append_char(buf, (char)type);
    return begin;
}

void
ps_tds_end(struct ps_buf *buf, size_t begin)
{
    if (ps_buf_rc(buf) == PS_OK)
        store_u32((unsigned char *)buf->data + begin,
                  (uint32_t)(buf->len - begin - 4));
}

void
ps_tds_put_u32(struct ps_buf *buf, uint32_t value)
{
    unsigned char bytes[4];
    store_u32(bytes, value);
    ps_buf_append(buf, bytes, sizeof(bytes));
}

void
ps_tds_put_u64(struct ps_buf *buf, uint64_t value)
{
    ps_tds_put_u32(buf, (uint32_t)value);
    ps_tds_put_u32(buf, (uint32_t)(value >> 32));
}

void
ps_tds_put_str(struct ps_buf *buf, struct ps_str text)
{
    ps_tds_put_u32(buf, text.ptr ? (uint32_t)text.len : UINT32_MAX);
    if (text.ptr)
        ps_buf_append_str(buf, text);
}

static const char *
take(struct ps_tds_reader *reader, size_t n)
{
    if (reader->bad || (size_t)(reader->end - reader->at) < n) {
        reader->bad = true;
        return NULL;
    }
    reader->at += n;
    return reader->at - n;
}

uint32_t
ps_tds_get_u32(struct ps_tds_reader *reader)
{
    const char *at = take(reader, 4);
    return at ? load_u32(at) : 0;
}

uint64_t
ps_tds_get_u64(struct ps_tds_reader *reader)
{
    uint64_t low = ps_tds_get_u32(reader);
    return low | (uint64_t)ps_tds_get_u32(reader) << 32;
}

struct ps_str
ps_tds_get_str(struct ps_tds_reader *reader)
{
    uint32_t len = ps_tds_get_u32(reader);
    if (reader->bad || len == UINT32_MAX)
        return PS_STR_NONE;
    const char *at = take(reader, len);
    return at ? (struct ps_str){at, len} : PS_STR_NONE;
}

bool
ps_tds_frame(struct ps_str bytes, int *type, struct ps_tds_reader *fields,
             size_t *len)
{
    *type = 0;
    if (bytes.len < PS_TDS_HEAD_BYTES)
        return true;
    uint32_t n = load_u32(bytes.ptr);
    if (n < 1 || n > PS_TDS_FRAME_MAX)
        return false;
    if (bytes.len - 4 < n)
        return true;
    *type = bytes.ptr[4];
    *fields = (struct ps_tds_reader){bytes.ptr + PS_TDS_HEAD_BYTES,
                                     bytes.ptr + 4 + n, false};
    *len = (size_t)n + 4;
    return true;
}
