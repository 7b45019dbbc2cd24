/* Records for people and their scripts: the spelling of zone files (RFC1035-5.1). */
#ifndef DNS_TEXT_H
#define DNS_TEXT_H

#include "dns/client.h"

/* "MX", in any case. False: not a type that is asked for here. */
bool dns_type_from_name(struct view name, uint16_t *type);
/* NULL for others. */
const char *dns_type_name(uint16_t type);
/* The wire form that a struct dns_answer has, as text in one line of printable ASCII; RFC3597-5 (\# 4 c0000201) for what
 * is not of its type's shape. */
void buf_put_dns_rdata(struct buf *buf, uint16_t type, struct view data);

#endif
