/* The account's operations as messages: one message type an operation, made from the same table. */
#include "store/account_channel.h"

#include "loop/loop.h"

#include <stdlib.h>

RECORD_DEFINE(account_changed);

static const struct message_type op_messages[] = {
#define OP_MESSAGE(code, name, args, result, rights, files) \
    {ACCOUNT_MESSAGE_BASE + (code), "account." #name, &args##_record, &result##_record, (files), 0},
    ACCOUNT_OPS(OP_MESSAGE)
#undef OP_MESSAGE
};
static const struct message_type changed_message = {
    ACCOUNT_MESSAGE_BASE, "account.changed", &account_changed_record, NULL, 0, 0};

static const struct message_type *message_of(enum account_op op) {
    for (size_t i = 0; i < ARRAY_LEN(op_messages); i++)
        if (op_messages[i].code == ACCOUNT_MESSAGE_BASE + (unsigned)op)
            return &op_messages[i];
    return NULL;
}

/* ---- the client's side ---- */

struct channel_account {
    struct account account;
    struct channel *channel;
    int64_t timeout_us;
    struct account_watcher *watchers;
};

static enum err client_call(struct account *account, const struct account_op_type *type, const void *args,
                            struct file *file, struct arena *arena, void *result) {
    struct channel_account *client = (struct channel_account *)account;
    const struct message_type *message = message_of(type->op);
    if (message == NULL || co_current() == NULL)
        return ERR_BUG;
    struct handle handles[CHANNEL_HANDLES_MAX] = {0};
    size_t n = 0;
    if (file != NULL)
        handles[n++] = HANDLE_OF_FILE(file_ref(file)); /* consumed; the caller's own stays his */
    return channel_call(client->channel, message, args, n > 0 ? handles : NULL, n,
                        loop_now_us(co_loop(co_current())) + client->timeout_us, arena, result, NULL);
}

static void client_watch(struct account *account, struct account_watcher *watcher) {
    struct channel_account *client = (struct channel_account *)account;
    watcher->next = client->watchers;
    client->watchers = watcher;
}

static void client_unwatch(struct account *account, struct account_watcher *watcher) {
    struct account_watcher **at = &((struct channel_account *)account)->watchers;
    while (*at != NULL && *at != watcher)
        at = &(*at)->next;
    if (*at != NULL)
        *at = watcher->next;
    watcher->next = NULL;
}

static void client_free(struct account *account) {
    struct channel_account *client = (struct channel_account *)account;
    channel_free(client->channel);
    free(client);
}

static const struct account_ops client_ops = {client_call, client_watch, client_unwatch, client_free};

static enum err take_changed(void *ctx, struct call *call, void *reply,
                             struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    struct channel_account *client = ctx;
    const struct account_changed *changed = call->request;
    (void)reply;
    (void)reply_handles;
    for (struct account_watcher *w = client->watchers, *next; w != NULL; w = next) {
        next = w->next;
        w->changed(w, changed->mailbox, changed->modseq);
    }
    return ERR_OK;
}

static const struct channel_handler client_handlers[] = {{&changed_message, take_changed}};

enum err account_new_channel(struct channel *channel, const char *name, int64_t timeout_us, struct account **out) {
    struct channel_account *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return ERR_NO_MEMORY;
    *client = (struct channel_account){.account.ops = &client_ops, .channel = channel, .timeout_us = timeout_us};
    enum err err = channel_start(channel, name, client_handlers, ARRAY_LEN(client_handlers), client, NULL);
    if (err != ERR_OK) {
        free(client);
        return err;
    }
    *out = &client->account;
    return ERR_OK;
}

/* ---- the serving side ---- */

static void send_unsent(struct account_server *server) {
    size_t sent = 0;
    while (sent < server->unsent_n &&
           channel_send(server->channel, &changed_message, &server->unsent[sent], NULL, 0) == ERR_OK)
        sent++;
    for (size_t i = sent; i < server->unsent_n; i++)
        server->unsent[i - sent] = server->unsent[i];
    server->unsent_n -= sent;
}

static enum err serve(void *ctx, struct call *call, void *reply, struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    struct account_server *server = ctx;
    const struct account_op_type *type = account_op_type(call->type->code - ACCOUNT_MESSAGE_BASE);
    struct file *file = NULL;
    (void)reply_handles;
    send_unsent(server);
    /* Who may what is bound to this end of the channel, never said by the asker (DESIGN.md section 2, "Identity"). */
    if (type == NULL || (type->rights & ~server->rights) != 0)
        return ERR_DENIED;
    if (call->handles[0].kind == HANDLE_FILE && type->files > 0)
        file = call->handles[0].file;
    else if (call->handles[0].kind != HANDLE_NONE)
        return ERR_SYNTAX;
    return account_call(server->account, type->op, call->request, file, call->arena, reply);
}

size_t account_server_handlers(struct channel_handler handlers[ACCOUNT_HANDLERS]) {
    _Static_assert(ARRAY_LEN(op_messages) <= ACCOUNT_HANDLERS, "a handler an operation");
    for (size_t i = 0; i < ARRAY_LEN(op_messages); i++)
        handlers[i] = (struct channel_handler){&op_messages[i], serve};
    return ARRAY_LEN(op_messages);
}

static void tell_changed(struct account_watcher *watcher, uint64_t mailbox, uint64_t modseq) {
    struct account_server *server =
        (struct account_server *)(void *)((uint8_t *)watcher - offsetof(struct account_server, watcher));
    struct account_changed changed = {mailbox, modseq};
    send_unsent(server);
    if (server->unsent_n == 0 && channel_send(server->channel, &changed_message, &changed, NULL, 0) == ERR_OK)
        return;
    for (size_t i = 0; i < server->unsent_n; i++)
        if (server->unsent[i].mailbox == mailbox) {
            server->unsent[i].modseq = modseq;
            return;
        }
    /* Full here too: the newest takes the place of the last; its mailbox is told of with its next change. */
    if (server->unsent_n == ACCOUNT_UNSENT_MAX)
        server->unsent_n--;
    server->unsent[server->unsent_n++] = changed;
}

void account_server_start(struct account_server *server) {
    server->unsent_n = 0;
    server->watcher = (struct account_watcher){.changed = tell_changed};
    if (server->rights & RIGHT_READ)
        account_watch(server->account, &server->watcher);
}

void account_server_stop(struct account_server *server) {
    if (server->watcher.changed != NULL && (server->rights & RIGHT_READ))
        account_unwatch(server->account, &server->watcher);
    server->watcher.changed = NULL;
}
