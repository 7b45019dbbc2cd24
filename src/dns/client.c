/* The records of questions and answers. */
#include "dns/client.h"

RECORD_DEFINE(dns_question);
RECORD_DEFINE(dns_rdata);
RECORD_DEFINE(dns_answer);

enum err dns_lookup(struct dns_client *client, struct view name, uint16_t type, struct arena *arena,
                    struct dns_answer *out) {
    return client->lookup(client, name, type, arena, out);
}
