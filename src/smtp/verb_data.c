/* DATA (RFC5321-4.1.1.4): a message up to a lone dot. */
#include "smtp/session.h"

static size_t take(struct smtp_session *s, struct view in, void *ctx, bool *enough) {
    struct data_scan *scan = &s->spool.scan;
    size_t taken = 0;
    (void)ctx;
    while (taken < in.n && !scan->ended) {
        size_t used;
        struct view piece;
        data_scan_next(scan, view_skip(in, taken), &used, &piece);
        taken += used;
        spool_take(s, piece);
    }
    *enough = scan->ended;
    return taken;
}

/* RFC5321-2.3.8, RFC5321-4.5.2: what an honest client never sends. */
static void judge(struct smtp_session *s) {
    const struct data_scan *scan = &s->spool.scan;
    if (scan->has_nul)
        REFUSE(s, 550, "5.6.11", "Message contains NUL");
    if (scan->has_bare_cr || scan->has_bare_lf)
        REFUSE(s, 550, "5.6.11", "Message contains bare CR or LF");
}

static enum err run_data(struct smtp_session *s, const struct smtp_command *command) {
    (void)command;
    if (s->transaction.binary) {
        REPLY(s, 503, "5.5.1", "BINARYMIME needs BDAT"); /* RFC3030-3 */
        return ERR_OK;
    }
    if (!spool_has_recipients(s))
        return ERR_OK;
    if (spool_open(s) != ERR_OK) {
        spool_close(s);
        REPLY(s, 452, "4.3.1", "No room for messages now, try again later");
        return ERR_OK;
    }
    session_reply(s, 354, VIEW_NONE, VIEW("End data with <CR><LF>.<CR><LF>"));
    TRY(session_flush(s));
    TRY(spool_receive(s, take, NULL));
    judge(s);
    return spool_finish(s);
}

const struct smtp_verb smtp_verb_data = {.name = VIEW_INIT("DATA"),
                                         .kinds = KIND_ALL,
                                         .states = SMTP_MAIL | SMTP_RCPT,
                                         .line_max = SMTP_COMMAND_MAX,
                                         .is_mistake_free = true,
                                         .parse = parse_nothing,
                                         .run = run_data};
