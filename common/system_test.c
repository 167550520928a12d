/* Errors, clocks, the log, files: what meets the system. */
#include "common/check.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/file.h"
#include "common/log.h"
#include "common/utf8.h"
#include "tests/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- errors ---- */

static void
the_error_table_is_whole(PS_UNUSED void **state)
{
    for (int rc = 0; rc < PS_RC_COUNT; rc++) {
        const struct ps_err_info *info = ps_err_info((enum ps_rc)rc);
        assert_int_equal(strlen(info->sqlstate), 5);
        assert_true(info->code[0] && info->sentence[0]);
        assert_in_range(info->http_status, 200, 599);
        assert_string_not_equal(ps_http_reason(info->http_status), "Unknown");
        /* Codes are unique and found again. */
        assert_int_equal(ps_err_find(ps_str_of(info->code)), rc);
    }
    assert_string_equal(ps_err_info(PS_BAD_JSON)->name, "PS_BAD_JSON");
    assert_true(ps_err_info(PS_ORIGIN_REFUSED)->retryable);
    assert_false(ps_err_info(PS_OUTCOME_UNKNOWN)->retryable);
    assert_int_equal(ps_err_find(PS_STR("no such code")), PS_RC_COUNT);
    assert_string_equal(ps_http_reason(404), "Not Found");
    assert_string_equal(ps_http_reason(299), "Unknown");
}

static void
errors_are_filled(PS_UNUSED void **state)
{
    struct ps_err err;
    assert_int_equal(ps_err_set(&err, PS_IO, "cannot read %s", "x"), PS_IO);
    assert_int_equal(err.rc, PS_IO);
    assert_string_equal(err.message, "cannot read x");
    assert_string_equal(err.sqlstate, "58030");
    assert_int_equal(ps_err_set(&err, PS_FABRIC, NULL), PS_FABRIC);
    assert_string_equal(err.message, ps_err_info(PS_FABRIC)->sentence);
    assert_int_equal(ps_err_set(NULL, PS_IO, "nobody asks"), PS_IO);
    /* An error that is wrapped in itself. */
    ps_err_set(&err, PS_IO, "inner");
    ps_err_set(&err, PS_TLS, "outer: %s", err.message);
    assert_string_equal(err.message, "outer: inner");
}

static void
error_messages_are_one_line_of_utf8(PS_UNUSED void **state)
{
    struct ps_err err;
    ps_err_set(&err, PS_IO, "a\nb\tc\x7f\xFF%c", '\n');
    assert_string_equal(err.message, "a b c ?");
    /* Cut within a character of two, three, four bytes: before it. */
    static const char *const characters[] = {"\xC3\xBC", "\xE2\x82\xAC",
                                             "\xF0\x9F\x98\x80"};
    for (size_t i = 0; i < PS_ARRAY_LEN(characters); i++) {
        for (int lead = 0; lead < 4; lead++) {
            char text[1200] = "";
            size_t len = (size_t)lead;
            memset(text, 'x', len);
            while (len + 5 < sizeof(text)) {
                memcpy(text + len, characters[i], strlen(characters[i]) + 1);
                len += strlen(characters[i]);
            }
            ps_err_set(&err, PS_IO, "%s", text);
            struct ps_str message = ps_str_of(err.message);
            assert_int_equal(ps_utf8_check(message), message.len);
            assert_true(message.len > sizeof(err.message) - 5);
            assert_memory_equal(message.ptr, text, message.len);
        }
    }
}

/* ---- checks ---- */

static void
a_failed_check_ends_the_process(PS_UNUSED void **state)
{
    int out[2];
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        PS_CHECK(1 + 1 == 3);
        _exit(0);
    }
    close(out[1]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    char text[256] = "";
    assert_true(read(out[0], text, sizeof(text) - 1) > 0);
    assert_non_null(strstr(text, "1 + 1 == 3"));
    assert_non_null(strstr(text, "system_test.c"));
    close(out[0]);
}

/* ---- clocks ---- */

static void
virtual_clocks_stand_still(PS_UNUSED void **state)
{
    struct ps_clock *clock = ps_clock_virtual_new();
    assert_true(ps_clock_is_virtual(clock));
    assert_int_equal(ps_clock_now_us(clock), 1000000);
    ps_clock_virtual_advance_us(clock, 1500);
    assert_int_equal(ps_clock_now_us(clock), 1001500);
    assert_int_equal(ps_clock_now_ms(clock), 1001);
    ps_clock_virtual_free(&clock);
    assert_null(clock);

    assert_false(ps_clock_is_virtual(ps_clock_real()));
    uint64_t a = ps_clock_now_us(ps_clock_real());
    uint64_t b = ps_clock_now_us(ps_clock_real());
    assert_true(b >= a && a > 0);
}

