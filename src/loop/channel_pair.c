/*
 * The transport within one process, for simulation and tests: packets wait in
 * the sender's queue and are parsed by the receiver in a later turn; handles
 * are passed as objects. Each end refers to the other until both know that it
 * is over. The tap sees each packet when it is queued, and may delay it (those
 * behind it wait too, so the order stays) or cut the channel.
 */
#include "loop/channel_internal.h"
#include "loop/loop_internal.h"

void loop_set_channel_tap(struct loop *loop, struct channel_tap *tap) {
    loop_put_tap(loop, tap);
}

static enum err pair_pack(struct outgoing *out) {
    for (size_t i = 0; i < out->handles_n; i++) {
        /* As over a socket: a channel in use stays where it is. */
        if (out->handles[i].kind == HANDLE_CHANNEL && out->handles[i].channel->is_started)
            return ERR_PERMANENT;
    }
    return ERR_OK;
}

static void drop_leaving(struct channel *c) {
    for (struct outgoing *out; (out = c->leaving) != NULL;) {
        c->leaving = out->next;
        outgoing_free(out);
    }
}

/* This end has nothing more to tell the other. */
static void unlink_peer(struct channel *c) {
    struct channel *peer = c->peer;
    drop_leaving(c);
    timer_disarm(c->kick);
    c->peer = NULL;
    if (peer != NULL)
        channel_unref(peer);
}

static void kick(struct channel *c) {
    if (c->peer != NULL)
        timer_arm(c->kick, loop_now_us(c->loop));
}

static void pair_flush(struct channel *c) {
    struct outgoing *out = c->out_last;
    struct channel_tap *tap = loop_get_tap(c->loop);
    int64_t delay_us = 0;
    if (tap != NULL && !c->is_cut && !tap->packet(tap, c->name, out->code, out->kind == PACKET_REPLY, &delay_us))
        c->is_cut = true;
    int64_t due_us = loop_now_us(c->loop) + MAX(delay_us, 0);
    out->due_us = c->last_due_us = MAX(due_us, c->last_due_us);
    if (c->out_first == out || c->is_cut)
        timer_arm(c->kick, c->is_cut ? loop_now_us(c->loop) : out->due_us);
}

static struct outgoing *first_of(struct channel *c) {
    return c->is_severed ? c->leaving : c->out_first;
}

static void hand_over(struct channel *peer, struct outgoing *out) {
    struct packet packet;
    if (packet_parse(buf_view(&out->octets), &packet) == ERR_OK)
        channel_receive(peer, &packet, out->handles);
    else
        channel_sever(peer, ERR_SYNTAX);
    outgoing_free(out);
}

/* Hands over what is due; false when something is left for another turn. */
static bool deliver_due(struct channel *c, struct channel *peer) {
    int left = CHANNEL_READ_BATCH;
    for (struct outgoing *out; (out = first_of(c)) != NULL;) {
        if (peer->is_severed)
            return true;
        if (!peer->is_started || peer->is_paused)
            return false; /* its start or resume kicks us */
        int64_t now_us = loop_now_us(c->loop);
        if (out->due_us > now_us || left-- == 0) {
            timer_arm(c->kick, MAX(out->due_us, now_us));
            return false;
        }
        if (c->is_severed)
            c->leaving = out->next;
        else
            (void)channel_dequeue(c);
        hand_over(peer, out);
    }
    return true;
}

static void deliver(void *ctx) {
    struct channel *c = ctx, *peer = c->peer;
    if (peer == NULL)
        return;
    channel_ref(c);
    channel_ref(peer);
    if (c->is_cut) {
        channel_sever(peer, ERR_CLOSED);
        channel_sever(c, ERR_CLOSED);
    } else if (deliver_due(c, peer) && c->peer != NULL) {
        if (c->is_severed && peer->is_started)
            channel_sever(peer, ERR_CLOSED);
        if (c->is_severed && c->peer != NULL && (peer->is_started || peer->is_severed))
            unlink_peer(c);
    }
    if (!c->is_severed)
        serve_pump(c); /* the replies that left may let others start */
    channel_unref(peer);
    channel_unref(c);
}

static enum err pair_start(struct channel *c) {
    if (c->peer != NULL)
        kick(c->peer);
    return ERR_OK;
}

static void pair_resume(struct channel *c) {
    if (c->peer != NULL)
        kick(c->peer);
}

static void pair_sever(struct channel *c) {
    struct channel *peer = c->peer;
    if (peer == NULL)
        return;
    if (peer->is_severed) { /* both know */
        if (peer->peer == c)
            unlink_peer(peer);
        unlink_peer(c); /* last: it may be what kept the peer */
        return;
    }
    if (c->is_freed && !c->is_cut) {
        c->leaving = c->out_first;
        c->out_first = c->out_last = NULL;
        c->out_n = c->out_bytes = c->replies_n = c->replies_bytes = 0;
    }
    kick(c);
}

static int pair_take_fd(struct channel *c) {
    (void)c;
    return -1;
}

static void pair_destroy(struct channel *c) {
    drop_leaving(c);
    timer_free(c->kick);
}

const struct transport channel_transport_pair = {
    .start = pair_start,
    .pack = pair_pack,
    .flush = pair_flush,
    .resume = pair_resume,
    .sever = pair_sever,
    .take_fd = pair_take_fd,
    .destroy = pair_destroy,
    .may_take_back = false, /* the queue is the wire */
};

static enum err make_end(struct loop *loop, struct channel **out) {
    struct channel *c;
    TRY(channel_make(loop, &channel_transport_pair, &c));
    c->kick = timer_new(loop, deliver, c);
    if (c->kick == NULL) {
        channel_unref(c);
        return ERR_NO_MEMORY;
    }
    *out = c;
    return ERR_OK;
}

enum err channel_new_pair(struct loop *loop, struct channel **a, struct channel **b) {
    struct channel *first, *second;
    TRY(make_end(loop, &first));
    enum err err = make_end(loop, &second);
    if (err != ERR_OK) {
        channel_unref(first);
        return err;
    }
    first->peer = second;
    second->peer = first;
    channel_ref(first);
    channel_ref(second);
    *a = first;
    *b = second;
    return ERR_OK;
}
