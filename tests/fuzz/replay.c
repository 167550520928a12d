/*
 * Stands in for libFuzzer where it is not linked: runs a target over every
 * file of its corpus, so that each ordinary test run repeats what the fuzzers
 * once found. No corpus, or an empty one, is a failure.
 *
 *   NAME_fuzz FOLDER|FILE...
 *
 * Each input is given in a block of exactly its size, so that a sanitizer
 * sees every read beyond it.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

enum {
    INPUT_MAX = 16 << 20
};

static size_t n_inputs;

static void
die(const char *path)
{
    fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
    exit(1);
}

static void
replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size ? size : 1);
    if (size > INPUT_MAX)
        errno = EFBIG;
    if (!file || !data || size > INPUT_MAX ||
        fread(data, 1, size, file) != size)
        die(path);
    fclose(file);
    fprintf(stderr, "replay: %s\n", path);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    n_inputs++;
}

static void
replay(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        die(path);
    if (!S_ISDIR(info.st_mode)) {
        replay_file(path, (size_t)info.st_size);
        return;
    }
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0)
        die(path);
    for (int i = 0; i < n; i++) {
        char inner[4096];
        snprintf(inner, sizeof(inner), "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            replay(inner);
        free(entries[i]);
    }
    free(entries);
}

int
main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    if (n_inputs == 0) {
        fprintf(stderr, "replay: there is no input\n");
        return 1;
    }
    fprintf(stderr, "replay: %zu inputs\n", n_inputs);
    return 0;
}
