/* A dns_client over a channel to the resolver. */
#include "roles/peer_dns.h"

#include "dns/name.h"

static enum err peer_lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                            struct dns_answer *out) {
    const struct peer_dns *dns = (const struct peer_dns *)client;
    struct dns_question question = {.name = name, .type = type};
    if (name.n > DNS_NAME_TEXT_MAX)
        return ERR_SYNTAX;
    int64_t deadline_us = MIN(loop_now_us(dns->loop) + PEER_DNS_US, dns->deadline_us);
    enum err err = role_peer_call(dns->resolver, dns->message, &question, NULL, 0, deadline_us, arena, out, NULL);
    if (err == ERR_AGAIN) /* the resolver was started anew: a question may be repeated */
        err = role_peer_call(dns->resolver, dns->message, &question, NULL, 0, deadline_us, arena, out, NULL);
    if (co_is_canceled(co_current()))
        return ERR_CANCELED;
    return err == ERR_OK || err == ERR_SYNTAX ? err : ERR_AGAIN;
}

void peer_dns_init(struct peer_dns *dns, struct loop *loop, struct role_peer *resolver,
                   const struct message_type *message, int64_t deadline_us) {
    *dns = (struct peer_dns){.client = {.lookup = peer_lookup},
                             .loop = loop,
                             .resolver = resolver,
                             .message = message,
                             .deadline_us = deadline_us};
}
