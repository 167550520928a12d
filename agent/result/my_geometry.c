/*
 * WKB (OGC 06-103r4 section 8.2) behind a 4-byte SRID, as mysql2 reads it:
 * a point is {"x":,"y":}, a line or multipoint a list of points, a polygon or
 * multiline a list of those, a collection a list of any. Depth and counts are
 * bounded by the bytes that are there.
 */
#include "agent/result/js_number.h"
#include "agent/result/my_values.h"

#include <stdio.h>

enum {
    DEPTH_MAX = 32,
    SRID_BYTES = 4
};

enum shape {
    POINT = 1,
    LINE,
    POLYGON,
    MULTI_POINT,
    MULTI_LINE,
    MULTI_POLYGON,
    COLLECTION
};

struct reader {
    const unsigned char *at, *end;
    struct ps_buf *out;
};

static bool
take_u32(struct reader *r, bool little, uint32_t *value)
{
    if (r->end - r->at < 4)
        return false;
    const unsigned char *b = r->at;
    *value = little ? (uint32_t)b[0] | (uint32_t)b[1] << 8 |
                          (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24
                    : (uint32_t)b[3] | (uint32_t)b[2] << 8 |
                          (uint32_t)b[1] << 16 | (uint32_t)b[0] << 24;
    r->at += 4;
    return true;
}

static bool
put_double(struct reader *r, bool little)
{
    uint64_t bits = 0;
    double value;
    char text[64], number[PS_JS_NUMBER_MAX];
    if (r->end - r->at < 8)
        return false;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | r->at[little ? 7 - i : i];
    r->at += 8;
    _Static_assert(sizeof(value) == sizeof(bits), "IEEE 754 binary64");
    __builtin_memcpy(&value, &bits, sizeof(value));
    int n = snprintf(text, sizeof(text), "%.17g", value);
    ps_buf_append(
        r->out, number,
        ps_js_number((struct ps_str){text, (size_t)n}, false, number));
    return true;
}

static bool
put_point(struct reader *r, bool little)
{
    ps_buf_append_c(r->out, "{\"x\":");
    if (!put_double(r, little))
        return false;
    ps_buf_append_c(r->out, ",\"y\":");
    if (!put_double(r, little))
        return false;
    ps_buf_append_char(r->out, '}');
    return true;
}

static bool
put_points(struct reader *r, bool little)
{
    uint32_t n;
    if (!take_u32(r, little, &n))
        return false;
    ps_buf_append_char(r->out, '[');
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            ps_buf_append_char(r->out, ',');
        if (!put_point(r, little))
            return false;
    }
    ps_buf_append_char(r->out, ']');
    return true;
}

static bool put_shape(struct reader *r, unsigned depth);

/* Rings have no header of their own, the parts of a collection have. */
static bool
put_parts(struct reader *r, bool little, bool rings, unsigned depth)
{
    uint32_t n;
    if (!take_u32(r, little, &n))
        return false;
    ps_buf_append_char(r->out, '[');
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            ps_buf_append_char(r->out, ',');
        if (rings ? !put_points(r, little) : !put_shape(r, depth + 1))
            return false;
    }
    ps_buf_append_char(r->out, ']');
    return true;
}

static bool
put_shape(struct reader *r, unsigned depth)
{
    uint32_t shape;
    if (depth == DEPTH_MAX || r->end - r->at < 1)
        return false;
    bool little = *r->at++ != 0;
    if (!take_u32(r, little, &shape))
        return false;
    switch (shape) {
    case POINT:
        return put_point(r, little);
    case LINE:
        return put_points(r, little);
    case POLYGON:
        return put_parts(r, little, true, depth);
    case MULTI_POINT:
    case MULTI_LINE:
    case MULTI_POLYGON:
    case COLLECTION:
        return put_parts(r, little, false, depth);
    default:
        return false;
    }
}

void
ps_my_geometry_json(struct ps_buf *out, struct ps_str bytes)
{
    const unsigned char *data = (const unsigned char *)bytes.ptr;
    struct reader r = {.at = data, .end = data + bytes.len, .out = out};
    size_t before = out->len;
    if (bytes.len > SRID_BYTES) {
        r.at += SRID_BYTES;
        if (put_shape(&r, 0))
            return;
    }
    if (out->len > before)
        out->len = before;
    ps_buf_append(out, "null", 4);
}
