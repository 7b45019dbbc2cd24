/* The public suffix list, by libpsl: read once, before a role confines itself. */
#ifndef DMARC_SUFFIXES_H
#define DMARC_SUFFIXES_H

#include "dmarc/dmarc.h"

#define SUFFIX_NAME_MAX 253 /* octets of a name that is looked up: DNS has no longer ones */

/* The newer of Debian's list (package publicsuffix) and the one in the library; `path` (NULL: none) is a list of one's own, in the
 * text format of publicsuffix.org. ERR_NOT_FOUND: no list there. */
enum err dmarc_suffixes_new(const char *path, struct dmarc_suffixes **out) MUST_CHECK;
void dmarc_suffixes_free(struct dmarc_suffixes *suffixes);

#endif
