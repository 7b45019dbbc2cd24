/* Who gets mail for an address, and who may send as one. */
#include "roles/directory.h"

#include "store/directory.h"

#include <string.h>

enum err directory_normalise(struct view address, struct arena *arena, struct view *whole, struct view *local,
                             struct view *domain) {
    ssize_t at = view_rfind_byte(address, '@');
    if (at <= 0 || (size_t)at + 1 >= address.n || address.n > DIRECTORY_ADDRESS_MAX)
        return ERR_SYNTAX;
    uint8_t *lower = arena_alloc(arena, address.n);
    if (!lower)
        return ERR_NO_MEMORY;
    /* RFC5321-2.4: the domain has no case; ours is the host that interprets the local part, and we ignore its case. */
    for (size_t i = 0; i < address.n; i++)
        lower[i] = ascii_lower(address.p[i]);
    *whole = view_of(lower, address.n);
    *local = view_sub(*whole, 0, (size_t)at);
    *domain = view_skip(*whole, (size_t)at + 1);
    return ERR_OK;
}

/* One walk through accounts and aliases. */
struct route {
    struct directory *d;
    struct arena *arena;
    struct recipient_target *targets;
    uint32_t n;
    bool may_relay;
};

static enum err route_add(struct route *route, enum recipient_kind kind, uint64_t account, struct view address) {
    for (uint32_t i = 0; i < route->n; i++)
        if (route->targets[i].kind == kind && route->targets[i].account == account &&
            view_eq(route->targets[i].address, address))
            return ERR_OK;
    if (route->n >= MESSAGE_RECIPIENTS_MAX)
        return ERR_FULL;
    if ((route->n & (route->n - 1)) == 0) { /* 0, 1, 2, 4, 8 ...: full */
        uint32_t room = route->n ? route->n * 2 : 1;
        struct recipient_target *grown = arena_grow(route->arena, route->targets, route->n, room, sizeof(*grown));
        if (!grown)
            return ERR_NO_MEMORY;
        route->targets = grown;
    }
    route->targets[route->n++] =
        (struct recipient_target){.kind = (uint8_t)kind, .account = account, .address = address};
    return ERR_OK;
}

