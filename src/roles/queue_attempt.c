/*
 * Attempts: one job is some recipients of one message at one destination. What
 * came of it is written in one transaction: done, later, or done with a report.
 * Until that is on disk the job does not end: what was delivered must not be
 * delivered again because the disk was full for a minute.
 */
#include "roles/queue.h"

#include "message/trace.h"
#include "roles/courier.h"

#include <string.h>

#define JOB_BUDGET (4 * 1024 * 1024)      /* octets: a hundred recipients, an inline body, a report */
#define SETTLE_PACE_US (10 * US_PER_S)    /* between tries while the disk does not write */
#define ATTEMPT_MARGIN_US (60 * US_PER_S) /* the courier stops by itself before we stop waiting */
#define COURIER_WAIT_US (60 * US_PER_S)

struct job {
    struct queue_job *job;
    struct queue *queue;
    struct arena *arena;
    struct log log;
    struct queue_message message;
    struct queue_recipient *rows;
    struct queue_outcome *outcomes;
    size_t n; /* rows that still wait; others were removed meanwhile */
    struct file *body;
    enum err err;
};

/* ---- from the store ---- */

static enum err load(struct job *job) {
    struct queue_store *store = job->queue->store;
    TRY(queue_store_message(store, job->job->items->message, job->arena, &job->message));
    for (const struct queue_item *item = job->job->items; item; item = item->next) {
        enum err err = queue_store_get(store, item->id, job->arena, &job->rows[job->n]);
        if (err != ERR_OK && err != ERR_NOT_FOUND)
            return err;
        if (err == ERR_OK && job->rows[job->n].state == QUEUE_WAITING)
            job->n++;
    }
    return job->n ? queue_store_body(store, job->message.id, &job->body) : ERR_OK;
}

static void load_on_main(void *arg) {
    struct job *job = arg;
    job->err = load(job);
}

/* ---- outcomes ---- */

static struct queue_outcome outcome_of(uint16_t reply, struct view status, struct view text) {
    return (struct queue_outcome){.reply = reply, .status = status, .text = text};
}

static struct queue_outcome lost(struct view text) {
    return (struct queue_outcome){.reply = 451, .status = VIEW("4.3.0"), .text = text, .is_lost = true};
}

static void set_all(struct job *job, struct queue_outcome outcome) {
    for (size_t i = 0; i < job->n; i++)
        job->outcomes[i] = outcome;
}

/* ---- to a mailbox ---- */

/* RFC5321-4.4: final delivery adds Return-Path; Delivered-To lets a loop be seen. */
static enum err make_prefix(struct job *job, struct view address, struct view *out) {
    struct buf prefix;
    buf_init(&prefix, QUEUE_PREFIX_MAX);
    trace_put_return_path(&prefix, job->message.sender);
    trace_put_delivered_to(&prefix, address);
    buf_put(&prefix, job->message.prefix);
    enum err err = buf_err(&prefix);
    if (err == ERR_OK)
        err = arena_view(job->arena, buf_view(&prefix), out);
    buf_fini(&prefix);
    return err;
}

static enum err read_inline(struct job *job, uint64_t size, struct view *out) {
    uint8_t *p = arena_alloc(job->arena, (size_t)size);
    size_t got;
    if (!p)
        return ERR_NO_MEMORY;
    TRY(file_read(job->body, p, (size_t)size, 0, &got));
    *out = view_of(p, got);
    return got == size ? ERR_OK : ERR_IO;
}

static enum err commit_local(struct job *job, const struct queue_recipient *r) {
    struct deliver_commit_args args = {.id = job->message.delivery_id,
                                       .recipient = r->address,
                                       .sender = job->message.sender,
                                       .internal_us = job->message.created_us,
                                       .junk = (job->message.flags & QUEUE_FLAG_JUNK) != 0};
    struct deliver_commit_result result;
    uint64_t size;
    TRY(make_prefix(job, r->address, &args.prefix));
    TRY(file_size(job->body, &size));
    bool is_inline = size <= ACCOUNT_INLINE_MAX;
    if (is_inline)
        TRY(read_inline(job, size, &args.body));
    return doors_commit(&job->queue->doors, r->account, &args, is_inline ? NULL : job->body, job->arena, &result);
}

