/* Fuzz: SASL PLAIN and the preparation of passwords, whatever the octets. */
#include "sasl/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct view part, struct view whole) {
    BUG_IF(part.n > 0 && (part.p < whole.p || part.p + part.n > whole.p + whole.n));
    BUG_IF(view_find_byte(part, 0) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct view message = view_of(data, size);
    struct sasl_plain plain;
    bool is_plain = sasl_plain_parse(message, &plain) == ERR_OK;
    if (is_plain) {
        check_inside(plain.authzid, message);
        check_inside(plain.authcid, message);
        check_inside(plain.password, message);
        BUG_IF(plain.authcid.n == 0 || plain.password.n == 0);
        /* RFC4616-2: nothing but the two separators is between them */
        BUG_IF(plain.authzid.n + plain.authcid.n + plain.password.n + 2 != size);
    }
    struct buf prepared, again;
    buf_init_secret(&prepared, SCRAM_PASSWORD_MAX);
    buf_init_secret(&again, SCRAM_PASSWORD_MAX);
    if (sasl_prepare_password(is_plain ? plain.password : message, &prepared) == ERR_OK) {
        /* RFC8264-7: what was prepared stays as it is */
        BUG_IF(sasl_prepare_password(buf_view(&prepared), &again) != ERR_OK);
        BUG_IF(!view_eq(buf_view(&prepared), buf_view(&again)));
    }
    buf_fini(&prepared);
    buf_fini(&again);
    return 0;
}
