/*
 * Internationalized domain names (RFC 5890, 5891): from what stands in a mail
 * or was typed to what is asked in DNS.
 */
#ifndef DNS_IDNA_H
#define DNS_IDNA_H

#include "base/arena.h"

/* RFC8616-3: U-labels become A-labels; ASCII labels stay as they are but lower-case (underscores are fine), a final dot
 * goes. UTF-8 in. The result is a name in the sense of dns/name.h, in the arena. ERR_SYNTAX: not a name (an empty or too
 * long label, an octet that dns/name.h does not take, characters that IDNA forbids). ERR_NO_MEMORY. */
enum err dns_idna_to_ascii(struct view name, struct arena *arena, struct view *out) MUST_CHECK;
/* For people: A-labels become U-labels where they are well-formed ones; all else is kept. Never a failure but ERR_NO_MEMORY. */
enum err dns_idna_to_unicode(struct view name, struct arena *arena, struct view *out) MUST_CHECK;

#endif
