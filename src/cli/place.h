/* Where a server and its data are: --dir DIR, --config FILE, or the usual place of this user. */
#ifndef CLI_PLACE_H
#define CLI_PLACE_H

#include "cli/cli.h"
#include "config/config.h"

#define PLACE_CONFIG_NAME "veredus.conf" /* in the data directory */

/* The data directory, absolute, in the arena. Complains and returns an error when there is none to be found. */
enum err place_data_dir(const struct invocation *in, struct view *out) MUST_CHECK;
/* The configuration file of --config, else of the data directory. */
enum err place_config_file(const struct invocation *in, struct view *out) MUST_CHECK;
/* Makes a path absolute. */
enum err place_absolute(struct arena *arena, const char *path, struct view *out) MUST_CHECK;
/* Loads, checks and complains. */
enum err place_load_config(const struct invocation *in, const char *file, struct config *out) MUST_CHECK;

#endif
