/*
 * The two steps of a delivery (DESIGN.md section 2, "Receiving"): every mailbox
 * is asked, the reply is chosen, and only then anything is committed. A 250 means
 * that each accepted recipient's message is on disk, in its mailbox or in the queue.
 */
#include "roles/edge.h"

#include "message/trace.h"

#include <string.h>

#define PREFIX_MAX 8192
#define RECEIVED_MAX \
    7000 /* with what the checks say, and with signatures; Return-Path and Delivered-To fit beside it */
#define COPY_WINDOW 65536

enum fate { FATE_ACCEPT, FATE_REJECT, FATE_LATER, FATE_QUEUE, FATE_DONE, FATE_LOST };

/* One mailbox or remote address; several recipients may lead to it. */
struct target {
    struct recipient_target to;
    enum fate fate;
    struct view status, text; /* of a refusal */
};

struct delivery {
    struct edge_connection *c;
    const struct smtp_session_facts *facts;
    struct smtp_transaction *t;
    struct target *targets;
    size_t n;
    uint8_t id[MESSAGE_ID_SIZE];
    struct view sender;
    struct view received; /* what the checks say, the Received field, signatures */
    struct edge_checks checks;
    struct view signatures; /* and fields that were missing */
    struct view body;       /* of the message in memory; empty when it is in a file */
    struct buf edited;      /* holds it when something was cut out */
    uint64_t size;          /* octets of the message that is stored */
    struct file *file;      /* of a body too large to travel inside a message */
    bool own_file;
    int64_t deadline_us; /* of asking mailboxes; after it the queue has the rest */
};

static bool same_target(const struct recipient_target *a, const struct recipient_target *b) {
    return a->kind == b->kind && a->account == b->account && view_eq(a->address, b->address);
}

static struct target *find_target(struct delivery *d, const struct recipient_target *to) {
    for (size_t i = 0; i < d->n; i++)
        if (same_target(&d->targets[i].to, to))
            return &d->targets[i];
    return NULL;
}

static enum err collect_targets(struct delivery *d) {
    size_t room = 0;
    for (size_t i = 0; i < d->t->recipients_n; i++)
        room += ((const struct edge_recipient *)d->t->recipients[i].user)->n;
    d->targets = ARENA_ARRAY(d->t->arena, room, struct target);
    if (!d->targets)
        return ERR_LIMIT;
    for (size_t i = 0; i < d->t->recipients_n; i++) {
        const struct edge_recipient *r = d->t->recipients[i].user;
        for (uint32_t j = 0; j < r->n; j++)
            if (!find_target(d, &r->targets[j]))
                d->targets[d->n++] = (struct target){
                    .to = r->targets[j], .fate = r->targets[j].kind == RECIPIENT_REMOTE ? FATE_QUEUE : FATE_LATER};
    }
    return ERR_OK;
}

/* RFC5321-4.4: one Received for the whole transaction. */
static enum err make_received(struct delivery *d) {
    struct buf ip, id, field;
    buf_init(&ip, 100);
    buf_init(&id, 64);
    buf_init(&field, RECEIVED_MAX);
    buf_put_ip(&ip, &d->c->peer);
    buf_put_hex(&id, view_of(d->id, 8));
    struct trace_received received = {
        .helo = d->facts->helo,
        .address = buf_view(&ip),
        .by = d->c->edge->env->config->hostname,
        .is_esmtp = d->facts->esmtp,
        .is_tls = d->c->tls_text[0] != 0,
        .is_authenticated = d->c->auth != 0,
        .is_utf8 = d->t->smtputf8,
        .tls = view_cstr(d->c->tls_text),
        .id = buf_view(&id),
        .wall_us = loop_wall_us(d->c->edge->env->loop),
    };
    if (d->t->recipients_n == 1) /* RFC5321-7.2: never discloses one recipient to another */
        received.recipient = d->t->recipients[0].address;
    buf_put(&field, d->checks.fields);
    trace_put_received(&field, &received);
    buf_put(&field, d->signatures);
    enum err err = buf_err(&field);
    if (err == ERR_OK)
        err = arena_view(d->t->arena, buf_view(&field), &d->received);
    buf_fini(&ip);
    buf_fini(&id);
    buf_fini(&field);
    return err;
}

/* The final delivery's fields, RFC5321-4.4 (Return-Path) and Delivered-To. */
static enum err make_prefix(const struct delivery *d, const struct target *target, struct buf *out) {
    buf_clear(out);
    if (target->to.kind == RECIPIENT_LOCAL) {
        trace_put_return_path(out, d->sender);
        trace_put_delivered_to(out, target->to.address);
    }
    buf_put(out, d->received);
    return buf_err(out);
}

/* ---- the message as it is stored ---- */

