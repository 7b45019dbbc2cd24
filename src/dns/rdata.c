/* What is inside records. */
#include "dns/rdata.h"

#include "dns/name.h"

#include <string.h>

enum err dns_rdata_a(struct view data, struct netaddr *out) {
    if (data.n != 4)
        return ERR_SYNTAX;
    *out = (struct netaddr){.family = 4};
    memcpy(out->ip, data.p, 4);
    return ERR_OK;
}

enum err dns_rdata_aaaa(struct view data, struct netaddr *out) {
    if (data.n != 16)
        return ERR_SYNTAX;
    *out = (struct netaddr){.family = 6};
    memcpy(out->ip, data.p, 16);
    return ERR_OK;
}

/* The name that is the rest of r. */
static enum err last_name(struct reader *r, struct arena *arena, struct view *out) {
    struct buf text;
    buf_init(&text, DNS_NAME_WIRE_MAX);
    enum err err = dns_name_read(r, &text);
    if (err == ERR_OK && (!reader_at_end(r) || view_find_byte(buf_view(&text), ' ') >= 0))
        err = ERR_SYNTAX;
    if (err == ERR_OK)
        err = arena_view(arena, buf_view(&text), out);
    buf_fini(&text);
    return err;
}

enum err dns_rdata_mx(struct view data, struct arena *arena, struct dns_mx *out) {
    struct reader r = reader_of(data);
    struct dns_mx mx = {.preference = reader_be16(&r)};
    TRY(reader_err(&r));
    TRY(last_name(&r, arena, &mx.exchange));
    *out = mx;
    return ERR_OK;
}

enum err dns_rdata_name(struct view data, struct arena *arena, struct view *out) {
    struct reader r = reader_of(data);
    return last_name(&r, arena, out);
}

enum err dns_rdata_txt(struct view data, struct arena *arena, struct view *out) {
    if (data.n == 0 || data.n > DNS_TXT_MAX)
        return ERR_SYNTAX;
    uint8_t *joined = arena_alloc(arena, data.n);
    if (!joined)
        return ERR_NO_MEMORY;
    size_t n = 0;
    struct reader r = reader_of(data);
    while (!reader_at_end(&r)) {
        struct view string = reader_take(&r, reader_be8(&r));
        TRY(reader_err(&r));
        if (string.n)
            memcpy(joined + n, string.p, string.n);
        n += string.n;
    }
    *out = view_of(joined, n);
    return ERR_OK;
}