/* The second half of a delivery that edge could not finish, with the same delivery id: what was committed then is not committed again. */
static struct queue_outcome try_local(struct job *job, const struct queue_recipient *r) {
    struct deliver_check_args args = {
        .recipient = r->address, .sender = job->message.sender, .size = job->message.size};
    struct deliver_check_result check;
    enum err err = doors_check(&job->queue->doors, r->account, &args, job->arena, &check);
    if (err == ERR_NOT_FOUND)
        return outcome_of(550, VIEW("5.1.1"), VIEW("The mailbox is no more"));
    if (err != ERR_OK)
        return lost(VIEW("The mailbox cannot be reached"));
    if (check.verdict == VERDICT_REJECT)
        return outcome_of(550, check.status.n ? check.status : VIEW("5.7.1"), check.text);
    if (check.verdict == VERDICT_LATER)
        return outcome_of(450, check.status.n ? check.status : VIEW("4.2.0"), check.text);
    err = commit_local(job, r);
    if (err == ERR_OK)
        return outcome_of(250, VIEW("2.0.0"), VIEW("Delivered"));
    if (err == ERR_FULL)
        return outcome_of(452, VIEW("4.2.2"), VIEW("The mailbox has no space left"));
    return lost(VIEW("The mailbox could not store the message"));
}

/* ---- to a courier ---- */

static struct queue_courier *idle_courier(struct queue *queue) {
    struct queue_courier *best = NULL;
    for (size_t i = 0; i < QUEUE_COURIERS_MAX; i++) {
        struct queue_courier *courier = &queue->couriers[i];
        if (courier->peer.channel && channel_is_open(courier->peer.channel) && (!best || courier->jobs < best->jobs))
            best = courier;
    }
    return best;
}

static enum err call_courier(struct job *job, const struct attempt *attempt, struct attempt_result *result) {
    struct queue *queue = job->queue;
    struct loop *loop = queue->env->loop;
    int64_t wait_until_us = loop_now_us(loop) + COURIER_WAIT_US;
    struct queue_courier *courier;
    while (!(courier = idle_courier(queue)))
        TRY(waitq_wait(&queue->courier_arrived, wait_until_us));
    struct handle handle = HANDLE_OF_FILE(file_ref(job->body));
    courier->jobs++;
    enum err err = role_peer_call(&courier->peer, &message_attempt, attempt, &handle, 1,
                                  loop_now_us(loop) + COURIER_ATTEMPT_US + ATTEMPT_MARGIN_US, job->arena, result, NULL);
    courier->jobs--;
    return err;
}

static void try_remote(struct job *job) {
    struct queue *queue = job->queue;
    struct view domain = job->job->destination->domain;
    if (!queue->env->config->relay) {
        set_all(job, outcome_of(550, VIEW("5.7.1"), VIEW("Delivery to other domains is switched off on this server")));
        return;
    }
    if (domain.n == 0 || domain.n > DNS_NAME_MAX) {
        set_all(job, outcome_of(553, VIEW("5.1.3"), VIEW("The address has no valid domain")));
        return;
    }
    struct attempt_recipient *recipients = ARENA_ARRAY(job->arena, job->n, struct attempt_recipient);
    struct attempt_result result = {0};
    struct attempt attempt = {
        .domain = domain,
        .sender = job->message.sender,
        .size = job->message.size,
        .flags = job->message.flags,
        .prefix = job->message.prefix,
        .recipients = recipients,
        .recipients_n = (uint32_t)job->n,
    };
    enum err err = recipients ? ERR_OK : ERR_NO_MEMORY;
    for (size_t i = 0; err == ERR_OK && i < job->n; i++)
        recipients[i].address = job->rows[i].address;
    if (err == ERR_OK)
        err = call_courier(job, &attempt, &result);
    if (err != ERR_OK || result.outcomes_n != job->n) {
        log_event(&job->log, LOG_WARN, "queue.courier", LF_ERR(err));
        set_all(job, lost(VIEW("The attempt did not end")));
        return;
    }
    for (size_t i = 0; i < job->n; i++) {
        const struct attempt_outcome *o = &result.outcomes[i];
        bool is_known = o->reply >= 200 && o->reply <= 599 &&
                        o->reply / 100 != 3; /* a courier faces the network: it is not believed blindly */
        job->outcomes[i] =
            is_known ? outcome_of(o->reply, o->status, o->text) : lost(VIEW("The attempt ended without an answer"));
        job->outcomes[i].host = o->host;
    }
}