static enum err cut_in_memory(struct delivery *d, struct view body) {
    size_t at = 0;
    buf_init(&d->edited, body.n);
    for (size_t i = 0; i < d->checks.cuts_n; i++) {
        const struct edge_cut *cut = &d->checks.cuts[i];
        buf_put(&d->edited, view_sub(body, at, cut->offset - at));
        at = cut->offset + cut->size;
    }
    buf_put(&d->edited, view_skip(body, at));
    d->body = buf_view(&d->edited);
    d->size = d->body.n;
    return buf_err(&d->edited);
}

/* Octets [from, to) of a file, appended to another one. */
static enum err copy_range(struct file *in, uint64_t from, uint64_t to, struct file *out, uint64_t *size,
                           void *window) {
    while (from < to) {
        size_t got;
        TRY(file_read(in, window, (size_t)MIN(to - from, (uint64_t)COPY_WINDOW), from, &got));
        if (got == 0)
            return ERR_IO;
        TRY(file_write(out, view_of(window, got), *size));
        from += got;
        *size += got;
        TRY(co_breathe());
    }
    return ERR_OK;
}

static enum err cut_in_file(struct delivery *d) {
    struct role_env *env = d->c->edge->env;
    if (!env->disk)
        return ERR_FULL;
    void *window = arena_alloc(d->t->arena, COPY_WINDOW);
    if (!window)
        return ERR_LIMIT;
    TRY(disk_open(env->disk, ".", DISK_WRITE | DISK_TEMPORARY | DISK_CREATE, &d->file));
    d->own_file = true;
    uint64_t at = 0;
    d->size = 0;
    for (size_t i = 0; i < d->checks.cuts_n; i++) {
        const struct edge_cut *cut = &d->checks.cuts[i];
        TRY(copy_range(d->t->body_file, at, cut->offset, d->file, &d->size, window));
        at = cut->offset + cut->size;
    }
    return copy_range(d->t->body_file, at, d->t->body_size, d->file, &d->size, window);
}

/* A body in memory that is too large for a packet travels as a file. */
static enum err prepare_body(struct delivery *d) {
    d->size = d->t->body_size;
    d->body = d->t->body;
    d->file = d->t->body_file;
    if (d->checks.cuts_n > 0 && d->file)
        return cut_in_file(d);
    if (d->checks.cuts_n > 0)
        TRY(cut_in_memory(d, d->t->body));
    if (d->file || d->body.n <= ACCOUNT_INLINE_MAX)
        return ERR_OK;
    TRY(file_new_memory("message", &d->file));
    d->own_file = true;
    return file_write(d->file, d->body, 0);
}

static struct view inline_body(const struct delivery *d) {
    return d->file ? VIEW_NONE : d->body;
}

/* Targets that were not asked in time stay FATE_LATER. */
static bool is_late(const struct delivery *d) {
    return loop_now_us(d->c->edge->env->loop) >= d->deadline_us;
}

/* ---- step one: ask ---- */

static void check_target(struct delivery *d, struct target *target) {
    struct deliver_check_args args = {.recipient = target->to.address, .sender = d->sender, .size = d->size};
    struct deliver_check_result result;
    enum err err = doors_check(&d->c->edge->doors, target->to.account, &args, d->t->arena, &result);
    if (err == ERR_NOT_FOUND) {
        target->fate = FATE_REJECT; /* removed since RCPT */
        target->status = VIEW("5.1.1");
        target->text = VIEW("No such mailbox here");
    } else if (err != ERR_OK || result.verdict == VERDICT_LATER) {
        target->fate = FATE_LATER;
    } else {
        target->fate = result.verdict == VERDICT_ACCEPT ? FATE_ACCEPT : FATE_REJECT;
        target->status = result.status;
        target->text = result.text;
    }
}

struct check_job {
    struct delivery *d;
    size_t next, running;
    struct waitq done;
};
static void check_worker(void *arg) {
    struct check_job *job = arg;
    while (job->next < job->d->n) {
        struct target *target = &job->d->targets[job->next++];
        if (target->to.kind == RECIPIENT_LOCAL && !is_late(job->d))
            check_target(job->d, target);
    }
    job->running--;
    waitq_wake_all(&job->done);
}
#define CHECK_WORKERS 8

/* Mailboxes are asked side by side: a message to fifty costs the slowest one, not the sum. */
static enum err check_all(struct delivery *d) {
    struct check_job job = {.d = d, .running = 1};
    size_t extra = MIN(d->n, (size_t)CHECK_WORKERS) - 1;
    struct role_env *env = d->c->edge->env;
    for (size_t i = 0; d->n > 1 && i < extra; i++)
        if (co_spawn(env->loop, env->group, "edge.check", check_worker, &job, NULL) == ERR_OK)
            job.running++;
    check_worker(&job);
    while (job.running) /* workers use this frame; when we are cancelled, so are they */
        waitq_wait_shielded(&job.done);
    return co_is_canceled(co_current()) ? ERR_CANCELED : ERR_OK;
}

