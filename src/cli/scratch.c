/* A fresh directory for one run, and its end. */
#include "cli/scratch.h"

#include "cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCRATCH_DEPTH_MAX 8 /* directories below it; the server makes four */

enum err scratch_make(struct arena *arena, struct view *out) {
    const char *below = getenv("TMPDIR");
    if (!below || below[0] != '/')
        below = "/tmp";
    TRY(arena_printf(arena, out, "%s/veredus-XXXXXX", below));
    char *path = arena_cstr(arena, *out);
    if (!path)
        return ERR_NO_MEMORY;
    if (!mkdtemp(path)) {
        cli_say("cannot make a directory below %s: %s. Name one with --dir DIR.", below, strerror(errno));
        return ERR_IO;
    }
    *out = view_cstr(path);
    return ERR_OK;
}

/* Takes dir_fd over. By descriptors, so that no link leads elsewhere. */
static bool remove_below(int dir_fd, unsigned depth) {
    DIR *dir = fdopendir(dir_fd);
    if (!dir) {
        (void)close(dir_fd);
        return false;
    }
    bool all = true;
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct view name = view_cstr(entry->d_name);
        if (view_eq(name, VIEW(".")) || view_eq(name, VIEW("..")))
            continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) == 0)
            continue;
        int fd = depth < SCRATCH_DEPTH_MAX
                     ? openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                     : -1;
        all = fd >= 0 && remove_below(fd, depth + 1) && unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR) == 0 && all;
    }
    (void)closedir(dir);
    return all;
}

void scratch_remove(struct arena *arena, struct view path) {
    char *name = arena_cstr(arena, path);
    int fd = name ? open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (fd < 0 || !remove_below(fd, 0) || rmdir(name) != 0)
        cli_say("could not remove %.*s: %s. Remove it by hand.", VIEW_FMT(path), strerror(errno));
}
