/*
 * What `dkim verify` and `arc verify` have in common: a message from a file goes
 * through dkim/, and its keys come from DNS, or from a file of key records.
 */
#ifndef CLI_JUDGED_FILE_H
#define CLI_JUDGED_FILE_H

#include "cli/lookup.h"
#include "dkim/verify.h"

#define OPTION_KEY_FILE \
    { "--key-file", "FILE", "take keys from this file (lines of a zone: NAME TXT \"...\") and ask no DNS", false }

struct judged {
    const struct invocation *in;
    struct dkim_input *input;
    struct dns_client *dns;
    int64_t now_us;
    struct arena *arena;
    struct buf text; /* for values of a peer's, escaped */
};

/* Reads positional argument 0 ("-": standard input) and calls body, as a coroutine when DNS is asked. Complains about what
 * goes wrong before and after. */
int judged_run(const struct invocation *in, int (*body)(struct judged *judged));
/* A peer's text made fit for a terminal; valid until the next call. */
struct view judged_escape(struct judged *judged, struct view text);
/* The lines about one signature that both commands print. */
void judged_print_signature(struct judged *judged, const struct dkim_verdict *verdict);

#endif
