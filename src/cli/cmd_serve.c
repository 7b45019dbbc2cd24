/* `veredus serve`, `check-config` and `version`. */
#include "cli/cli.h"
#include "cli/place.h"
#include "roles/serve.h"

#include <stdlib.h>
#include <unistd.h>

int cmd_version(const struct invocation *in) {
    (void)in;
    (void)puts("veredus " VEREDUS_VERSION);
    return CLI_OK;
}

static void show_ready(void *ctx) {
    const struct config *c = ctx;
    struct buf where;
    buf_init(&where, 100);
    for (size_t i = 0; i < c->listeners_n; i++) {
        buf_clear(&where);
        buf_put_netaddr(&where, &c->listeners[i].address);
        (void)printf("  %-12s %.*s\n", config_protocol_name(c->listeners[i].protocol, c->listeners[i].implicit_tls),
                     VIEW_FMT(buf_view(&where)));
    }
    buf_fini(&where);
    (void)printf("  data         %.*s\nready\n", VIEW_FMT(c->data_dir));
    (void)fflush(stdout);
}

/* The configuration's path, or NULL after a complaint. */
static char *config_path(const struct invocation *in) {
    struct view file;
    if (in->positional_n)
        return arena_cstr(in->arena, view_cstr(in->positional[0]));
    return place_config_file(in, &file) == ERR_OK ? arena_cstr(in->arena, file) : NULL;
}

int cmd_serve(const struct invocation *in) {
    char *file = config_path(in);
    if (!file)
        return CLI_FAILED;
    if (access(file, R_OK) != 0) {
        cli_say(
            "cannot read %s. Name the configuration with --config FILE, or make one with `veredus quickstart ADDRESS`.",
            file);
        return CLI_FAILED;
    }
    struct config config;
    if (place_load_config(in, file, &config) != ERR_OK)
        return CLI_FAILED;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (config.edges == 0)
        config.edges = (uint32_t)MAX(cores, 1L);
    struct serve_params params = {.config = &config, .title = in->title, .ready = show_ready, .ctx = &config};
    return serve_run(&params);
}

int cmd_check_config(const struct invocation *in) {
    char *file = config_path(in);
    struct config config;
    if (!file || place_load_config(in, file, &config) != ERR_OK)
        return CLI_FAILED;
    (void)printf("%s: no problems found\n", file);
    return CLI_OK;
}
