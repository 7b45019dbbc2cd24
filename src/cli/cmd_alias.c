/* `veredus alias ...` */
#include "cli/control_client.h"

int cmd_alias_add(const struct invocation *in) {
    struct control_request request = {.op = CONTROL_ALIAS_ADD, .targets_n = in->positional_n - 1};
    request.targets = ARENA_ARRAY(in->arena, request.targets_n, struct alias_target);
    if (!request.targets)
        return CLI_FAILED;
    if (control_address(in, 0, &request.address) != ERR_OK)
        return CLI_USAGE;
    for (size_t i = 0; i < request.targets_n; i++)
        if (control_address(in, i + 1, &request.targets[i].address) != ERR_OK)
            return CLI_USAGE;
    return control_do(in, &request);
}

int cmd_alias_remove(const struct invocation *in) {
    struct control_request request = {.op = CONTROL_ALIAS_REMOVE};
    if (control_address(in, 0, &request.address) != ERR_OK)
        return CLI_USAGE;
    return control_do(in, &request);
}

int cmd_alias_list(const struct invocation *in) {
    struct control_request request = {.op = CONTROL_ALIAS_LIST};
    json_t *rows;
    if (control_ask(in, &request, &rows) != ERR_OK)
        return CLI_FAILED;
    if (cli_has(in, "--json")) {
        control_print_json(rows);
    } else {
        for (size_t i = 0; i < json_array_size(rows); i++) {
            const json_t *row = json_array_get(rows, i), *targets = json_object_get(row, "targets");
            (void)printf("%s ->", json_string_value(json_object_get(row, "address")));
            for (size_t j = 0; j < json_array_size(targets); j++)
                (void)printf(" %s", json_string_value(json_array_get(targets, j)));
            (void)puts("");
        }
    }
    json_decref(rows);
    return CLI_OK;
}