/* ---- what comes of it ---- */

struct settling {
    struct job *job;
    struct queue_report failed, delayed;
};

static enum err run_settle(struct queue *queue, void *arg) {
    struct settling *s = arg;
    struct job *job = s->job;
    /* The reports first: the last update removes the message. */
    if (s->failed.is_made)
        TRY(queue_store_add(queue->store, &s->failed.message, s->failed.body, NULL, s->failed.recipients, s->failed.n));
    if (s->delayed.is_made)
        TRY(queue_store_add(queue->store, &s->delayed.message, s->delayed.body, NULL, s->delayed.recipients,
                            s->delayed.n));
    for (size_t i = 0; i < job->n; i++) {
        enum err err = queue_store_update(queue->store, &job->rows[i]);
        if (err != ERR_OK && err != ERR_NOT_FOUND) /* dropped by the administrator meanwhile */
            return err;
    }
    return ERR_OK;
}

static bool wants(const struct queue_recipient *r, unsigned what) {
    unsigned asked = r->notify & QUEUE_NOTIFY_ASKED;
    return asked == 0 || (asked & what) != 0; /* NEVER is a bit of its own and so asks for nothing */
}

/* RFC3463-3.5: 4.7, the delivery time expired; the last answer stays as the reason. */
static void expire(struct queue_recipient *r, struct queue_outcome *o) {
    r->state = QUEUE_DONE;
    o->status = VIEW("5.4.7");
}

static void judge(struct job *job, size_t i, int64_t now_us) {
    struct queue_recipient *r = &job->rows[i];
    struct queue_outcome *o = &job->outcomes[i];
    r->attempts++;
    r->last_status = view_sub(o->status, 0, 16);
    r->last_text = view_sub(o->text, 0, MESSAGE_TEXT_MAX);
    if (o->reply / 100 != 4) {
        r->state = QUEUE_DONE;
    } else if (now_us >= r->expires_us) {
        expire(r, o);
    } else {
        bool is_soon = o->is_lost && r->attempts <= QUEUE_LOST_MAX;
        int64_t after_us = is_soon ? QUEUE_LOST_US : queue_retry_after_us(job->queue, r->attempts);
        r->next_us = MIN(now_us + after_us, r->expires_us); /* one last try at the end */
    }
    log_event(&job->log, o->reply / 100 == 2 ? LOG_INFO : LOG_WARN, "queue.attempt", LF_VIEW("to", r->address),
              LF_U64("reply", o->reply), LF_VIEW("status", o->status), LF_VIEW("text", o->text),
              LF_VIEW("host", o->host), LF_U64("attempts", r->attempts),
              LF_TEXT("then", r->state == QUEUE_DONE ? "done" : "later"));
}

/* Writes the report of all rows for which is_in() is true. ERR_OK also when nobody is told. */
static enum err report(struct job *job, bool (*is_in)(const struct job *job, size_t i, int64_t now_us), int64_t now_us,
                       bool is_delay, struct queue_report *out) {
    struct queue_reported *list = ARENA_ARRAY(job->arena, job->n, struct queue_reported);
    size_t n = 0;
    if (!list)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < job->n; i++)
        if (is_in(job, i, now_us))
            list[n++] = (struct queue_reported){.recipient = &job->rows[i], .outcome = job->outcomes[i]};
    return n ? queue_report_make(job->queue, &job->message, job->body, list, n, is_delay, job->arena, out) : ERR_OK;
}

static bool has_failed(const struct job *job, size_t i, int64_t now_us) {
    (void)now_us;
    return job->rows[i].state == QUEUE_DONE && job->outcomes[i].reply / 100 != 2 &&
           wants(&job->rows[i], QUEUE_NOTIFY_FAILURE);
}

