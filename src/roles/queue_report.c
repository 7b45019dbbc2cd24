/*
 * Reports to senders (RFC 3464): made here, sent as messages of the queue with
 * the null sender, so that no report ever causes another (RFC5321-6.1).
 */
#include "roles/queue.h"

#include "base/utf8.h"
#include "message/compose.h"

#include <string.h>

#define REPORT_MAX (512 * 1024) /* octets: a hundred recipients with their replies, and the header */

/* The header block of the message as it lies in the queue, our own Received in front. */
static enum err read_header(const struct queue_message *message, struct file *body, struct arena *arena,
                            struct view *out) {
    uint8_t *p = arena_alloc(arena, message->prefix.n + QUEUE_HEADER_MAX);
    size_t got;
    if (!p)
        return ERR_NO_MEMORY;
    if (message->prefix.n)
        memcpy(p, message->prefix.p, message->prefix.n);
    TRY(file_read(body, p + message->prefix.n, QUEUE_HEADER_MAX, 0, &got));
    struct view head = view_of(p, message->prefix.n + got);
    if (view_starts(view_skip(head, message->prefix.n), VIEW("\r\n"))) { /* no header of its own */
        *out = message->prefix;
        return ERR_OK;
    }
    ssize_t end = view_find(head, VIEW("\r\n\r\n"));
    *out = end < 0 ? head : view_sub(head, 0, (size_t)end + 2);
    return ERR_OK;
}

/* RFC3461-4.2: "rfc822;" and the address. */
static struct view original_of(const struct queue_recipient *r) {
    return view_starts_nocase(r->orcpt, VIEW("rfc822;")) ? view_skip(r->orcpt, 7) : r->orcpt;
}

static enum err put_report(struct queue *queue, const struct queue_message *message, struct view header,
                           const struct queue_reported *list, size_t n, bool is_delay, struct arena *arena,
                           struct view *out) {
    int64_t wall_us = queue_wall_us(queue);
    struct view host = queue->env->config->hostname, from;
    struct dsn_recipient *recipients = ARENA_ARRAY(arena, n, struct dsn_recipient);
    if (!recipients)
        return ERR_NO_MEMORY;
    TRY(arena_printf(arena, &from, "postmaster@%.*s", VIEW_FMT(host)));
    for (size_t i = 0; i < n; i++)
        recipients[i] = (struct dsn_recipient){
            .final = list[i].recipient->address,
            .original = original_of(list[i].recipient),
            .action = is_delay ? DSN_DELAYED : DSN_FAILED,
            .status = list[i].outcome.status,
            .remote_mta = list[i].outcome.host,
            .diagnostic = list[i].outcome.text,
            .last_attempt_us = wall_us,
            .retry_until_us = is_delay ? list[i].recipient->expires_us : 0,
        };
    struct dsn dsn = {
        .from = from,
        .to = message->sender,
        .host = host,
        .envelope_id = message->envid,
        .arrival_us = message->created_us,
        .wall_us = wall_us,
        .recipients = recipients,
        .recipient_count = n,
        .header = header,
        .is_utf8 = (message->flags & QUEUE_FLAG_SMTPUTF8) != 0,
    };
    random_fill(queue->env->random, dsn.random, sizeof(dsn.random));
    struct buf text;
    buf_init(&text, REPORT_MAX);
    enum err err = dsn_put(&text, &dsn);
    if (err == ERR_OK)
        err = arena_view(arena, buf_view(&text), out);
    buf_fini(&text);
    return err;
}

/* Where the sender's mail goes. *n = 0: nowhere. */
static enum err find_sender(struct queue *queue, struct view sender, struct arena *arena,
                            struct recipient_target **targets, size_t *n) {
    struct recipient_lookup lookup = {.address = sender};
    struct recipient_result result;
    *n = 0;
    TRY(role_peer_call(&queue->directory, &message_recipient_lookup_queue, &lookup, NULL, 0,
                       loop_now_us(queue->env->loop) + ROLE_CALL_US, arena, &result, NULL));
    if (result.reply / 100 == 4)
        return ERR_TEMPORARY;
    if (result.reply != 0)
        return ERR_OK;
    *targets = result.targets;
    *n = MIN((size_t)result.targets_n, (size_t)QUEUE_RECIPIENTS_MAX);
    return ERR_OK;
}

enum err queue_report_make(struct queue *queue, const struct queue_message *message, struct file *body,
                           const struct queue_reported *list, size_t n, bool is_delay, struct arena *arena,
                           struct queue_report *out) {
    struct queue_report made = {0};
    struct recipient_target *targets = NULL;
    /* RFC5321-6.1, RFC3464-2: never a report about a report. */
    if (message->sender.n) {
        TRY(find_sender(queue, message->sender, arena, &targets, &made.n));
        if (made.n == 0)
            log_event(&queue->env->log, LOG_WARN, "queue.report.nobody", LF_U64("message", message->id),
                      LF_VIEW("sender", message->sender));
    }
    if (made.n == 0) {
        *out = made;
        return ERR_OK;
    }
    struct view header;
    int64_t now_us = queue_wall_us(queue);
    TRY(read_header(message, body, arena, &header));
    TRY(put_report(queue, message, header, list, n, is_delay, arena, &made.body));
    uint8_t *id = arena_alloc(arena, MESSAGE_ID_SIZE);
    made.recipients = ARENA_ARRAY(arena, made.n, struct queue_recipient);
    if (!id || !made.recipients)
        return ERR_NO_MEMORY;
    random_fill(queue->env->random, id, MESSAGE_ID_SIZE);
    made.message = (struct queue_message){
        .delivery_id = view_of(id, MESSAGE_ID_SIZE),
        .created_us = now_us,
        .flags = (utf8_is_ascii(made.body) ? 0 : QUEUE_FLAG_8BITMIME) | (message->flags & QUEUE_FLAG_SMTPUTF8),
    };
    for (size_t i = 0; i < made.n; i++)
        made.recipients[i] = (struct queue_recipient){
            .address = targets[i].address,
            .kind = targets[i].kind == RECIPIENT_LOCAL ? QUEUE_LOCAL : QUEUE_REMOTE,
            .account = targets[i].account,
            .state = QUEUE_WAITING,
            .next_us = now_us,
            .expires_us = now_us + queue->lifetime_us,
        };
    made.is_made = true;
    *out = made;
    log_event(&queue->env->log, LOG_INFO, is_delay ? "queue.report.delay" : "queue.report.failure",
              LF_U64("message", message->id), LF_VIEW("to", message->sender), LF_U64("recipients", n));
    return ERR_OK;
}
