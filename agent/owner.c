/* See owner.h. */
#include "agent/owner.h"

#include <errno.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

enum ps_rc
ps_owner_become(const char *dir, struct ps_err *err)
{
    struct stat st;
    if (geteuid() != 0 || stat(dir, &st) != 0 || st.st_uid == 0)
        return PS_OK;
    if (setgroups(0, NULL) != 0 ||
        setresgid(st.st_gid, st.st_gid, st.st_gid) != 0 ||
        setresuid(st.st_uid, st.st_uid, st.st_uid) != 0)
        return ps_err_set(err, PS_IO, "cannot become the owner of %s: %s", dir,
                          strerror(errno));
    return PS_OK;
}
