/*
 * Writing: a temporary file beside the target (same file system, so that
 * rename(2) is atomic), fsync of the file, rename, fsync of the folder.
 */
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static enum ps_rc
io_error(struct ps_err *err, const char *verb, const char *path)
{
    return ps_err_set(err, PS_IO, "cannot %s %s: %s", verb, path,
                      strerror(errno));
}

/* Reads to the end or to max + 1 bytes; -1 with errno. */
static ssize_t
read_all(int fd, char *to, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, to + len, size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

/* Reads what is behind fd in steps: sizes of /proc files and pipes are not
 * known beforehand. */
static enum ps_rc
read_fd(int fd, const char *path, size_t max, char **data, size_t *len,
        struct ps_err *err)
{
    size_t cap = PS_MIN(max, (size_t)4096), got = 0;
    char *text = NULL;
    for (;;) {
        /* One byte to notice that there is more, one for the NUL. */
        char *bigger = realloc(text, cap + 2);
        if (!bigger) {
            free(text);
            return ps_err_set(err, PS_NO_MEMORY, NULL);
        }
        text = bigger;
        ssize_t n = read_all(fd, text + got, cap + 1 - got);
        if (n < 0) {
            int saved = errno;
            free(text);
            errno = saved;
            return io_error(err, "read", path);
        }
        got += (size_t)n;
        if (got <= cap)
            break;
        if (cap == max) {
            free(text);
            return ps_err_set(err, PS_TOO_BIG, "%s is larger than %zu bytes",
                              path, max);
        }
        cap = cap > max / 2 ? max : cap * 2;
    }
    text[got] = '\0';
    *data = text;
    *len = got;
    return PS_OK;
}

enum ps_rc
ps_file_read(const char *path, size_t max_bytes, char **data, size_t *len,
             struct ps_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return io_error(err, "open", path);
    enum ps_rc rc = read_fd(fd, path, max_bytes, data, len, err);
    close(fd);
    return rc;
}

static bool
write_synced(int fd, struct ps_str data, unsigned mode)
{
    for (size_t at = 0; at < data.len;) {
        ssize_t n = write(fd, data.ptr + at, data.len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        at += (size_t)n;
    }
    return fchmod(fd, mode) == 0 && fsync(fd) == 0;
}

/* Makes the rename itself durable; path's folder. */
static bool
sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof(folder)) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(folder, path, n);
    folder[n] = '\0';
    const char *name = slash ? (n ? folder : "/") : ".";
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = fsync(fd) == 0;
    int saved = errno;
    close(fd);
    errno = saved;
    return ok;
}

enum ps_rc
ps_file_write(const char *path, struct ps_str data, unsigned mode,
              struct ps_err *err)
{
    char temporary[PATH_MAX];
    int n = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return io_error(err, "write", path);
    }
    int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 until fchmod */
    if (fd < 0)
        return io_error(err, "write", path);
    bool ok = write_synced(fd, data, mode);
    int saved = errno;
    if (close(fd) < 0 && ok) {
        ok = false;
        saved = errno;
    }
    errno = saved;
    if (ok && rename(temporary, path) == 0) {
        if (sync_folder(path))
            return PS_OK;
        return io_error(err, "make durable", path);
    }
    saved = errno;
    unlink(temporary);
    errno = saved;
    return io_error(err, "write", path);
}

enum ps_rc
ps_dir_make(const char *path, unsigned mode, struct ps_err *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len == 0 || len >= sizeof(part)) {
        errno = len ? ENAMETOOLONG : ENOENT;
        return io_error(err, "make folder", path);
    }
    for (size_t i = 1; i <= len; i++) {
        if (i < len && path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, i == len ? mode : 0755) < 0 && errno != EEXIST)
            return io_error(err, "make folder", part);
    }
    struct stat status;
    if (stat(part, &status) < 0)
        return io_error(err, "make folder", path);
    if (!S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return io_error(err, "make folder", path);
    }
    return PS_OK;
}
