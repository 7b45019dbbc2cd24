/*
 * The account interface through a channel: the same operations, the same
 * watchers, for shared mailboxes, for `edge`'s and `queue`'s deliveries, and for
 * tests that run every store test both ways.
 */
#ifndef STORE_ACCOUNT_CHANNEL_H
#define STORE_ACCOUNT_CHANNEL_H

#include "store/account.h"

#define ACCOUNT_MESSAGE_BASE 1000 /* message code = base + operation */
/* One way, from the serving side: a mailbox moved. */
#define R_account_changed(F, S) F(S, U64, mailbox) F(S, U64, modseq)
RECORD_DECLARE(account_changed);

/* The client's side: an account whose calls go over `channel`, which must not be started; it is started here. The account owns the
 * channel. Calls are made on coroutines only and time out after timeout_us. */
enum err account_new_channel(struct channel *channel, const char *name, int64_t timeout_us,
                             struct account **out) MUST_CHECK;
/* The serving side: appends to handlers[] (room for ACCOUNT_HANDLERS entries) what serves `account` with these rights: an operation that
 * needs more is answered ERR_DENIED. ctx of the channel must be a struct account_server (first member). */
#define ACCOUNT_UNSENT_MAX 64
struct account_server {
    struct account *account;
    uint32_t rights;
    struct channel *channel;
    struct account_watcher watcher;
    /* Mailboxes whose notification found the queue full; told with the next one or the next request. */
    struct account_changed unsent[ACCOUNT_UNSENT_MAX];
    size_t unsent_n;
};
#define ACCOUNT_HANDLERS 24
size_t account_server_handlers(struct channel_handler handlers[ACCOUNT_HANDLERS]);
/* Notifications flow only after this, and only with RIGHT_READ. */
void account_server_start(struct account_server *server);
void account_server_stop(struct account_server *server);

#endif
