/* `veredus account ...` */
#include "cli/control_client.h"
#include "cli/password.h"

#include "sasl/scram.h"

static int with_address(const struct invocation *in, enum control_op op) {
    struct control_request request = {.op = op};
    if (control_address(in, 0, &request.address) != ERR_OK)
        return CLI_USAGE;
    return control_do(in, &request);
}

static int with_password(const struct invocation *in, enum control_op op) {
    struct control_request request = {.op = op};
    if (cli_has(in, "--password-stdin") && cli_has(in, "--generate"))
        return cli_usage(in, "--password-stdin and --generate contradict each other.");
    if (control_address(in, 0, &request.address) != ERR_OK)
        return CLI_USAGE;
    struct buf password;
    buf_init_secret(&password, SCRAM_PASSWORD_MAX);
    bool made;
    enum err err = password_obtain(in, &password, &made);
    if (err == ERR_OK)
        err = password_verifiers(buf_view(&password), random_system(), in->arena, &request.verifiers,
                                 &request.verifiers_n);
    int status = err == ERR_OK ? control_do(in, &request) : CLI_FAILED;
    if (status == CLI_OK && made)
        (void)printf("password: %.*s\n", VIEW_FMT(buf_view(&password)));
    buf_fini(&password);
    return status;
}

int cmd_account_add(const struct invocation *in) {
    return with_password(in, CONTROL_ACCOUNT_ADD);
}

int cmd_account_password(const struct invocation *in) {
    return with_password(in, CONTROL_ACCOUNT_PASSWORD);
}

int cmd_account_remove(const struct invocation *in) {
    return with_address(in, CONTROL_ACCOUNT_REMOVE);
}

int cmd_account_disable(const struct invocation *in) {
    return with_address(in, CONTROL_ACCOUNT_DISABLE);
}

int cmd_account_enable(const struct invocation *in) {
    return with_address(in, CONTROL_ACCOUNT_ENABLE);
}

int cmd_account_list(const struct invocation *in) {
    struct control_request request = {.op = CONTROL_ACCOUNT_LIST};
    json_t *rows;
    if (control_ask(in, &request, &rows) != ERR_OK)
        return CLI_FAILED;
    if (cli_has(in, "--json")) {
        control_print_json(rows);
    } else {
        for (size_t i = 0; i < json_array_size(rows); i++) {
            const json_t *row = json_array_get(rows, i);
            (void)printf("%s%s\n", json_string_value(json_object_get(row, "address")),
                         json_is_true(json_object_get(row, "disabled")) ? " (disabled)" : "");
        }
    }
    json_decref(rows);
    return CLI_OK;
}
