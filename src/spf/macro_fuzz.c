/* Macro strings: what was checked expands, whatever the facts are; what was refused does not. */
#include "spf/macro.h"

static enum err any_name(void *ctx, struct view *out) {
    (void)ctx;
    *out = VIEW("mx.example.org");
    return ERR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view text, local;
    bool has_local = view_split(view_of(data, size), 0, &text, &local);
    struct spf_macro_facts facts = {.sender = VIEW("strong-bad@email.example.com"),
                                    .local = has_local ? local : VIEW("strong-bad"),
                                    .sender_domain = VIEW("email.example.com"),
                                    .domain = VIEW("email.example.com"),
                                    .helo = local,
                                    .ip = {.family = 6, .ip = {0x20, 1, 0xd, 0xb8}},
                                    .now_s = 1700000000,
                                    .validated_name = any_name};
    for (unsigned flags = SPF_MACRO_DOMAIN; flags <= SPF_MACRO_EXPLANATION; flags++) {
        struct buf out;
        buf_init(&out, 8192);
        enum err checked = spf_macro_check(text, flags);
        enum err err = spf_macro_expand(text, &facts, flags, &out);
        BUG_IF(checked == ERR_OK && err != ERR_OK && err != ERR_LIMIT);
        BUG_IF(checked != ERR_OK && err == ERR_OK);
        buf_fini(&out);
    }
    if (spf_macro_check_domain(text) == ERR_OK)
        BUG_IF(spf_macro_check(text, SPF_MACRO_DOMAIN) != ERR_OK);
    (void)spf_macro_uses(text, 's');
    return 0;
}
