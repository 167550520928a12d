/* The file of caches: what is read, what is refused and where, and that what
 * is written reads back as the same. */
#include "cli/cache_fields.h"
#include "cli/manifest.h"
#include "tests/unit.h"

#include <stdio.h>
#include <stdlib.h>

static struct ps_fault fault;

static struct ps_manifest
read(const char *text)
{
    struct ps_manifest m;
    fault.message[0] = '\0';
    if (ps_manifest_read(ps_str_of(text), "f", &m, &fault) != PS_EXIT_OK)
        fail_msg("%s", fault.message);
    return m;
}

static void
reads_yaml(void **state)
{
    (void)state;
    struct ps_manifest m = read("version: 1\n"
                                "# what we have\n"
                                "caches:\n"
                                "  - name: shop\n"
                                "    type: postgres\n"
                                "    host: db.example.com\n"
                                "    port: 5433\n"
                                "    ttl-max: 5m\n"
                                "    max-entry-bytes: 64k\n"
                                "    caching: off\n"
                                "    description: \"off\"\n"
                                "    rules:\n"
                                "      - {table: public.orders, ttl: 30s}\n"
                                "      - template: SELECT 1\n"
                                "        mode: never\n"
                                "  - {name: old, absent: yes}\n");
    assert_int_equal(m.count, 2);
    const struct ps_wanted *c = &m.caches[0];
    assert_string_equal(c->name, "shop");
    assert_int_equal(c->line, 4);
    assert_string_equal(ps_json_text(c->fields, "database"), "postgres");
    assert_int_equal(ps_json_int(c->fields, "port"), 5433);
    assert_int_equal(ps_json_int(c->fields, "ttlMaxMs"), 300000);
    assert_int_equal(ps_json_int(c->fields, "maxEntryBytes"), 65536);
    assert_true(json_is_false(json_object_get(c->fields, "cachingEnabled")));
    assert_string_equal(ps_json_text(c->fields, "description"), "off");
    assert_int_equal(json_array_size(c->rules), 2);
    const json_t *rule = json_array_get(c->rules, 0);
    assert_string_equal(ps_json_text(rule, "type"), "table");
    assert_string_equal(ps_json_text(rule, "mode"), "ttl");
    assert_int_equal(ps_json_int(rule, "ttlMs"), 30000);
    assert_true(m.caches[1].absent);
    assert_null(m.caches[1].rules);
    ps_manifest_done(&m);
}

static void
reads_json(void **state)
{
    (void)state;
    struct ps_manifest m =
        read("{\n\t\"version\": 1,\n\t\"caches\": "
             "[\n\t\t{\"description\": \"\\ud83d\\ude00 a\xe2\x80\xa8\x7f\", "
             "\"name\": \"a\\/b \\u00fc\","
             " \"pool-max\": 7, \"enabled\": false,\n"
             "\t\t \"rules\": []}\n\t]\n}\n");
    assert_int_equal(m.count, 1);
    assert_string_equal(m.caches[0].name, "a/b \xc3\xbc");
    assert_string_equal(ps_json_text(m.caches[0].fields, "description"),
                        "\xf0\x9f\x98\x80 a\xe2\x80\xa8\x7f");
    assert_int_equal(ps_json_int(m.caches[0].fields, "poolMax"), 7);
    assert_int_equal(json_array_size(m.caches[0].rules), 0);
    ps_manifest_done(&m);
}

#define C "caches:\n  - name: a\n"

