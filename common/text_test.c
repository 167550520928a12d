/* Views, buffers, arenas, UTF-8, hashes, maps: the pure parts. */
#include "common/arena.h"
#include "common/buf.h"
#include "common/hash.h"
#include "common/list.h"
#include "common/map.h"
#include "common/tls.h"
#include "common/tls_seal.h"
#include "common/utf8.h"
#include "tests/unit.h"

#include <stdio.h>

static void
views_compare(PS_UNUSED void **state)
{
    assert_true(ps_str_eq(PS_STR("a\0b"), PS_STR("a\0b")));
    assert_false(ps_str_eq(PS_STR("a\0b"), PS_STR("a\0c")));
    assert_false(ps_str_eq(PS_STR("a"), PS_STR("ab")));
    assert_true(ps_str_eq(PS_STR_NONE, PS_STR("")));
    assert_true(
        ps_str_eq_nocase(PS_STR("Content-TYPE"), PS_STR("content-type")));
    /* '[' and '{', '@' and '`' differ in the same bit as letters do. */
    assert_false(ps_str_eq_nocase(PS_STR("["), PS_STR("{")));
    assert_false(ps_str_eq_nocase(PS_STR("@"), PS_STR("`")));
    assert_false(ps_str_eq_nocase(PS_STR("\xC4"), PS_STR("\xE4")));
    assert_false(ps_str_eq_nocase(PS_STR("a"), PS_STR("ab")));
    assert_int_equal(ps_str_of(NULL).len, 0);
}

/* ---- buffers ---- */

static void
buffers_grow_to_their_maximum(PS_UNUSED void **state)
{
    struct ps_buf buf;
    ps_buf_init(&buf, 1000);
    assert_null(buf.data);
    for (int i = 0; i < 100; i++)
        ps_buf_append(&buf, "0123456789", 10);
    assert_int_equal(ps_buf_rc(&buf), PS_OK);
    assert_int_equal(buf.len, 1000);
    assert_true(buf.cap <= 1000);
    ps_buf_append_char(&buf, 'x');
    assert_int_equal(ps_buf_rc(&buf), PS_TOO_BIG);
    assert_int_equal(buf.len, 1000);
    assert_null(ps_buf_reserve(&buf, 1));

    ps_buf_clear(&buf);
    assert_int_equal(ps_buf_rc(&buf), PS_OK);
    ps_buf_append_c(&buf, "again");
    assert_true(ps_str_eq(ps_buf_str(&buf), PS_STR("again")));
    /* A failure sticks, though smaller things would fit. */
    assert_null(ps_buf_reserve(&buf, 996));
    ps_buf_append_char(&buf, 'x');
    assert_int_equal(buf.len, 5);
    ps_buf_done(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.max, 1000);
}

static void
numbers_are_written(PS_UNUSED void **state)
{
    struct ps_buf buf;
    ps_buf_init(&buf, 200);
    ps_buf_append_u64(&buf, 0);
    ps_buf_append_char(&buf, ' ');
    ps_buf_append_u64(&buf, UINT64_MAX);
    ps_buf_append_char(&buf, ' ');
    ps_buf_append_i64(&buf, INT64_MIN);
    ps_buf_append_char(&buf, ' ');
    ps_buf_append_i64(&buf, INT64_MAX);
    assert_true(ps_str_eq(ps_buf_str(&buf),
                          PS_STR("0 18446744073709551615 "
                                 "-9223372036854775808 9223372036854775807")));
    ps_buf_done(&buf);
}

static void
printf_fits_exactly_or_not_at_all(PS_UNUSED void **state)
{
    for (size_t max = 0; max < 600; max++) {
        struct ps_buf buf;
        ps_buf_init(&buf, max);
        ps_buf_printf(&buf, "%s", "");
        ps_buf_printf(&buf, "%0*d", 300, 7);
        if (max < 300) {
            assert_int_equal(ps_buf_rc(&buf), PS_TOO_BIG);
            assert_int_equal(buf.len, 0);
        } else {
            assert_int_equal(ps_buf_rc(&buf), PS_OK);
            assert_int_equal(buf.len, 300);
            assert_int_equal(buf.data[299], '7');
        }
        ps_buf_done(&buf);
    }
}

static void
bytes_are_consumed_and_taken(PS_UNUSED void **state)
{
    struct ps_buf buf;
    ps_buf_init(&buf, 100);
    ps_buf_consume(&buf, 0);
    ps_buf_append_c(&buf, "GET / HTTP");
    ps_buf_consume(&buf, 4);
    assert_true(ps_str_eq(ps_buf_str(&buf), PS_STR("/ HTTP")));
    size_t len;
    char *bytes = ps_buf_take(&buf, &len);
    assert_int_equal(len, 6);
    assert_memory_equal(bytes, "/ HTTP", 6);
    free(bytes);
    assert_int_equal(buf.len, 0);
    assert_null(buf.data);
    ps_buf_done(&buf);
}

