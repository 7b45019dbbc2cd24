/* Where a server and its data are. */
#include "cli/place.h"

#include <stdlib.h>
#include <unistd.h>

#define PLACE_ROOT "/var/lib/veredus"            /* of a server started by root */
#define PLACE_USER_BELOW "/.local/share/veredus" /* below $HOME, where XDG_DATA_HOME is not set */

enum err place_absolute(struct arena *arena, const char *path, struct view *out) {
    if (path[0] == '/')
        return arena_view(arena, view_cstr(path), out);
    char here[CLI_PATH_MAX];
    if (!getcwd(here, sizeof(here)))
        return ERR_IO;
    return arena_printf(arena, out, "%s/%s", here, path);
}

static enum err usual_dir(const struct invocation *in, struct view *out) {
    if (geteuid() == 0)
        return arena_view(in->arena, VIEW(PLACE_ROOT), out);
    const char *data_home = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data_home && data_home[0] == '/')
        return arena_printf(in->arena, out, "%s/veredus", data_home);
    if (home && home[0] == '/')
        return arena_printf(in->arena, out, "%s" PLACE_USER_BELOW, home);
    cli_say("there is no usual place for data without HOME. Name a directory with --dir DIR.");
    return ERR_NOT_FOUND;
}

enum err place_load_config(const struct invocation *in, const char *file, struct config *out) {
    struct buf problems;
    buf_init(&problems, 65536);
    enum err err = config_load(file, in->arena, out, &problems);
    if (err == ERR_OK)
        err = config_check(out, &problems);
    if (problems.n)
        (void)fwrite(problems.p, 1, problems.n, stderr);
    else if (err != ERR_OK)
        cli_say("cannot load the configuration %s (%s).", file, err_name(err));
    buf_fini(&problems);
    return err;
}

enum err place_data_dir(const struct invocation *in, struct view *out) {
    const char *dir = cli_value(in, "--dir"), *file = cli_value(in, "--config");
    if (dir)
        return place_absolute(in->arena, dir, out);
    if (!file)
        return usual_dir(in, out);
    struct config config;
    struct buf problems;
    buf_init(&problems, 65536);
    enum err err = config_load(file, in->arena, &config, &problems);
    if (err == ERR_OK)
        *out = config.data_dir;
    else
        (void)fwrite(problems.p, 1, problems.n, stderr);
    buf_fini(&problems);
    return err;
}

enum err place_config_file(const struct invocation *in, struct view *out) {
    const char *file = cli_value(in, "--config");
    if (file)
        return place_absolute(in->arena, file, out);
    struct view dir;
    TRY(place_data_dir(in, &dir));
    return arena_printf(in->arena, out, "%.*s/" PLACE_CONFIG_NAME, VIEW_FMT(dir));
}