static void
refuses_with_the_line(void **state)
{
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"",                                                      "f:1: the file is empty"                                             },
        {"[]",                                                    "f:1: "                                                              },
        {"version: 1\n",                                          "no `caches`"                                                        },
        {"version: 2\ncaches: []\n",
         "f:1: this psctl reads files of version 1"                                                                                    },
        {"version: 1\ncache: []\n",
         "f:2: the file has no `cache`; did you mean `caches`?"                                                                        },
        {"caches: {}\n",                                          "f:1: `caches` must be a list"                                       },
        {"caches:\n  - host: h\n",                                "f:2: the cache has no name"                                         },
        {C "    pool-mx: 3\n",
         "f:3: a cache has no `pool-mx`; did you mean `pool-max`?"                                                                     },
        {C "    poolMax: 3\n",                                    "f:3: a cache has no `poolMax`"                                      },
        {C "    pool-max: many\n",
         "f:3: `many` is not right for pool-max: give a whole number"                                                                  },
        {C "    ttl-max: 5\n",
         "f:3: `5` is not right for ttl-max: give a duration"                                                                          },
        {C "    tls: maybe\n",
         "f:3: `maybe` is not right for tls: give auto|disable"                                                                        },
        {C "    host:\n",                                         "f:3: `host` has no value"                                           },
        {C "    host: [h]\n",                                     "f:3: `host` must be one value"                                      },
        {C "    host: \"a\\0b\"\n",                               "f:3: `host` has no value"                                           },
        {C "    host: h\n    host: i\n",                          "f:4: `host` is there twice"                                         },
        {C "    name: b\n",                                       "f:3: `name` is there twice"                                         },
        {C "  - name: a\n",                                       "f:3: `a` is there twice; the other is in line 2"                    },
        {C "    absent: true\n    host: h\n",                     "f:2: `a` is to be absent"                                           },
        {C "    rules:\n      - {ttl: 5s}\n",                     "f:4: a rule has one of"                                             },
        {C "    rules:\n      - {table: t, query: q, ttl: 5s}\n",
         "f:4: a rule has one of"                                                                                                      },
        {C "    rules:\n      - {table: t}\n",
         "f:4: the rule does not say how long"                                                                                         },
        {C "    rules:\n      - {table: t, mode: ttl}\n",
         "f:4: a rule of the mode ttl needs"                                                                                           },
        {C "    rules:\n      - {tabel: t, ttl: 5s}\n",
         "f:4: a rule has no `tabel`; did you mean `table`?"                                                                           },
        {C "    rules:\n      - {table: t, ttl: 5s}\n      - {table: t, mode: "
           "never}\n",                                   "f:5: the cache has two rules for this table; the other is in line 4"},
        {C "    rules: []\n    rules: []\n",                      "f:4: `rules` is there twice"                                        },
        {"caches: []\n---\ncaches: []\n",                         "f:3: a file has one document"                                       },
        {"caches:\n  - {name: a\n",                               "not YAML or JSON"                                                   },
        {"caches: *no\n",                                         "f:1: not YAML or JSON"                                              },
        {"caches: \x01\n",                                        "cannot be read as text"                                             },
    };
    (void)state;
    for (size_t i = 0; i < PS_ARRAY_LEN(wrong); i++) {
        struct ps_manifest m;
        fault.message[0] = '\0';
        if (ps_manifest_read(ps_str_of(wrong[i].text), "f", &m, &fault) !=
            PS_EXIT_FAILED)
            fail_msg("`%s` is taken", wrong[i].text);
        if (!strstr(fault.message, wrong[i].says))
            fail_msg("`%s`: `%s` does not contain `%s`", wrong[i].text,
                     fault.message, wrong[i].says);
    }
}

/* An alias of an alias of ... must end before the memory does. */
static void
aliases_do_not_multiply(void **state)
{
    struct ps_buf text;
    struct ps_manifest m;
    (void)state;
    ps_buf_init(&text, 1 << 22);
    ps_buf_append_c(&text, "caches:\n  - name: c\n    rules: &r\n");
    for (int i = 0; i < 1000; i++)
        ps_buf_printf(&text, "      - {table: t%d, ttl: 1s}\n", i);
    for (int i = 0; i < 200; i++)
        ps_buf_printf(&text, "  - {name: c%d, rules: *r}\n", i);
    assert_int_equal(ps_manifest_read(ps_buf_str(&text), "f", &m, &fault),
                     PS_EXIT_FAILED);
    assert_non_null(strstr(fault.message, "more than 100000 rules"));
    ps_buf_done(&text);
}

