/*
 * Places are filled in turn. Where every head is another one (a proxy that
 * gives each request a number), looking and keeping would be in vain: then
 * only one in a while is kept.
 */
#include "agent/front/head_memo.h"

#include "common/check.h"

enum {
    RESULT_AT = offsetof(struct ps_head, method), /* up to the end */
    MAX_DIGITS = 18, /* as head.c, so that the number fits */
    IN_VAIN = 64
};

static void
copy_result(struct ps_head *to, const struct ps_head *from)
{
    memcpy((char *)to + RESULT_AT, (const char *)from + RESULT_AT,
           sizeof(*to) - RESULT_AT);
}

/* Headers behind the number: it may have more or fewer digits now. */
static void
move_kept(struct ps_head *head, size_t number_at, ptrdiff_t by)
{
    for (int i = 0; by != 0 && i < PS_HEAD_KEPT_COUNT; i++) {
        if (head->kept[i].at > number_at)
            head->kept[i].at = (size_t)((ptrdiff_t)head->kept[i].at + by);
    }
}

/* Does text begin with the head in this place? */
static bool
matches(const struct ps_head_memo *memo, unsigned place, struct ps_str text,
        uint64_t *number, size_t *end)
{
    const char *bytes = memo->places[place].bytes;
    struct ps_head_span old = memo->places[place].number;
    size_t at = old.at, digits = 0;
    if (memo->places[place].len == 0 || text.len < at ||
        memcmp(text.ptr, bytes, at) != 0)
        return false;
    *number = 0;
    if (old.len > 0) {
        for (; digits < MAX_DIGITS && at < text.len; digits++, at++) {
            if (text.ptr[at] < '0' || text.ptr[at] > '9')
                break;
            *number = *number * 10 + (uint64_t)(text.ptr[at] - '0');
        }
        if (digits == 0)
            return false;
    }
    /* It begins with something else than a digit. */
    size_t rest = memo->places[place].len - old.at - old.len;
    if (text.len - at < rest ||
        memcmp(text.ptr + at, bytes + old.at + old.len, rest) != 0)
        return false;
    *end = at + rest;
    return true;
}

static bool
search(const struct ps_head_memo *memo, unsigned *place, struct ps_str text,
       uint64_t *number, size_t *end)
{
    if (PS_LIKELY(matches(memo, *place, text, number, end)))
        return true;
    for (unsigned i = 0; i < PS_HEAD_MEMO_PLACES; i++) {
        if (matches(memo, i, text, number, end)) {
            *place = i;
            return true;
        }
    }
    return false;
}

bool
ps_head_memo_find(struct ps_head_memo *memo, unsigned *place,
                  struct ps_str text, struct ps_head *head, size_t *end)
{
    uint64_t number;
    PS_CHECK(*place < PS_HEAD_MEMO_PLACES);
    if (!search(memo, place, text, &number, end))
        return false;
    copy_result(head, &memo->places[*place].head);
    move_kept(head, memo->places[*place].number.at,
              (ptrdiff_t)(*end - memo->places[*place].len));
    head->content_length = number;
    memo->misses = 0;
    memo->found++;
    return true;
}

void
ps_head_memo_keep(struct ps_head_memo *memo, unsigned *place,
                  struct ps_str text, const struct ps_head *head)
{
    uint64_t number;
    size_t end;
    if (text.len > PS_HEAD_MEMO_BYTES ||
        (memo->misses++ > IN_VAIN && memo->misses % IN_VAIN != 0) ||
        search(memo, place, text, &number, &end))
        return;
    unsigned i = memo->next;
    memo->next = (i + 1) % PS_HEAD_MEMO_PLACES;
    memo->places[i].len = text.len;
    /* Without a number: behind everything. */
    memo->places[i].number =
        head->has_length ? head->length : (struct ps_head_span){text.len, 0};
    copy_result(&memo->places[i].head, head);
    memcpy(memo->places[i].bytes, text.ptr, text.len);
    *place = i;
}
