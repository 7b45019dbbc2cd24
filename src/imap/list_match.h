/* Patterns of LIST and LSUB: "*" matches anything, "%" anything within one level (RFC3501-6.3.8). */
#ifndef IMAP_LIST_MATCH_H
#define IMAP_LIST_MATCH_H

#include "base/view.h"

/* name and pattern in UTF-8. INBOX matches without case. */
bool imap_list_match(struct view pattern, struct view name);

#endif
