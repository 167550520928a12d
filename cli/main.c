/* psctl: the command line of Portside. Everything is in the library, so that
 * tests can link it. */
#include "cli/ctl.h"

int
main(int argc, char **argv)
{
    return ps_ctl_main(argc, argv);
}