/* RFC5321-4.5.1: postmaster is always somebody: here the domain's first account. */
static enum err route_postmaster(struct route *route, struct view domain, struct view address) {
    struct account_row *rows;
    size_t n;
    TRY(directory_account_list(route->d->store, route->arena, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        ssize_t at = view_rfind_byte(rows[i].address, '@');
        if (at >= 0 && view_eq(view_skip(rows[i].address, (size_t)at + 1), domain))
            return route_add(route, RECIPIENT_LOCAL, rows[i].id, address);
    }
    return ERR_NOT_FOUND;
}

/* What says that an address leads nowhere, and not that we cannot tell. */
static bool is_dead_end(enum err err) {
    return err == ERR_NOT_FOUND || err == ERR_DENIED || err == ERR_TEMPORARY || err == ERR_SYNTAX || err == ERR_LIMIT;
}

/* ERR_NOT_FOUND: ours, but nobody; ERR_DENIED: not ours and may not relay; ERR_TEMPORARY: disabled; ERR_LIMIT: aliases too deep; ERR_FULL: more
 * targets than there may be. */
static enum err route_address(struct route *route, struct view address, unsigned depth) {
    if (depth > DIRECTORY_ALIAS_DEPTH_MAX)
        return ERR_LIMIT;
    struct view whole, local, domain;
    TRY(directory_normalise(address, route->arena, &whole, &local, &domain));
    struct account_row row;
    enum err err = directory_account_get(route->d->store, whole, route->arena, &row);
    if (err == ERR_OK)
        return row.disabled ? ERR_TEMPORARY : route_add(route, RECIPIENT_LOCAL, row.id, whole);
    if (err != ERR_NOT_FOUND)
        return err;
    struct alias_row alias;
    err = directory_alias_get(route->d->store, whole, route->arena, &alias);
    if (err == ERR_OK) {
        enum err last = ERR_NOT_FOUND;
        bool any = false;
        for (uint32_t i = 0; i < alias.targets_n; i++) {
            last = route_address(route, alias.targets[i].address, depth + 1);
            if (last != ERR_OK && !is_dead_end(last))
                return last; /* accepted for the others alone, this one's mail would be lost in silence */
            any = any || last == ERR_OK;
        }
        return any ? ERR_OK : last; /* a member that is gone does not take the group with it */
    }
    if (err != ERR_NOT_FOUND)
        return err;
    struct domain_row row_of_domain;
    err = directory_domain_get(route->d->store, domain, route->arena, &row_of_domain);
    if (err == ERR_OK)
        return view_eq(local, VIEW("postmaster")) ? route_postmaster(route, domain, whole) : ERR_NOT_FOUND;
    if (err != ERR_NOT_FOUND)
        return err;
    /* Members of our own aliases may be elsewhere. */
    if ((!route->may_relay && depth == 0) || !route->d->env->config->relay)
        return ERR_DENIED;
    struct view kept; /* a foreign local part keeps its case, RFC5321-2.4 */
    TRY(arena_view(route->arena, address, &kept));
    return route_add(route, RECIPIENT_REMOTE, 0, kept);
}

enum err directory_handle_recipient(void *ctx, struct call *call, void *reply,
                                    struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply_handles;
    struct directory_peer *peer = ctx;
    struct directory *d = peer->directory;
    const struct recipient_lookup *lookup = call->request;
    struct recipient_result *result = reply;
    bool is_queue = peer->role == ROLE_QUEUE; /* reports: local senders, and remote ones back */
    bool proven = directory_session(d, peer, lookup->session) != NULL;
    if (lookup->session && !proven)
        return ERR_NOT_FOUND;
    struct route route = {.d = d, .arena = call->arena, .may_relay = is_queue || proven};
    enum err err = route_address(&route, lookup->address, 0);
    switch (err) {
    case ERR_OK:
        result->targets = route.targets;
        result->targets_n = route.n;
        return ERR_OK;
    case ERR_SYNTAX:
        *result = (struct recipient_result){
            .reply = 553, .status = VIEW("5.1.3"), .text = VIEW("The address needs a domain")};
        return ERR_OK;
    case ERR_NOT_FOUND:
        *result =
            (struct recipient_result){.reply = 550, .status = VIEW("5.1.1"), .text = VIEW("No such mailbox here")};
        return ERR_OK;
    case ERR_DENIED:
        *result = (struct recipient_result){.reply = 550, .status = VIEW("5.7.1")};
        result->text = !route.may_relay ? VIEW("We do not host that domain; log in to send there")
                                        : VIEW("Delivery to other domains is switched off on this server");
        return ERR_OK;
    case ERR_TEMPORARY:
        *result = (struct recipient_result){
            .reply = 450, .status = VIEW("4.2.1"), .text = VIEW("The mailbox is disabled; try again later")};
        return ERR_OK;
    case ERR_LIMIT:
        *result = (struct recipient_result){
            .reply = 550, .status = VIEW("5.4.6"), .text = VIEW("The address leads to itself")};
        return ERR_OK;
    case ERR_FULL:
        *result = (struct recipient_result){
            .reply = 550, .status = VIEW("5.3.4"), .text = VIEW("The address has too many members")};
        return ERR_OK;
    default:
        return err;
    }
}

enum err directory_may_send_as(struct directory *d, const struct auth_session *session, struct view address,
                               struct arena *arena) {
    if (address.n == 0)
        return ERR_OK;
    struct route route = {.d = d, .arena = arena};
    enum err err = route_address(&route, address, 0);
    for (uint32_t i = 0; err == ERR_OK && i < route.n; i++)
        if (route.targets[i].kind == RECIPIENT_LOCAL && route.targets[i].account == session->account)
            return ERR_OK;
    return err == ERR_OK || err == ERR_NOT_FOUND || err == ERR_SYNTAX || err == ERR_LIMIT || err == ERR_FULL
               ? ERR_DENIED
               : err;
}

enum err directory_handle_sender(void *ctx, struct call *call, void *reply,
                                 struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply;
    (void)reply_handles;
    struct directory_peer *peer = ctx;
    const struct sender_check *check = call->request;
    struct auth_session *session = directory_session(peer->directory, peer, check->session);
    return session ? directory_may_send_as(peer->directory, session, check->address, call->arena) : ERR_NOT_FOUND;
}

/* ---- what may leave the house ---- */

static struct directory_peer *living_edge(struct directory *d, uint32_t index) {
    for (struct directory_peer *peer = d->peers; peer; peer = peer->next)
        if (peer->role == ROLE_EDGE && peer->index == index && channel_is_open(peer->channel))
            return peer;
    return NULL;
}

/* An address that recipient_lookup gives out as remote: to the login, or as a member of an alias. ERR_DENIED if not. */
static enum err may_relay_to(struct directory *d, struct view address, bool logged_in, struct arena *arena) {
    struct route route = {.d = d, .arena = arena, .may_relay = true};
    enum err err = route_address(&route, address, 0);
    if (err == ERR_NOT_FOUND || err == ERR_SYNTAX || err == ERR_LIMIT || err == ERR_FULL || err == ERR_TEMPORARY)
        return ERR_DENIED; /* ours, or nothing: not remote in any case */
    TRY(err);
    if (route.n != 1 || route.targets[0].kind != RECIPIENT_REMOTE)
        return ERR_DENIED;
    bool is_member = logged_in;
    if (!is_member)
        TRY(directory_alias_has_target(d->store, address, &is_member));
    return is_member ? ERR_OK : ERR_DENIED;
}

enum err directory_handle_relay(void *ctx, struct call *call, void *reply,
                                struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply;
    (void)reply_handles;
    struct directory_peer *queue = ctx;
    struct directory *d = queue->directory;
    const struct relay_check *check = call->request;
    struct directory_peer *edge = living_edge(d, check->edge);
    struct auth_session *session = edge ? directory_session(d, edge, check->session) : NULL;
    enum err err = session ? directory_may_send_as(d, session, check->sender, call->arena) : ERR_OK;
    for (uint32_t i = 0; err == ERR_OK && i < check->addresses_n; i++)
        err = may_relay_to(d, check->addresses[i].address, session != NULL, call->arena);
    if (err == ERR_DENIED)
        log_event(&d->env->log, LOG_WARN, "relay.denied", LF_U64("edge", check->edge), LF_VIEW("from", check->sender),
                  LF_U64("recipients", check->addresses_n));
    return err;
}