static void
wall_times_are_rfc_3339(PS_UNUSED void **state)
{
    char text[32];
    ps_wall_format(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    ps_wall_format(1795494259123, text);
    assert_string_equal(text, "2026-11-24T04:24:19.123Z");
    ps_wall_format(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    ps_wall_format(INT64_MAX, text);
    assert_string_equal(text, "0000-00-00T00:00:00.000Z");
    assert_true(ps_wall_ms() > 1700000000000);
}

/* ---- the log ---- */

/* Standard error goes to a file while fn runs; what it wrote, for free(). */
static char *
captured(void (*fn)(void))
{
    char path[] = "/tmp/portside-log.XXXXXX";
    int fd = mkstemp(path), saved = dup(STDERR_FILENO);
    assert_true(fd >= 0 && saved >= 0);
    dup2(fd, STDERR_FILENO);
    fn();
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    char *text;
    size_t len;
    assert_int_equal(ps_file_read(path, 1 << 24, &text, &len, NULL), PS_OK);
    unlink(path);
    return text;
}

static void
log_something(void)
{
    errno = EAGAIN;
    ps_info("test", "hello %d", 1);
    assert_int_equal(errno, EAGAIN);
    ps_debug("test", "not shown");
    ps_log_set_level(PS_LOG_ERROR);
    ps_warn("test", "not shown");
    ps_log_set_level(PS_LOG_OFF);
    ps_error("test", "not shown");
    ps_log_set_level(PS_LOG_INFO);
}

static void
log_lines_have_a_form(PS_UNUSED void **state)
{
    char *text = captured(log_something);
    /* 2026-11-24T04:24:19.123Z info  test: hello 1 */
    assert_int_equal(strlen(text), 24 + strlen(" info  test: hello 1\n"));
    assert_int_equal(text[10], 'T');
    assert_int_equal(text[23], 'Z');
    assert_string_equal(text + 24, " info  test: hello 1\n");
    free(text);
}

static void
log_an_attack(void)
{
    ps_warn("test", "%s",
            "name\n2026-11-24T04:24:19.123Z error x: forged\x1b[2J");
    ps_warn("test", "bad \xFF\xC3, good \xC3\xBC, back\\slash");
    char text[5000];
    memset(text, '\n', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    ps_warn("test", "%s", text);
}

static void
log_lines_cannot_be_forged(PS_UNUSED void **state)
{
    char *text = captured(log_an_attack);
    size_t lines = 0;
    for (const char *p = text; *p; p++) {
        lines += *p == '\n';
        assert_true(*p == '\n' || (unsigned char)*p >= 0x20);
    }
    assert_int_equal(lines, 3);
    assert_non_null(strstr(text, "name\\x0a2026"));
    assert_non_null(strstr(text, "forged\\x1b[2J\n"));
    assert_non_null(
        strstr(text, "bad \\xff\\xc3, good \xC3\xBC, back\\\\slash\n"));
    assert_true(strlen(text) < 3 * 2100);
    free(text);
}

enum {
    LOG_THREADS = 4,
    LOG_LINES = 500
};

static void *
log_many(void *arg)
{
    for (int i = 0; i < LOG_LINES; i++)
        ps_info("test", "thread %s line %d of a certain length", (char *)arg,
                i);
    return NULL;
}

static void
log_from_threads(void)
{
    pthread_t threads[LOG_THREADS];
    static char names[LOG_THREADS][2] = {"a", "b", "c", "d"};
    for (int i = 0; i < LOG_THREADS; i++)
        pthread_create(&threads[i], NULL, log_many, names[i]);
    for (int i = 0; i < LOG_THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void
log_lines_of_threads_do_not_mix(PS_UNUSED void **state)
{
    char *text = captured(log_from_threads);
    size_t lines = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        assert_int_equal(line[23], 'Z');
        assert_non_null(strstr(line, "of a certain length"));
        assert_null(strstr(strchr(line, 'Z') + 1, "Z "));
        lines++;
    }
    assert_int_equal(lines, LOG_THREADS * LOG_LINES);
    free(text);
}

static void
log_levels_are_parsed(PS_UNUSED void **state)
{
    enum ps_log_level level = PS_LOG_WARN;
    assert_true(ps_log_parse_level(PS_STR("DEBUG"), &level));
    assert_int_equal(level, PS_LOG_DEBUG);
    assert_true(ps_log_parse_level(PS_STR("off"), &level));
    assert_int_equal(level, PS_LOG_OFF);
    assert_false(ps_log_parse_level(PS_STR("loud"), &level));
    assert_int_equal(level, PS_LOG_OFF);
}

static void
log_as_json(void)
{
    ps_log_set_format(PS_LOG_JSON);
    ps_info("test", "hello \"%s\"\n\x1b \xFF back\\slash", "you");
    ps_log_traced(PS_LOG_WARN, "req", "0af7651916cd43dd8448eb211c80319c", "x");
    char text[5000];
    memset(text, '\n', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    ps_warn("test", "%s", text);
    ps_log_set_format(PS_LOG_TEXT);
    ps_log_traced(PS_LOG_WARN, "req", "0af7651916cd43dd8448eb211c80319c", "x");
}

static void
log_lines_can_be_json(PS_UNUSED void **state)
{
    char *text = captured(log_as_json), *line = text;
    assert_true(strncmp(line, "{\"time\":\"20", 11) == 0);
    assert_non_null(strstr(line, "Z\",\"level\":\"info\",\"part\":\"test\","
                                 "\"message\":\"hello \\\"you\\\"\\u000a"
                                 "\\u001b \\u00ff back\\\\slash\"}\n"));
    line = strchr(line, '\n') + 1;
    assert_non_null(strstr(line, "\"part\":\"req\",\"trace_id\":"
                                 "\"0af7651916cd43dd8448eb211c80319c\","
                                 "\"message\":\"x\"}\n"));
    line = strchr(line, '\n') + 1;
    char *end = strchr(line, '\n');
    assert_true(end && end - line < 2048);
    assert_memory_equal(end - 2, "\"}", 2);
    assert_non_null(
        strstr(end, " req: x trace_id=0af7651916cd43dd8448eb211c80319c\n"));
    free(text);
}

static void
log_by_parts(void)
{
    struct ps_err err;
    assert_int_equal(
        ps_log_set_levels(PS_STR("warn,link=debug,pool=off"), &err), PS_OK);
    ps_info("test", "one");
    ps_warn("test", "two");
    ps_debug("link", "three");
    ps_error("pool", "four");
    ps_info("front", "five");
    assert_true(ps_log_wants(PS_LOG_DEBUG, "link"));
    assert_false(ps_log_wants(PS_LOG_DEBUG, "front"));
    assert_int_equal(atomic_load(&ps_log_lowest), PS_LOG_DEBUG);
}

static void
parts_have_levels_of_their_own(PS_UNUSED void **state)
{
    static const char *const wrong[] = {
        "",          "loud",        "link=debug",       "info,",
        "info,link", "info,=debug", "info,links=debug", "info,link=x",
        "info,debug"};
    struct ps_err err;
    struct ps_buf shown;
    char *text = captured(log_by_parts);
    assert_null(strstr(text, "one"));
    assert_non_null(strstr(text, "two"));
    assert_non_null(strstr(text, "three"));
    assert_null(strstr(text, "four"));
    assert_null(strstr(text, "five"));
    free(text);
    for (size_t i = 0; i < PS_ARRAY_LEN(wrong); i++) {
        bool first_is_part = strcmp(wrong[i], "link=debug") == 0;
        enum ps_rc rc = ps_log_check_levels(ps_str_of(wrong[i]), &err);
        assert_int_equal(rc, first_is_part ? PS_OK : PS_BAD_FIELD);
        if (!first_is_part)
            assert_int_equal(ps_log_set_levels(ps_str_of(wrong[i]), &err),
                             PS_BAD_FIELD);
    }
    ps_buf_init(&shown, 1024);
    ps_log_show_levels(&shown);
    ps_buf_append_char(&shown, '\0');
    assert_string_equal(shown.data, "warn,link=debug,pool=off");
    ps_buf_done(&shown);
    ps_log_set_level(PS_LOG_INFO);
    assert_false(ps_log_wants(PS_LOG_DEBUG, "link"));
    assert_true(ps_log_wants(PS_LOG_ERROR, "pool"));
}

/* ---- files ---- */

static char folder[64];

static int
make_folder(PS_UNUSED void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/portside-file.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int
remove_folder(PS_UNUSED void **state)
{
    static const char *const names[] = {"f", "a/b/c", "a/b", "a", ""};
    char path[128];
    for (size_t i = 0; i < PS_ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        remove(path);
    }
    return access(folder, F_OK) == 0 ? -1 : 0; /* nothing else is left */
}

static void
files_are_replaced_whole(PS_UNUSED void **state)
{
    char path[128], *data;
    size_t len;
    struct stat status;
    snprintf(path, sizeof(path), "%s/f", folder);
    assert_int_equal(ps_file_write(path, PS_STR("one\0two"), 0600, NULL),
                     PS_OK);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(ps_file_write(path, PS_STR("three"), 0644, NULL), PS_OK);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0644);
    assert_int_equal(ps_file_read(path, 5, &data, &len, NULL), PS_OK);
    assert_int_equal(len, 5);
    assert_string_equal(data, "three");
    free(data);
    assert_int_equal(ps_file_write(path, PS_STR_NONE, 0600, NULL), PS_OK);
    assert_int_equal(ps_file_read(path, 0, &data, &len, NULL), PS_OK);
    assert_int_equal(len, 0);
    free(data);
}

static void
file_errors_name_the_file(PS_UNUSED void **state)
{
    char path[128], *data = NULL;
    size_t len = 7;
    struct ps_err err;
    snprintf(path, sizeof(path), "%s/none/f", folder);
    assert_int_equal(ps_file_read(path, 10, &data, &len, &err), PS_IO);
    assert_non_null(strstr(err.message, path));
    assert_null(data);
    assert_int_equal(len, 7);
    assert_int_equal(ps_file_write(path, PS_STR("x"), 0600, &err), PS_IO);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(ps_file_read(folder, 10, &data, &len, &err), PS_IO);
}

static void
file_reading_has_a_limit(PS_UNUSED void **state)
{
    char path[128], *data = NULL, text[20000];
    size_t len;
    struct ps_err err;
    memset(text, 'x', sizeof(text));
    struct ps_str all = {text, sizeof(text)};
    snprintf(path, sizeof(path), "%s/f", folder);
    assert_int_equal(ps_file_write(path, all, 0600, NULL), PS_OK);
    assert_int_equal(ps_file_read(path, 19999, &data, &len, &err), PS_TOO_BIG);
    assert_null(data);
    assert_int_equal(ps_file_read(path, 20000, &data, &len, &err), PS_OK);
    assert_int_equal(len, 20000);
    assert_int_equal(data[20000], '\0');
    free(data);
    /* Endless. */
    assert_int_equal(ps_file_read("/dev/zero", 1 << 16, &data, &len, &err),
                     PS_TOO_BIG);
}

static void
folders_are_made_with_their_parents(PS_UNUSED void **state)
{
    char path[128];
    struct stat status;
    struct ps_err err;
    snprintf(path, sizeof(path), "%s/a/b/c/", folder);
    assert_int_equal(ps_dir_make(path, 0700, NULL), PS_OK);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(ps_dir_make(path, 0700, NULL), PS_OK);
    assert_int_equal(ps_dir_make("/", 0700, NULL), PS_OK);
    assert_int_equal(ps_dir_make("", 0700, &err), PS_IO);
    snprintf(path, sizeof(path), "%s/f", folder);
    assert_int_equal(ps_file_write(path, PS_STR("x"), 0600, NULL), PS_OK);
    assert_int_equal(ps_dir_make(path, 0700, &err), PS_IO);
    snprintf(path, sizeof(path), "%s/f/below", folder);
    assert_int_equal(ps_dir_make(path, 0700, &err), PS_IO);
}

#define FILE_TEST(name) \
    cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_error_table_is_whole),
        cmocka_unit_test(errors_are_filled),
        cmocka_unit_test(error_messages_are_one_line_of_utf8),
        cmocka_unit_test(a_failed_check_ends_the_process),
        cmocka_unit_test(virtual_clocks_stand_still),
        cmocka_unit_test(wall_times_are_rfc_3339),
        cmocka_unit_test(log_lines_have_a_form),
        cmocka_unit_test(log_lines_cannot_be_forged),
        cmocka_unit_test(log_lines_of_threads_do_not_mix),
        cmocka_unit_test(log_levels_are_parsed),
        cmocka_unit_test(log_lines_can_be_json),
        cmocka_unit_test(parts_have_levels_of_their_own),
        FILE_TEST(files_are_replaced_whole),
        FILE_TEST(file_errors_name_the_file),
        FILE_TEST(file_reading_has_a_limit),
        FILE_TEST(folders_are_made_with_their_parents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