/* ---- step two: queue what must wait, commit what was accepted ---- */

/* Durably to the queue: all targets with this fate. */
static enum err queue_fate(struct delivery *d, enum fate fate, enum recipient_kind kind) {
    struct queue_target batch[100];
    struct queue_submit submit = {
        .delivery_id = view_of(d->id, sizeof(d->id)),
        .session = d->c->auth,
        .sender = d->sender,
        .size = d->size,
        .flags = (d->t->eightbit ? QUEUE_FLAG_8BITMIME : 0) | (d->t->smtputf8 ? QUEUE_FLAG_SMTPUTF8 : 0) |
                 (d->checks.is_junk ? QUEUE_FLAG_JUNK : 0),
        .prefix = d->received,
        .body = inline_body(d),
        .targets = batch,
    };
    struct role_env *env = d->c->edge->env;
    for (size_t i = 0; i <= d->n; i++) {
        if (i < d->n && d->targets[i].fate == fate && d->targets[i].to.kind == kind) {
            const struct recipient_target *to = &d->targets[i].to;
            batch[submit.targets_n++] =
                (struct queue_target){.kind = to->kind == RECIPIENT_LOCAL ? RECIPIENT_LOCAL : RECIPIENT_REMOTE,
                                      .account = to->account,
                                      .address = to->address};
        }
        if (submit.targets_n == 0 || (i < d->n && submit.targets_n < ARRAY_LEN(batch)))
            continue;
        struct handle handle;
        size_t handles = 0;
        if (d->file) {
            struct file *copy;
            TRY(file_dup(d->file, &copy));
            handle = HANDLE_OF_FILE(copy);
            handles = 1;
        }
        struct queue_submit_result result;
        TRY(role_peer_call(&d->c->edge->queue, &message_queue_submit, &submit, &handle, handles,
                           loop_now_us(env->loop) + ROLE_MAILBOX_CALL_US, d->t->arena, &result, NULL));
        submit.targets_n = 0;
    }
    for (size_t i = 0; i < d->n; i++)
        if (d->targets[i].fate == fate && d->targets[i].to.kind == kind)
            d->targets[i].fate = FATE_DONE;
    return ERR_OK;
}

static void commit_target(struct delivery *d, struct target *target) {
    struct buf prefix;
    buf_init(&prefix, PREFIX_MAX);
    enum err err = make_prefix(d, target, &prefix);
    struct deliver_commit_args args = {
        .id = view_of(d->id, sizeof(d->id)),
        .recipient = target->to.address,
        .sender = d->sender,
        .junk = d->checks.is_junk,
        .prefix = buf_view(&prefix),
        .body = inline_body(d),
    };
    struct deliver_commit_result result;
    if (err == ERR_OK)
        err = doors_commit(&d->c->edge->doors, target->to.account, &args, d->file, d->t->arena, &result);
    target->fate =
        err == ERR_OK ? FATE_DONE : FATE_LATER; /* the same delivery id: a commit that did happen is not doubled */
    if (err != ERR_OK)
        log_event(&d->c->log, LOG_WARN, "deliver.later", LF_ERR(err), LF_U64("account", target->to.account));
    buf_fini(&prefix);
}

static size_t count_fate(const struct delivery *d, enum fate fate) {
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++)
        n += d->targets[i].fate == fate;
    return n;
}

static void reply_later(struct smtp_reply *reply) {
    smtp_reply_set(reply, 451, VIEW("4.3.0"), VIEW("The message cannot be stored now; try again later"));
}

/* Each recipient's own result: the best of its targets (what waits in the queue is ours now). */
static void set_results(struct delivery *d) {
    for (size_t i = 0; i < d->t->recipients_n; i++) {
        struct smtp_recipient *recipient = &d->t->recipients[i];
        const struct edge_recipient *r = recipient->user;
        const struct target *refused = NULL;
        bool done = false, lost = false;
        for (uint32_t j = 0; j < r->n; j++) {
            const struct target *target = find_target(d, &r->targets[j]);
            done = done || target->fate == FATE_DONE;
            lost = lost || target->fate == FATE_LOST || target->fate == FATE_LATER;
            if (target->fate == FATE_REJECT)
                refused = target;
        }
        if (lost)
            reply_later(&recipient->result);
        else if (!done && refused)
            smtp_reply_set(&recipient->result, 550, refused->status.n ? refused->status : VIEW("5.7.1"), refused->text);
        else
            smtp_reply_set(&recipient->result, 250, VIEW("2.0.0"), VIEW("Delivered"));
    }
}

