/* The commands of a few lines: CAPABILITY, NOOP, CHECK, LOGOUT, ID, ENABLE, NAMESPACE, UNAUTHENTICATE. */
#include "imap/engine.h"

void imap_run_capability(struct imap_session *s, struct imap_job *job) {
    buf_put(&s->out.buf, VIEW("* CAPABILITY "));
    imap_put_capability_session(&s->out.buf);
    buf_put(&s->out.buf, VIEW("\r\n"));
    imap_ok(job, "Capabilities listed");
}

void imap_run_noop(struct imap_session *s, struct imap_job *job) {
    /* RFC3501-6.1.2: the usual way to ask for news */
    s->is_noted = true;
    imap_ok(job, "Nothing done");
}

void imap_run_check(struct imap_session *s, struct imap_job *job) {
    /* RFC3501-6.4.1: what was answered is on disk already */
    s->is_noted = true;
    imap_ok(job, "Checked");
}

void imap_run_logout(struct imap_session *s, struct imap_job *job) {
    buf_put(&s->out.buf, VIEW("* BYE Goodbye\r\n"));
    imap_deselect(s);
    imap_end(s, IMAP_SESSION_LOGGED_OUT);
    imap_ok(job, "Logged out");
}

void imap_run_namespace(struct imap_session *s, struct imap_job *job) {
    /* RFC2342-5: one personal namespace without a prefix; no other users', no shared ones */
    buf_put(&s->out.buf, VIEW("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n"));
    imap_ok(job, "Namespaces listed");
}

enum err imap_parse_id_command(struct imap_parser *p, struct imap_job *job) {
    struct imap_id *id = ARENA_NEW(p->arena, struct imap_id);
    if (id == NULL)
        return imap_wrong(p, ERR_LIMIT, "The command is too large");
    TRY(imap_parse_id(p, id));
    job->args = id;
    return imap_parse_end(p);
}

void imap_run_id_command(struct imap_session *s, struct imap_job *job) {
    const struct imap_id *id = job->args;
    arena_clear(s->keep);
    s->client_id = (struct imap_id){.list = ARENA_ARRAY(s->keep, MAX(id->n, 1), struct imap_id_field)};
    for (uint32_t i = 0; s->client_id.list != NULL && i < id->n; i++) {
        if (record_copy(&imap_id_field_record, &id->list[i], s->keep, &s->client_id.list[i]) != ERR_OK)
            break;
        s->client_id.n = i + 1;
    }
    imap_put_id(&s->out.buf);
    imap_ok(job, "Pleased to meet you");
}

enum err imap_parse_enable(struct imap_parser *p, struct imap_job *job) {
    (void)job;
    struct view capability;
    do {
        TRY(imap_parse_atom(p, &capability));
    } while (reader_accept(&p->r, ' '));
    return imap_parse_end(p);
}

void imap_run_enable(struct imap_session *s, struct imap_job *job) {
    /* RFC5161-3.1: what cannot be enabled is not listed, and that is no error */
    buf_put(&s->out.buf, VIEW("* ENABLED\r\n"));
    imap_ok(job, "Enabled what can be");
}

void imap_run_unauthenticate(struct imap_session *s, struct imap_job *job) {
    /* RFC8437-2: the mailbox is left without an EXPUNGE; what the client sent behind this goes back unread */
    imap_deselect(s);
    imap_end(s, IMAP_SESSION_UNAUTHENTICATED);
    imap_ok(job, "Not logged in any more");
}