/* The texts that a cache or a rule may have, however odd. */
static void
what_is_written_reads_back(void **state)
{
    static const char *const texts[] = {
        "plain",
        "on",
        "~",
        "null",
        "1",
        "1.5",
        "0x1f",
        "1e3",
        "30s",
        "2026-11-28",
        "a: b",
        "- a",
        "# a",
        "a #b",
        " a",
        "a ",
        "'",
        "\"",
        "\\",
        "a\nb",
        "a\nb\n",
        "a\n\nb\n\n",
        "\na",
        " a\nb",
        "a \nb",
        "a\r\nb",
        "a\tb",
        "\ta\nb",
        "\x7f",
        "\x01",
        "\xc2\x85",
        "\xe2\x80\xa8x",
        "\xef\xbb\xbfx",
        "\xf0\x9f\x98\x80",
        "{a}",
        "[a]",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a`",
        "|",
        ">",
        "?",
        ":",
        "-",
        "---",
        "...",
        "a\n--- b\nc",
        "a\n...\nc",
        "a\xe2\x80\xa8z",
        "a\xe2\x80\xa9z",
        "a\xc2\x85z",
        "a\xc2\x9fz",
        "\\ud83d\\ude00",
        "\\\\u0041",
        "\xef\xbf\xbf",
        "SELECT *\nFROM t\n  WHERE a = '\\n'",
    };
    (void)state;
    for (size_t i = 0; i < 2 * PS_ARRAY_LEN(texts); i++) {
        struct ps_buf out;
        const char *odd = texts[i / 2];
        json_t *definitions =
            json_pack("[{s:s,s:s,s:s,s:[{s:s,s:s,s:s,s:i,s:i,s:i}]}]", "name",
                      odd, "description", odd, "host", "h", "rules", "type",
                      "query", "key", odd, "mode", "auto", "ttlMs", 90061,
                      "staleIfErrorMs", 3600000, "staleWhileRevalidateMs", 0);
        assert_non_null(definitions);
        json_t *content = ps_manifest_of(definitions);
        ps_buf_init(&out, 1 << 20);
        if (i % 2)
            ps_json_render(content, 0, &out);
        else
            ps_manifest_yaml(content, &out);
        ps_buf_append_char(&out, '\0');
        assert_int_equal(ps_buf_rc(&out), PS_OK);
        struct ps_manifest m = read(out.data);
        assert_int_equal(m.count, 1);
        assert_string_equal(m.caches[0].name, odd);
        assert_string_equal(ps_json_text(m.caches[0].fields, "description"),
                            odd);
        const json_t *rule = json_array_get(m.caches[0].rules, 0);
        assert_string_equal(ps_json_text(rule, "key"), odd);
        assert_string_equal(ps_json_text(rule, "mode"), "auto");
        assert_int_equal(ps_json_int(rule, "ttlMs"), 90061);
        assert_int_equal(ps_json_int(rule, "staleIfErrorMs"), 3600000);
        assert_int_equal(ps_json_int(rule, "staleWhileRevalidateMs"), 0);
        ps_manifest_done(&m);
        ps_buf_done(&out);
        json_decref(content);
        json_decref(definitions);
    }
}

/* Every setting that a cache has, in the largest and smallest of units. */
static void
every_setting_reads_back(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        struct ps_buf out;
        json_t *cache = json_pack("{s:s}", "name", "c");
        for (size_t i = 0; i < ps_cache_field_count; i++) {
            const struct ps_cache_field *f = &ps_cache_fields[i];
            json_t *value = NULL;
            const char *text =
                f->kind == PS_FIELD_FILE
                    ? "-----BEGIN CERTIFICATE-----\nYWJj\n-----END "
                      "CERTIFICATE-----\n"
                : f->kind == PS_FIELD_CHOICE ? NULL
                                             : "on";
            if (f->kind == PS_FIELD_CHOICE)
                value = json_stringn(f->value, strcspn(f->value, "|"));
            else if (f->kind == PS_FIELD_SWITCH)
                value = json_boolean(round);
            else if (f->kind == PS_FIELD_TEXT || f->kind == PS_FIELD_FILE)
                value = json_string(text);
            else
                value = json_integer(round ? 86400000 + (int)i : (int)i);
            json_object_set_new(cache, f->field, value);
        }
        json_t *definitions = json_pack("[o]", cache);
        json_t *content = ps_manifest_of(definitions);
        ps_buf_init(&out, 1 << 20);
        if (round)
            ps_manifest_yaml(content, &out);
        else
            ps_json_render(content, 0, &out);
        ps_buf_append_char(&out, '\0');
        struct ps_manifest m = read(out.data);
        for (size_t i = 0; i < ps_cache_field_count; i++) {
            const char *name = ps_cache_fields[i].field;
            if (!json_equal(json_object_get(m.caches[0].fields, name),
                            json_object_get(cache, name)))
                fail_msg("%s: %s", name, out.data);
        }
        ps_manifest_done(&m);
        ps_buf_done(&out);
        json_decref(content);
        json_decref(definitions);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_yaml),
        cmocka_unit_test(reads_json),
        cmocka_unit_test(refuses_with_the_line),
        cmocka_unit_test(aliases_do_not_multiply),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(every_setting_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
