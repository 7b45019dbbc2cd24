/*
 * BDAT (RFC3030-2): a message in chunks of counted octets. Whatever is wrong with
 * one, its octets are taken from the input before it is answered, so that no
 * message is ever read as commands.
 */
#include "smtp/session.h"

#define CHUNK_DIGITS_MAX 18 /* RFC1870-4 has 20 for a message; so many fit 63 bits */

struct chunk {
    uint64_t left;
    bool is_kept;
};

static size_t take(struct smtp_session *s, struct view in, void *ctx, bool *enough) {
    struct chunk *chunk = ctx;
    struct view text = view_sub(in, 0, (size_t)MIN((uint64_t)in.n, chunk->left));
    if (chunk->is_kept) {
        data_scan_octets(&s->spool.scan, text);
        spool_take(s, text);
    }
    chunk->left -= text.n;
    *enough = chunk->left == 0;
    return text.n;
}

static bool parse_bdat(struct smtp_session *s, struct view args, struct smtp_command *command) {
    struct view size, marker;
    bool has_marker = view_split(args, ' ', &size, &marker);
    if (size.n > CHUNK_DIGITS_MAX || view_to_u64(size, UINT64_MAX, &command->size) != ERR_OK) {
        /* Nobody knows how many octets of a message come now. */
        REPLY(s, 421, "4.5.4", "BDAT needs the size of the chunk");
        return false;
    }
    command->last = has_marker && view_eq_nocase(view_trim(marker), VIEW("LAST"));
    command->is_broken = has_marker && !command->last;
    return true;
}

/* Why this chunk is not part of a message, for all that can be said before it comes. */
static bool is_welcome(struct smtp_session *s, const struct smtp_command *command) {
    if (command->is_broken)
        REPLY(s, 501, "5.5.4", "BDAT takes a size, and LAST or nothing");
    else if (!(s->state & (SMTP_MAIL | SMTP_RCPT | SMTP_CHUNKS)))
        REPLY(s, 503, "5.5.1", "Say MAIL first");
    else
        return spool_has_recipients(s);
    return false;
}

/* RFC3030-2: a chunk that fails is read all the same, and so are those behind it. */
static enum err discard(struct smtp_session *s, struct chunk *chunk) {
    chunk->is_kept = false;
    return spool_receive(s, take, chunk);
}

static void answer_chunk(struct smtp_session *s, uint64_t size) {
    struct buf text;
    if (s->spool.refusal.code != 0) {
        session_reply_or(s, &s->spool.refusal, 451, VIEW("4.3.0"), VIEW("Local error, try again later"));
        return;
    }
    buf_init(&text, SMTP_REPLY_TEXT_MAX);
    buf_put_u64(&text, size);
    buf_put_str(&text, " octets received");
    session_reply(s, 250, VIEW("2.0.0"), buf_view(&text));
    buf_fini(&text);
}

static enum err run_bdat(struct smtp_session *s, const struct smtp_command *command) {
    struct chunk chunk = {.left = command->size, .is_kept = true};
    /* RFC2920-3.2: the octets will be waited for, and nobody waits for a reply meanwhile. */
    if (input_pending(&s->input).n < command->size)
        TRY(session_flush(s));
    if (!is_welcome(s, command)) {
        /* The reply waits in s->out: nothing was sent in between. */
        if (s->state == SMTP_CHUNKS)
            REFUSE(s, 503, "5.5.1", "A chunk of the message was wrong");
        return discard(s, &chunk);
    }
    if (!s->spool.is_open && spool_open(s) != ERR_OK)
        REFUSE(s, 452, "4.3.1", "No room for messages now, try again later");
    s->state = SMTP_CHUNKS;
    TRY(spool_receive(s, take, &chunk));
    if (command->last) {
        data_scan_end(&s->spool.scan);
        return spool_finish(s);
    }
    answer_chunk(s, command->size);
    return ERR_OK;
}

const struct smtp_verb smtp_verb_bdat = {.name = VIEW_INIT("BDAT"),
                                         .kinds = KIND_ALL,
                                         .states = SMTP_ANY, /* its octets come in any state */
                                         .line_max = SMTP_COMMAND_MAX,
                                         .is_mistake_free = true,
                                         .extension = SMTP_OFFER_CHUNKING,
                                         .parse = parse_bdat,
                                         .run = run_bdat};
