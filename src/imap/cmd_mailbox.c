/* Mailboxes as objects: CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, RFC3501-6.3.3 to 6.3.7. */
#include "imap/engine.h"

enum err imap_parse_create(struct imap_parser *p, struct imap_job *job) {
    return imap_parse_one_mailbox(p, job);
}

static void answer(struct imap_session *s, struct imap_job *job, enum err err, const char *text) {
    if (err != ERR_OK)
        imap_no_err(s, job, err);
    else
        imap_ok(job, text);
}

void imap_run_create(struct imap_session *s, struct imap_job *job) {
    const struct view *name = job->args;
    /* RFC3501-6.3.3: a trailing separator says that names will be made below */
    struct mailbox_create_args args = {.name = imap_trim_name(*name)};
    struct mailbox mailbox;
    enum err err = args.name.n == 0 || args.name.n > ACCOUNT_NAME_MAX
                       ? ERR_SYNTAX
                       : account_do_mailbox_create(s->account, &args, NULL, s->arena, &mailbox);
    answer(s, job, err, "Created");
}

void imap_run_delete(struct imap_session *s, struct imap_job *job) {
    const struct view *name = job->args;
    struct mailbox mailbox;
    struct nothing nothing;
    enum err err = imap_find_mailbox(s, imap_trim_name(*name), &mailbox);
    if (err == ERR_OK) {
        struct mailbox_delete_args args = {.id = mailbox.id};
        err = account_do_mailbox_delete(s->account, &args, NULL, s->arena, &nothing);
        if (err == ERR_OK && s->sel.id == mailbox.id)
            imap_deselect(s);
    }
    answer(s, job, err, "Deleted");
}

struct rename_args {
    struct view from, to;
};

enum err imap_parse_rename(struct imap_parser *p, struct imap_job *job) {
    struct rename_args *args = ARENA_NEW(p->arena, struct rename_args);
    if (args == NULL)
        return imap_wrong(p, ERR_LIMIT, "The command is too large");
    TRY(imap_parse_mailbox(p, &args->from));
    TRY(imap_parse_sp(p));
    TRY(imap_parse_mailbox(p, &args->to));
    job->args = args;
    return imap_parse_end(p);
}

void imap_run_rename(struct imap_session *s, struct imap_job *job) {
    const struct rename_args *args = job->args;
    struct mailbox mailbox;
    struct nothing nothing;
    enum err err = imap_find_mailbox(s, imap_trim_name(args->from), &mailbox);
    if (err == ERR_OK) {
        struct mailbox_rename_args request = {.id = mailbox.id, .name = imap_trim_name(args->to)};
        err = request.name.n == 0 || request.name.n > ACCOUNT_NAME_MAX
                  ? ERR_SYNTAX
                  : account_do_mailbox_rename(s->account, &request, NULL, s->arena, &nothing);
    }
    answer(s, job, err, "Renamed");
}

enum err imap_parse_subscribe(struct imap_parser *p, struct imap_job *job) {
    return imap_parse_one_mailbox(p, job);
}

static void subscribe(struct imap_session *s, struct imap_job *job, bool on) {
    const struct view *name = job->args;
    struct subscribe_args args = {.name = imap_trim_name(*name), .on = on};
    struct nothing nothing;
    enum err err = args.name.n == 0 || args.name.n > ACCOUNT_NAME_MAX
                       ? ERR_SYNTAX
                       : account_do_subscribe(s->account, &args, NULL, s->arena, &nothing);
    answer(s, job, err, on ? "Subscribed" : "Unsubscribed");
}

void imap_run_subscribe(struct imap_session *s, struct imap_job *job) {
    subscribe(s, job, true);
}

void imap_run_unsubscribe(struct imap_session *s, struct imap_job *job) {
    subscribe(s, job, false);
}
