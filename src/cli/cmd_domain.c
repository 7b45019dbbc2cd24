/* `veredus domain ...` */
#include "cli/control_client.h"

static int with_domain(const struct invocation *in, enum control_op op) {
    struct control_request request = {.op = op};
    if (control_domain(in, 0, &request.domain) != ERR_OK)
        return CLI_USAGE;
    return control_do(in, &request);
}

int cmd_domain_add(const struct invocation *in) {
    return with_domain(in, CONTROL_DOMAIN_ADD);
}

int cmd_domain_remove(const struct invocation *in) {
    return with_domain(in, CONTROL_DOMAIN_REMOVE);
}

int cmd_domain_list(const struct invocation *in) {
    struct control_request request = {.op = CONTROL_DOMAIN_LIST};
    json_t *rows;
    if (control_ask(in, &request, &rows) != ERR_OK)
        return CLI_FAILED;
    if (cli_has(in, "--json"))
        control_print_json(rows);
    else
        for (size_t i = 0; i < json_array_size(rows); i++)
            (void)puts(json_string_value(json_object_get(json_array_get(rows, i), "name")));
    json_decref(rows);
    return CLI_OK;
}

int cmd_domain_records(const struct invocation *in) {
    struct control_request request = {.op = CONTROL_DOMAIN_RECORDS};
    if (control_domain(in, 0, &request.domain) != ERR_OK)
        return CLI_USAGE;
    json_t *rows;
    if (control_ask(in, &request, &rows) != ERR_OK)
        return CLI_FAILED;
    for (size_t i = 0; i < json_array_size(rows); i++)
        (void)puts(json_string_value(json_object_get(json_array_get(rows, i), "record")));
    if (json_array_size(rows)) /* its addresses are not ours to know */
        cli_say("%s needs A and AAAA records with the addresses of this machine, and a PTR record back.",
                json_string_value(json_object_get(json_array_get(rows, 0), "host")));
    json_decref(rows);
    return CLI_OK;
}