static void decide(struct delivery *d, struct smtp_reply *reply) {
    size_t accepted = count_fate(d, FATE_ACCEPT), refused = count_fate(d, FATE_REJECT),
           queued = count_fate(d, FATE_QUEUE);
    if (accepted + queued == 0) {
        set_results(d);
        if (refused == d->n) {
            const struct target *first = &d->targets[0];
            smtp_reply_set(reply, 550, first->status.n ? first->status : VIEW("5.7.1"), first->text);
        } else {
            reply_later(reply); /* none accepted, and not all refused: the sender keeps it */
        }
        return;
    }
    /* ERR_DENIED from the queue is 451 like every other failure, not 550: directory allowed each recipient at RCPT, so that it says no now
     * means that it has forgotten the login (a restart) or that an alias or the configuration changed meanwhile. The sender's next try
     * gets the final word at MAIL or RCPT; a bounce here could come from our own restart alone. */
    /* What must wait goes to disk first; what was refused beside an acceptance becomes a report, made by the queue. */
    bool safe = queue_fate(d, FATE_QUEUE, RECIPIENT_REMOTE) == ERR_OK &&
                queue_fate(d, FATE_LATER, RECIPIENT_LOCAL) == ERR_OK &&
                (d->sender.n == 0 || queue_fate(d, FATE_REJECT, RECIPIENT_LOCAL) == ERR_OK);
    for (size_t i = 0; safe && i < d->n; i++)
        if (d->targets[i].fate == FATE_ACCEPT && is_late(d))
            d->targets[i].fate = FATE_LATER;
        else if (d->targets[i].fate == FATE_ACCEPT)
            commit_target(d, &d->targets[i]);
    if (safe && count_fate(d, FATE_LATER))
        safe = queue_fate(d, FATE_LATER, RECIPIENT_LOCAL) == ERR_OK;
    if (!safe)
        for (size_t i = 0; i < d->n; i++)
            d->targets[i].fate = FATE_LOST;
    set_results(d);
    if (safe)
        smtp_reply_set(reply, 250, VIEW("2.0.0"), VIEW("The message is on disk"));
    else
        reply_later(reply);
}

/* RFC5321-6.3: a message that has been through too many hands is in a loop. */
static bool is_looping(struct delivery *d) {
    uint8_t head[65536];
    struct view text = d->t->body;
    if (d->t->body_file) {
        size_t got;
        if (file_read(d->t->body_file, head, sizeof(head), 0, &got) != ERR_OK)
            return false;
        text = view_of(head, got);
    }
    ssize_t end = view_find(text, VIEW("\r\n\r\n"));
    return trace_hops(end < 0 ? text : view_sub(text, 0, (size_t)end + 2)) > TRACE_HOPS_MAX;
}

/* The checks say that nobody gets it. */
static void refuse_all(struct delivery *d, struct smtp_reply *reply) {
    for (size_t i = 0; i < d->t->recipients_n; i++)
        d->t->recipients[i].result = d->checks.reply;
    *reply = d->checks.reply;
    log_event(&d->c->log, LOG_INFO, "message.refused", LF_U64("reply", reply->code), LF_VIEW("from", d->sender),
              LF_VIEW("why", reply->text));
}

void edge_deliver(struct edge_connection *c, const struct smtp_session_facts *facts, struct smtp_transaction *t,
                  struct smtp_reply *reply) {
    struct delivery d = {.c = c, .facts = facts, .t = t, .sender = t->sender.whole};
    random_fill(c->edge->env->random, d.id, sizeof(d.id));
    d.deadline_us = loop_now_us(c->edge->env->loop) + EDGE_DELIVER_US;
    if (is_looping(&d)) {
        smtp_reply_set(reply, 554, VIEW("5.4.6"), VIEW("The message has been through too many servers: a mail loop"));
        return;
    }
    enum err err = edge_checks_mail(c) ? edge_check(c, facts, t, &d.checks) : ERR_OK;
    if (err == ERR_OK && d.checks.reply.code != 0) {
        refuse_all(&d, reply);
        return;
    }
    if (err == ERR_OK && c->auth)
        err = edge_sign_message(c, t, &d.signatures);
    if (err == ERR_OK)
        err = collect_targets(&d);
    if (err == ERR_OK)
        err = make_received(&d);
    if (err == ERR_OK)
        err = prepare_body(&d);
    if (err == ERR_OK)
        err = check_all(&d);
    if (err == ERR_OK) {
        decide(&d, reply);
    } else {
        for (size_t i = 0; i < t->recipients_n; i++)
            reply_later(&t->recipients[i].result);
        reply_later(reply);
    }
    if (d.own_file)
        file_unref(d.file);
    buf_fini(&d.edited);
    log_event(&c->log, reply->code == 250 ? LOG_INFO : LOG_WARN, "message", LF_U64("reply", reply->code),
              LF_VIEW("from", d.sender), LF_U64("recipients", t->recipients_n), LF_U64("size", t->body_size));
}