static bool is_late(const struct job *job, size_t i, int64_t now_us) {
    const struct queue_recipient *r = &job->rows[i];
    return r->state == QUEUE_WAITING && now_us - job->message.created_us >= QUEUE_DELAYED_US &&
           !(r->notify & QUEUE_NOTIFIED_DELAY) && wants(r, QUEUE_NOTIFY_DELAY);
}

static enum err make_reports(struct job *job, struct settling *s, int64_t now_us) {
    enum err err = report(job, has_failed, now_us, false, &s->failed);
    if (co_is_canceled(co_current()))
        return ERR_CANCELED;
    if (err != ERR_OK) {
        /* A failure is not final before its report is: the recipient waits and is tried again. */
        log_event(&job->log, LOG_WARN, "queue.report", LF_ERR(err));
        for (size_t i = 0; i < job->n; i++)
            if (has_failed(job, i, now_us)) {
                job->rows[i].state = QUEUE_WAITING;
                job->rows[i].next_us = now_us + QUEUE_REPORT_RETRY_US;
            }
        return ERR_OK;
    }
    err = report(job, is_late, now_us, true, &s->delayed);
    for (size_t i = 0; err == ERR_OK && i < job->n; i++)
        if (is_late(job, i, now_us))
            job->rows[i].notify |= QUEUE_NOTIFIED_DELAY;
    return co_is_canceled(co_current()) ? ERR_CANCELED : ERR_OK; /* a delay can be told the next time */
}

static void schedule_report(struct queue *queue, const struct queue_report *made) {
    for (size_t i = 0; made->is_made && i < made->n; i++)
        queue_schedule_add(queue, &made->recipients[i]);
}

static void settle(struct job *job) {
    int64_t now_us = queue_wall_us(job->queue);
    struct settling s = {.job = job};
    for (size_t i = 0; i < job->n; i++)
        judge(job, i, now_us);
    if (make_reports(job, &s, now_us) != ERR_OK)
        return; /* the role ends; the next life tries again */
    for (;;) {
        enum err err = queue_commit(job->queue, run_settle, &s);
        if (err == ERR_OK)
            break;
        if (co_is_canceled(co_current()))
            return;
        log_event(&job->log, LOG_ERROR, "queue.settle", LF_ERR(err));
        if (co_sleep(SETTLE_PACE_US) != ERR_OK)
            return;
    }
    schedule_report(job->queue, &s.failed);
    schedule_report(job->queue, &s.delayed);
    for (size_t i = 0; i < job->n; i++)
        if (job->rows[i].state == QUEUE_WAITING)
            queue_schedule_at(job->queue, job->rows[i].next_us);
}

static void try_all(struct job *job) {
    if (job->job->destination->kind == QUEUE_LOCAL)
        for (size_t i = 0; i < job->n; i++)
            job->outcomes[i] = try_local(job, &job->rows[i]);
    else
        try_remote(job);
    if (!co_is_canceled(co_current()))
        settle(job);
}

static enum err begin(struct job *job) {
    if (!job->arena)
        return ERR_NO_MEMORY;
    job->rows = ARENA_ARRAY(job->arena, job->job->n, struct queue_recipient);
    job->outcomes = ARENA_ARRAY(job->arena, job->job->n, struct queue_outcome);
    if (!job->rows || !job->outcomes)
        return ERR_NO_MEMORY;
    co_on_main(load_on_main, job);
    return job->err;
}

void queue_attempt(struct queue_job *queue_job) {
    struct queue *queue = queue_job->queue;
    struct job job = {.job = queue_job, .queue = queue, .arena = arena_new("attempt", JOB_BUDGET)};
    log_child(&job.log, &queue->env->log, LF_U64("message", queue_job->items->message));
    enum err err = begin(&job);
    if (err == ERR_OK && job.n > 0) {
        try_all(&job);
    } else if (err != ERR_OK && err != ERR_NOT_FOUND) { /* else removed meanwhile */
        log_event(&job.log, LOG_ERROR, "queue.read", LF_ERR(err));
        queue_schedule_at(queue, queue_wall_us(queue) + QUEUE_REPORT_RETRY_US);
    }
    file_unref(job.body);
    arena_free(job.arena);
}
