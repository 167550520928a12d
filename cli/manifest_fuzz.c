/*
 * A file of caches as somebody wrote it. What is accepted, written and read
 * again is the same, as YAML and as JSON.
 */
#include "cli/cache_fields.h"
#include "cli/manifest.h"
#include "common/check.h"
#include "tests/fuzz/fuzz.h"

enum {
    TEXT_MAX = 64 << 20
};

/* The definition (REST API) that a cache of the file would have. */
static json_t *
definition_of(const struct ps_wanted *cache)
{
    json_t *out = json_copy(cache->fields);
    json_object_set_new(out, "name", json_string(cache->name));
    if (cache->rules)
        json_object_set(out, "rules", cache->rules);
    return out;
}

static void
check_same(const struct ps_manifest *was, struct ps_str text)
{
    struct ps_manifest is;
    struct ps_fault fault = {0};
    size_t at = 0;
    FUZZ_CHECK(ps_manifest_read(text, "f", &is, &fault) == PS_EXIT_OK);
    for (size_t i = 0; i < was->count; i++) {
        const struct ps_wanted *a = &was->caches[i];
        if (a->absent)
            continue;
        FUZZ_CHECK(at < is.count);
        const struct ps_wanted *b = &is.caches[at++];
        FUZZ_CHECK(strcmp(a->name, b->name) == 0);
        FUZZ_CHECK(json_equal(a->fields, b->fields));
        FUZZ_CHECK(!a->rules || json_equal(a->rules, b->rules));
    }
    FUZZ_CHECK(at == is.count);
    ps_manifest_done(&is);
}

static void
check_written(const struct ps_manifest *manifest)
{
    struct ps_buf out;
    json_t *definitions = json_array();
    for (size_t i = 0; i < manifest->count; i++)
        if (!manifest->caches[i].absent)
            json_array_append_new(definitions,
                                  definition_of(&manifest->caches[i]));
    json_t *content = ps_manifest_of(definitions);
    ps_buf_init(&out, TEXT_MAX);
    ps_manifest_yaml(content, &out);
    FUZZ_CHECK(ps_buf_rc(&out) == PS_OK);
    check_same(manifest, ps_buf_str(&out));
    ps_buf_clear(&out);
    ps_json_render(content, 0, &out);
    FUZZ_CHECK(ps_buf_rc(&out) == PS_OK);
    check_same(manifest, ps_buf_str(&out));
    ps_buf_done(&out);
    json_decref(content);
    json_decref(definitions);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ps_str in = {size ? (const char *)data : "", size};
    struct ps_manifest manifest;
    struct ps_fault fault = {0};
    enum ps_exit rc = ps_manifest_read(in, "f", &manifest, &fault);
    if (rc != PS_EXIT_OK) {
        FUZZ_CHECK(strncmp(fault.message, "f:", 2) == 0);
        return 0;
    }
    for (size_t i = 0; i < manifest.count; i++)
        FUZZ_CHECK(manifest.caches[i].name && manifest.caches[i].line > 0);
    check_written(&manifest);
    ps_manifest_done(&manifest);
    return 0;
}
