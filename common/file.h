/*
 * Whole small files: read with a limit, written so that a crash leaves the
 * old or the new content, never a half (temporary file, fsync, rename).
 */
#ifndef PS_COMMON_FILE_H
#define PS_COMMON_FILE_H

#include "common/err.h"

/* *data is owned by the caller (free()) and NUL-terminated behind *len. */
PS_MUST_USE enum ps_rc ps_file_read(const char *path, size_t max_bytes,
                                    char **data, size_t *len,
                                    struct ps_err *err);
/* mode e.g. 0600. */
PS_MUST_USE enum ps_rc ps_file_write(const char *path, struct ps_str data,
                                     unsigned mode, struct ps_err *err);
/* Like mkdir -p, the last component with this mode. */
PS_MUST_USE enum ps_rc ps_dir_make(const char *path, unsigned mode,
                                   struct ps_err *err);

#endif
