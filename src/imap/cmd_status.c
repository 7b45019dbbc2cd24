/* STATUS, RFC3501-6.3.10. */
#include "imap/engine.h"

enum status_item { STATUS_MESSAGES, STATUS_RECENT, STATUS_UIDNEXT, STATUS_UIDVALIDITY, STATUS_UNSEEN, STATUS_COUNT };
static const struct view names[STATUS_COUNT] = {
    [STATUS_MESSAGES] = VIEW_INIT("MESSAGES"), [STATUS_RECENT] = VIEW_INIT("RECENT"),
    [STATUS_UIDNEXT] = VIEW_INIT("UIDNEXT"),   [STATUS_UIDVALIDITY] = VIEW_INIT("UIDVALIDITY"),
    [STATUS_UNSEEN] = VIEW_INIT("UNSEEN"),
};

struct status_args {
    struct view mailbox;
    unsigned items; /* a bit for each enum status_item */
};

static enum err parse_item(struct imap_parser *p, unsigned *items) {
    struct view name;
    TRY(imap_parse_atom(p, &name));
    for (unsigned i = 0; i < STATUS_COUNT; i++) {
        if (view_eq_nocase(name, names[i])) {
            *items |= 1u << i;
            return ERR_OK;
        }
    }
    return imap_wrong(p, ERR_SYNTAX, "Unknown item of STATUS");
}

enum err imap_parse_status(struct imap_parser *p, struct imap_job *job) {
    struct status_args *args = ARENA_NEW(p->arena, struct status_args);
    if (args == NULL)
        return imap_wrong(p, ERR_LIMIT, "The command is too large");
    TRY(imap_parse_mailbox(p, &args->mailbox));
    TRY(imap_parse_sp(p));
    if (!reader_accept(&p->r, '('))
        return imap_wrong(p, ERR_SYNTAX, "Expected a list of items");
    do {
        TRY(parse_item(p, &args->items));
    } while (reader_accept(&p->r, ' '));
    if (!reader_accept(&p->r, ')'))
        return imap_wrong(p, ERR_SYNTAX, "A list of items does not end");
    job->args = args;
    return imap_parse_end(p);
}

void imap_run_status(struct imap_session *s, struct imap_job *job) {
    const struct status_args *args = job->args;
    struct mailbox mailbox;
    struct buf *b = &s->out.buf;
    enum err err = imap_find_mailbox(s, imap_trim_name(args->mailbox), &mailbox);
    if (err != ERR_OK) {
        imap_no_err(s, job, err);
        return;
    }
    const uint32_t values[STATUS_COUNT] = {
        [STATUS_MESSAGES] = mailbox.exists, [STATUS_RECENT] = mailbox.recent,
        [STATUS_UIDNEXT] = mailbox.uidnext, [STATUS_UIDVALIDITY] = mailbox.uidvalidity,
        [STATUS_UNSEEN] = mailbox.unseen,
    };
    buf_put(b, VIEW("* STATUS "));
    imap_put_mailbox(b, args->mailbox);
    const char *separator = " (";
    for (unsigned i = 0; i < STATUS_COUNT; i++) {
        if ((args->items & 1u << i) == 0)
            continue;
        buf_put_str(b, separator);
        buf_put(b, names[i]);
        buf_put_byte(b, ' ');
        buf_put_u64(b, values[i]);
        separator = " ";
    }
    buf_put(b, VIEW(")\r\n"));
    imap_ok(job, "Status");
}
