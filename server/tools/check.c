/* facteur check: facteurd knows what it would trip over. */
#include "tools/tools.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int tool_check(const char *file, int argc, char **argv)
{
    char path[4096];
    (void)argv;
    if (argc != 1)
        return tool_fail("check", "takes no arguments");
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "/facteurd");
    if (n <= 0)
        return tool_fail("check", "/proc/self/exe: %s", strerror(errno));
    path[n] = '\0';
    strcpy(strrchr(path, '/'), "/facteurd");
    execl(path, "facteurd", "-c", file, "-t", (char *)NULL);
    return tool_fail("check", "%s: %s", path, strerror(errno));
}
