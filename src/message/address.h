/*
 * Address lists (RFC5322-3.4, obsolete syntax 4.4, groups RFC6854, UTF-8
 * RFC6532): what From, To, Cc and the like hold.
 *
 * Reading never fails. Quoting and folding are removed; encoded words are left
 * as written (RFC3501-7.4.2 wants them so in ENVELOPE; words.h decodes them).
 * Views point into the value or the arena.
 */
#ifndef MESSAGE_ADDRESS_H
#define MESSAGE_ADDRESS_H

#include "base/arena.h"

/* Entries of one field, group markers included; the rest is left out. */
#define ADDRESSES_MAX 10000

enum address_kind {
    ADDRESS_MAILBOX,
    ADDRESS_GROUP_START, /* mailbox holds the group's name */
    ADDRESS_GROUP_END,
};

struct address {
    enum address_kind kind;
    struct view name;    /* display name, or the comment when there is only that; p == NULL: none */
    struct view adl;     /* RFC5322-4.4: the route "@a,@b"; p == NULL: none */
    struct view mailbox; /* local part without quoting; of an unusable address what was there, may be empty */
    struct view host;    /* domain or domain literal; empty when it is missing */
};

struct address_list {
    struct address *list;
    size_t count;
    bool truncated; /* over ADDRESSES_MAX, or the arena was full */
};

void address_parse(struct arena *arena, struct view value, struct address_list *out);
/* The first mailbox that has a local part and a host; false when there is none. */
bool address_first(const struct address_list *list, struct address *out);

#endif