static void
expect_json(struct ps_str in, struct ps_str out)
{
    struct ps_buf buf;
    ps_buf_init(&buf, 4096);
    ps_buf_append_json(&buf, in);
    assert_int_equal(ps_buf_rc(&buf), PS_OK);
    if (!ps_str_eq(ps_buf_str(&buf), out))
        fail_msg("got %.*s, expected %.*s", (int)buf.len, buf.data,
                 PS_STR_ARG(out));
    ps_buf_done(&buf);
}

static void
json_strings_are_escaped(PS_UNUSED void **state)
{
    expect_json(PS_STR_NONE, PS_STR("\"\""));
    expect_json(PS_STR("plain text of more than eight bytes"),
                PS_STR("\"plain text of more than eight bytes\""));
    expect_json(PS_STR("\"\\/"), PS_STR("\"\\\"\\\\/\""));
    expect_json(PS_STR("\b\f\n\r\t"), PS_STR("\"\\b\\f\\n\\r\\t\""));
    expect_json(PS_STR("\0\x01\x1f\x20\x7f"),
                PS_STR("\"\\u0000\\u0001\\u001f\x20\x7f\""));
    expect_json(PS_STR("gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80 end"),
                PS_STR("\"gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80 end\""));
    /* Not UTF-8: each bad byte becomes U+FFFD. */
    expect_json(PS_STR("a\xFFz"), PS_STR("\"a\xEF\xBF\xBDz\""));
    expect_json(PS_STR("\xC3"), PS_STR("\"\xEF\xBF\xBD\""));
    expect_json(PS_STR("\xC3\xBC\xED\xA0\x80"),
                PS_STR("\"\xC3\xBC\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""));
}

/* Every byte at every place relative to the words of the fast path. */
static void
json_escapes_wherever_they_stand(PS_UNUSED void **state)
{
    for (int c = 0; c < 128; c++) {
        struct ps_buf one;
        ps_buf_init(&one, 64);
        char byte = (char)c;
        ps_buf_append_json(&one, (struct ps_str){&byte, 1});
        struct ps_str escaped = {one.data + 1, one.len - 2};
        for (size_t at = 0; at < 17; at++) {
            char in[17], out[64];
            memset(in, 'x', sizeof(in));
            in[at] = byte;
            size_t n = 0;
            out[n++] = '"';
            for (size_t i = 0; i < sizeof(in); i++) {
                struct ps_str part = i == at ? escaped : PS_STR("x");
                memcpy(out + n, part.ptr, part.len);
                n += part.len;
            }
            out[n++] = '"';
            expect_json((struct ps_str){in, sizeof(in)},
                        (struct ps_str){out, n});
        }
        ps_buf_done(&one);
    }
}

/* ---- UTF-8 ---- */

/* The definition, written down another way: decode, then look. */
static bool
valid_by_decoding(const unsigned char *p, size_t n, size_t *len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t need = p[0] < 0x80   ? 1
                  : p[0] < 0xC0 ? 0
                  : p[0] < 0xE0 ? 2
                  : p[0] < 0xF0 ? 3
                  : p[0] < 0xF8 ? 4
                                : 0;
    if (need == 0 || need > n)
        return false;
    uint32_t code = need == 1 ? p[0] : p[0] & (0xFFu >> (need + 1));
    for (size_t i = 1; i < need; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return false;
        code = code << 6 | (p[i] & 0x3Fu);
    }
    *len = need;
    return code >= least[need] && code <= 0x10FFFF &&
           !(code >= 0xD800 && code <= 0xDFFF);
}

static void
utf8_is_checked_as_decoding_would(PS_UNUSED void **state)
{
    /* All sequences of three bytes, and every third with a fourth. */
    unsigned char text[4];
    for (uint32_t i = 0; i < 1u << 24; i++) {
        text[0] = (unsigned char)(i >> 16);
        text[1] = (unsigned char)(i >> 8);
        text[2] = (unsigned char)i;
        text[3] = (unsigned char)(i * 7);
        if (text[0] < 0x80)
            i |= 0xFF; /* little to learn from ASCII first */
        size_t expected = 0, len;
        while (expected < 4 &&
               valid_by_decoding(text + expected, 4 - expected, &len))
            expected += len;
        size_t got = ps_utf8_check((struct ps_str){(char *)text, 4});
        if (got != expected)
            fail_msg("%02x %02x %02x %02x: %zu, not %zu", text[0], text[1],
                     text[2], text[3], got, expected);
    }
}

static void
utf8_offsets_are_exact(PS_UNUSED void **state)
{
    char text[40];
    for (size_t bad = 0; bad < sizeof(text); bad++) {
        memset(text, 'a', sizeof(text));
        text[bad] = '\xFF';
        struct ps_str s = {text, sizeof(text)};
        assert_int_equal(ps_utf8_check(s), bad);
    }
    assert_int_equal(ps_utf8_check(PS_STR_NONE), 0);
    assert_int_equal(ps_utf8_check(PS_STR("\xF4\x8F\xBF\xBF")), 4);
    assert_int_equal(ps_utf8_check(PS_STR("\xF4\x90\x80\x80")), 0);
    assert_int_equal(ps_utf8_check(PS_STR("12345678\xC0\xAF")), 8);
    assert_int_equal(ps_utf8_check(PS_STR("12345678\xE2\x82")), 8);
}

/* ---- arenas ---- */

static void
arenas_align_and_keep(PS_UNUSED void **state)
{
    struct ps_arena *arena = ps_arena_new(1 << 20);
    char *parts[200];
    for (size_t i = 0; i < 200; i++) {
        parts[i] = ps_arena_alloc(arena, i);
        assert_non_null(parts[i]);
        assert_int_equal((uintptr_t)parts[i] % 16, 0);
        memset(parts[i], (int)i, i);
    }
    char *large = ps_arena_zalloc(arena, 500000);
    assert_non_null(large);
    assert_int_equal(large[499999], 0);
    for (size_t i = 0; i < 200; i++) {
        for (size_t k = 0; k < i; k++)
            assert_int_equal((unsigned char)parts[i][k], i);
    }
    struct ps_str copy = ps_arena_str(arena, PS_STR("a\0b"));
    assert_true(ps_str_eq(copy, PS_STR("a\0b")));
    assert_int_equal(copy.ptr[3], '\0');
    assert_string_equal(ps_arena_printf(arena, "%d-%s", 7, "x"), "7-x");
    assert_false(ps_arena_failed(arena));
    ps_arena_free(&arena);
    assert_null(arena);
}

static void
arenas_fail_for_good_at_their_maximum(PS_UNUSED void **state)
{
    struct ps_arena *arena = ps_arena_new(8192);
    assert_non_null(ps_arena_alloc(arena, 8000));
    assert_int_equal(ps_arena_used(arena), 8000);
    assert_null(ps_arena_alloc(arena, 300));
    assert_true(ps_arena_failed(arena));
    assert_null(ps_arena_alloc(arena, 1));
    assert_null(ps_arena_printf(arena, "x"));
    assert_null(ps_arena_str(arena, PS_STR("x")).ptr);
    ps_arena_reset(arena);
    assert_false(ps_arena_failed(arena));
    assert_int_equal(ps_arena_used(arena), 0);
    assert_non_null(ps_arena_alloc(arena, 8192));
    assert_null(ps_arena_alloc(arena, SIZE_MAX));
    ps_arena_free(&arena);
}

/* ---- lists ---- */

static void
lists_keep_order_and_count(PS_UNUSED void **state)
{
    struct ps_list list;
    struct ps_link a = {0}, b = {0}, c = {0};
    ps_list_init(&list);
    assert_null(ps_list_first(&list));
    ps_list_push_back(&list, &b);
    ps_list_push_back(&list, &c);
    ps_list_push_front(&list, &a);
    assert_int_equal(list.count, 3);
    struct ps_link *expected[] = {&a, &b, &c};
    size_t n = 0;
    PS_LIST_FOREACH_SAFE(&list, it, next) {
        assert_ptr_equal(it, expected[n++]);
        if (it == &b)
            ps_list_remove(&list, it);
    }
    assert_int_equal(n, 3);
    assert_false(ps_link_linked(&b));
    assert_ptr_equal(ps_list_pop_front(&list), &a);
    assert_ptr_equal(ps_list_last(&list), &c);
    assert_ptr_equal(ps_list_pop_front(&list), &c);
    assert_null(ps_list_pop_front(&list));
}

/* ---- maps ---- */

static size_t freed;

static void
count_freed(PS_UNUSED void *value)
{
    freed++;
}

/* A long random walk beside a plain array as the model. */
static void
maps_agree_with_an_array(PS_UNUSED void **state)
{
    enum {
        KEYS = 512,
        STEPS = 200000
    };
    static char model[KEYS]; /* the value is the address, NULL: absent */
    bool in[KEYS] = {false};
    size_t count = 0;
    uint64_t random = 88172645463325252u;
    struct ps_map *map = ps_map_new();
    for (int step = 0; step < STEPS; step++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        size_t i = random % KEYS;
        char text[16];
        int n = snprintf(text, sizeof(text), "key%zu", i);
        struct ps_str key = {text, (size_t)n};
        /* Fill in one half of the walk, drain in the other. */
        bool put = (random >> 32) % 4 < (step < STEPS / 2 ? 3 : 1);
        if (put) {
            void *old = &old;
            assert_int_equal(ps_map_put(map, key, &model[i], &old), PS_OK);
            assert_ptr_equal(old, in[i] ? &model[i] : NULL);
            count += !in[i];
            in[i] = true;
        } else {
            assert_ptr_equal(ps_map_remove(map, key), in[i] ? &model[i] : NULL);
            count -= in[i];
            in[i] = false;
        }
        assert_int_equal(ps_map_count(map), count);
    }
    size_t at = 0, seen = 0;
    struct ps_str key;
    void *value;
    while (ps_map_next(map, &at, &key, &value)) {
        size_t i = (size_t)((char *)value - model);
        assert_true(in[i]);
        assert_ptr_equal(ps_map_find(map, key), value);
        seen++;
    }
    assert_int_equal(seen, count);
    for (size_t i = 0; i < KEYS; i++) {
        char text[16];
        int n = snprintf(text, sizeof(text), "key%zu", i);
        assert_ptr_equal(ps_map_find(map, (struct ps_str){text, (size_t)n}),
                         in[i] ? &model[i] : NULL);
    }
    freed = 0;
    ps_map_free(&map, count_freed);
    assert_int_equal(freed, count);
    assert_null(map);
}

static void
map_keys_are_bytes(PS_UNUSED void **state)
{
    struct ps_map *map = ps_map_new();
    int a, b, c;
    assert_null(ps_map_find(map, PS_STR("")));
    assert_null(ps_map_remove(map, PS_STR("")));
    assert_int_equal(ps_map_put(map, PS_STR("a"), &a, NULL), PS_OK);
    assert_int_equal(ps_map_put(map, PS_STR("a\0"), &b, NULL), PS_OK);
    assert_int_equal(ps_map_put(map, PS_STR_NONE, &c, NULL), PS_OK);
    assert_ptr_equal(ps_map_find(map, PS_STR("a")), &a);
    assert_ptr_equal(ps_map_find(map, PS_STR("a\0")), &b);
    assert_ptr_equal(ps_map_find(map, PS_STR("")), &c);
    ps_map_free(&map, NULL);
}

/* ---- hashes ---- */

static void
fingerprints_are_the_same_for_ever(PS_UNUSED void **state)
{
    /* XXH3-64 without seed, as published: of nothing, and of "a". */
    assert_true(ps_fingerprint64("", 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(ps_fingerprint64("a", 1) == UINT64_C(0xe6c632b61e964e1f));
    assert_true(ps_hash64("a", 1, 1) != ps_hash64("a", 1, 2));
}

/* The examples of FIPS 180-4 (NIST's page on SHA-256), and the longest text
 * that fits one block with its length. */
static void
sealed_texts_open_with_their_secret_only(PS_UNUSED void **state)
{
    struct ps_buf sealed, again, out;
    ps_buf_init(&sealed, 1024);
    ps_buf_init(&again, 1024);
    ps_buf_init(&out, 1024);
    for (size_t len = 0; len < 40; len += 13) {
        struct ps_str text = {"a text of forty characters, or about so.", len};
        ps_buf_clear(&sealed);
        ps_buf_clear(&again);
        ps_buf_clear(&out);
        ps_seal(PS_STR("secret"), PS_STR("for"), text, &sealed);
        ps_seal(PS_STR("secret"), PS_STR("for"), text, &again);
        assert_int_equal(sealed.len, len + PS_SEAL_EXTRA);
        assert_memory_not_equal(sealed.data, again.data, sealed.len);
        assert_int_equal(ps_unseal(PS_STR("secret"), PS_STR("for"),
                                   ps_buf_str(&sealed), &out),
                         PS_OK);
        assert_int_equal(out.len, len);
        if (len)
            assert_memory_equal(out.data, text.ptr, len);
        assert_int_equal(ps_unseal(PS_STR("secreT"), PS_STR("for"),
                                   ps_buf_str(&sealed), &out),
                         PS_BAD_REQUEST);
        assert_int_equal(ps_unseal(PS_STR("secret"), PS_STR("foR"),
                                   ps_buf_str(&sealed), &out),
                         PS_BAD_REQUEST);
        for (size_t i = 0; i < sealed.len; i++) {
            struct ps_str cut = {sealed.data, i};
            assert_int_equal(
                ps_unseal(PS_STR("secret"), PS_STR("for"), cut, &out),
                PS_BAD_REQUEST);
            sealed.data[i] ^= 1;
            assert_int_equal(ps_unseal(PS_STR("secret"), PS_STR("for"),
                                       ps_buf_str(&sealed), &out),
                             PS_BAD_REQUEST);
            sealed.data[i] ^= 1;
        }
        assert_int_equal(out.len, len);
    }
    ps_buf_done(&sealed);
    ps_buf_done(&again);
    ps_buf_done(&out);
}

static void
sha256_is_the_standards(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hex;
    } examples[] = {
        {"",
         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc",
         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
    };
    for (size_t i = 0; i < PS_ARRAY_LEN(examples); i++) {
        unsigned char digest[32];
        char hex[65];
        ps_sha256(ps_str_of(examples[i].text), digest);
        ps_hex(digest, sizeof(digest), hex);
        assert_string_equal(hex, examples[i].hex);
    }
}

static void
keyed_hashes_depend_on_the_secret(PS_UNUSED void **state)
{
    struct ps_hash_secret other = *ps_hash_process_secret();
    char text[300];
    for (size_t n = 1; n < sizeof(text); n++) {
        memset(text, 'q', n);
        struct ps_hash128 a =
            ps_hash128_keyed(text, n, ps_hash_process_secret());
        struct ps_hash128 b = ps_hash128_keyed(text, n, &other);
        assert_true(a.lo == b.lo && a.hi == b.hi);
    }
    for (size_t i = 0; i < sizeof(other.bytes); i++)
        other.bytes[i] ^= (unsigned char)(i * 37 + 1);
    struct ps_hash128 a = ps_hash128_keyed("x", 1, ps_hash_process_secret());
    struct ps_hash128 b = ps_hash128_keyed("x", 1, &other);
    assert_true(a.lo != b.lo && a.hi != b.hi);
    assert_true(ps_hash64_keyed("x", 1, ps_hash_process_secret()) !=
                ps_hash64_keyed("x", 1, &other));
}

/* Every length, its first and last character; every one is valid but the
 * surrogates. */
static void
utf8_is_put_as_it_is_checked(void **state)
{
    static const struct {
        uint32_t c;
        const char *want;
    } cases[] = {
        {0x7F,     "\x7F"            },
        {0x80,     "\xC2\x80"        },
        {0x7FF,    "\xDF\xBF"        },
        {0x800,    "\xE0\xA0\x80"    },
        {0xFFFD,   "\xEF\xBF\xBD"    },
        {0x10000,  "\xF0\x90\x80\x80"},
        {0x10FFFF, "\xF4\x8F\xBF\xBF"},
    };
    char out[4];
    (void)state;
    for (size_t i = 0; i < PS_ARRAY_LEN(cases); i++) {
        size_t n = ps_utf8_put(out, cases[i].c);
        assert_int_equal(n, strlen(cases[i].want));
        assert_memory_equal(out, cases[i].want, n);
    }
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        size_t n = ps_utf8_put(out, c);
        bool surrogate = c >= 0xD800 && c <= 0xDFFF;
        if ((ps_utf8_check((struct ps_str){out, n}) == n) == surrogate)
            fail_msg("U+%X", c);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_put_as_it_is_checked),
        cmocka_unit_test(views_compare),
        cmocka_unit_test(buffers_grow_to_their_maximum),
        cmocka_unit_test(numbers_are_written),
        cmocka_unit_test(printf_fits_exactly_or_not_at_all),
        cmocka_unit_test(bytes_are_consumed_and_taken),
        cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(json_escapes_wherever_they_stand),
        cmocka_unit_test(utf8_is_checked_as_decoding_would),
        cmocka_unit_test(utf8_offsets_are_exact),
        cmocka_unit_test(arenas_align_and_keep),
        cmocka_unit_test(arenas_fail_for_good_at_their_maximum),
        cmocka_unit_test(lists_keep_order_and_count),
        cmocka_unit_test(maps_agree_with_an_array),
        cmocka_unit_test(map_keys_are_bytes),
        cmocka_unit_test(fingerprints_are_the_same_for_ever),
        cmocka_unit_test(sealed_texts_open_with_their_secret_only),
        cmocka_unit_test(sha256_is_the_standards),
        cmocka_unit_test(keyed_hashes_depend_on_the_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
