/* The command line's end of the control socket: one request, its rows, the end. Blocking, with a deadline. */
#ifndef CLI_CONTROL_CLIENT_H
#define CLI_CONTROL_CLIENT_H

#include "cli/cli.h"
#include "roles/control.h"

#include <jansson.h>

#define CONTROL_CLIENT_WAIT_S 60 /* for an answer; a stopped server must not hang a script */

/* Sends the request to the server of --dir or --config and collects all rows of its answer in *rows (an array, to be
 * given back with json_decref). Complains, and returns an error, when there is no server or it refuses. */
enum err control_ask(const struct invocation *in, struct control_request *request, json_t **rows) MUST_CHECK;
/* For commands whose rows do not matter: the status to exit with. */
int control_do(const struct invocation *in, struct control_request *request);
/* The first argument as an address or domain; complains. */
enum err control_address(const struct invocation *in, size_t index, struct view *out) MUST_CHECK;
enum err control_domain(const struct invocation *in, size_t index, struct view *out) MUST_CHECK;
/* Prints an array as JSON, one element a line. */
void control_print_json(const json_t *rows);

#endif
