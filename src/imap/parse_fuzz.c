/*
 * Fuzz target: octets of a client through the scanner and the parser of every
 * command. The first octet says how the input is split; however it is split,
 * the commands found are the same.
 */
#include "imap/engine.h"

static void parse_one(struct view command) {
    struct arena *arena = arena_new("fuzz", IMAP_COMMAND_ARENA);
    struct imap_parser p;
    struct imap_job job = {.text = ""};
    if (arena == NULL)
        return;
    imap_parser_init(&p, command, arena);
    enum err err = imap_command_parse(&p, &job);
    BUG_IF(err == ERR_BUG || p.what == NULL);
    (void)imap_append_is_message(command, arena);
    arena_free(arena);
}

/* The sum of what was found, so that two ways can be compared. */
static uint64_t run(struct view in, size_t step, bool parse) {
    struct imap_scan scan;
    size_t from = 0, have = 0;
    uint64_t sum = 7;
    imap_scan_init(&scan);
    for (;;) {
        switch (imap_scan_next(&scan, view_sub(in, from, have - from))) {
        case IMAP_SCAN_COMMAND:
            if (parse)
                parse_one(view_sub(in, from, scan.at));
            sum = sum * 31 + scan.at;
            from += scan.at;
            imap_scan_init(&scan);
            continue;
        case IMAP_SCAN_LITERAL:
            sum = sum * 31 + scan.literal_size + scan.literal_is_sync;
            if (parse)
                parse_one(view_sub(in, from, scan.at));
            if (!imap_scan_accept(&scan))
                return sum;
            continue;
        case IMAP_SCAN_TOO_LONG:
            return sum * 31 + 1;
        case IMAP_SCAN_MORE:
            break;
        }
        if (have == in.n)
            return sum;
        have = MIN(in.n, have + step);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    struct view in = view_of(data + 1, size - 1);
    uint64_t whole = run(in, in.n + 1, true);
    BUG_IF(run(in, 1 + (size_t)data[0], false) != whole);
    return 0;
}
