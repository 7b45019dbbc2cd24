/* The records of questions and answers. */
#include "dns/client.h"

#include "dns/name.h"

RECORD_DEFINE(dns_question);
RECORD_DEFINE(dns_rdata);
RECORD_DEFINE(dns_answer);

enum err dns_lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                    struct dns_answer *out) {
    return client->lookup(client, name, type, arena, out);
}

enum err dns_lookup_under(struct dns_client *client, struct view prefix, struct view domain, uint16_t type,
                          struct arena *arena, struct dns_answer *out) {
    if (prefix.n + domain.n > DNS_NAME_TEXT_MAX + 1) /* domain may have a final dot */
        return ERR_SYNTAX;
    struct view name;
    TRY(arena_printf(arena, &name, "%.*s%.*s", VIEW_FMT(prefix), VIEW_FMT(domain)));
    return dns_lookup(client, name, type, arena, out);
}
