/*
 * Two streams in memory. Each direction is a ring of octets and a queue of
 * pieces that say when octets arrive (at once, unless the simulated network
 * delays them).
 */
#include "loop/stream_pair.h"

#include <stdlib.h>
#include <string.h>

#define PIECES_FIRST 8

struct piece {
    size_t n;
    int64_t at_us; /* when they can be read */
};

/* One direction. */
struct lane {
    uint8_t *p; /* made at the first write: most simulated connections use one direction little */
    size_t at, n;
    struct piece *pieces; /* a ring as well: cap is a power of two */
    size_t piece_at, piece_n, piece_cap;
    int64_t last_us; /* arrival of the newest octet, and of the end */
    bool is_ended;   /* the writer said goodbye, or is freed */
    bool is_interrupted;
    struct waitq readers, writers;
};

struct pair;
struct pair_end {
    struct stream stream;
    struct pair *pair;
    struct lane *in, *out;
    bool is_freed;
};
struct pair {
    size_t capacity;
    struct pair_hooks *hooks;
    bool is_broken;
    struct lane lanes[2];
    struct pair_end ends[2];
};

static struct pair_end *end_of(struct stream *stream) {
    return (struct pair_end *)stream;
}

static struct pair_end *other_end(struct pair_end *end) {
    return end == &end->pair->ends[0] ? &end->pair->ends[1] : &end->pair->ends[0];
}

static struct piece *piece_at(struct lane *lane, size_t i) {
    return &lane->pieces[(lane->piece_at + i) & (lane->piece_cap - 1)];
}

static enum err add_piece(struct lane *lane, size_t n, int64_t at_us) {
    if (lane->piece_n > 0 && piece_at(lane, lane->piece_n - 1)->at_us == at_us) {
        piece_at(lane, lane->piece_n - 1)->n += n;
        return ERR_OK;
    }
    if (lane->piece_n == lane->piece_cap) {
        size_t cap = lane->piece_cap == 0 ? PIECES_FIRST : lane->piece_cap * 2;
        struct piece *pieces = malloc(cap * sizeof(*pieces));
        if (pieces == NULL)
            return ERR_NO_MEMORY;
        for (size_t i = 0; i < lane->piece_n; i++)
            pieces[i] = *piece_at(lane, i);
        free(lane->pieces);
        lane->pieces = pieces;
        lane->piece_cap = cap;
        lane->piece_at = 0;
    }
    *piece_at(lane, lane->piece_n++) = (struct piece){n, at_us};
    return ERR_OK;
}

/* Takes up to cap of the octets that have arrived. */
static size_t take(struct lane *lane, size_t capacity, uint8_t *p, size_t cap, int64_t now_us) {
    size_t got = 0;
    while (got < cap && lane->piece_n > 0 && piece_at(lane, 0)->at_us <= now_us) {
        struct piece *piece = piece_at(lane, 0);
        size_t n = MIN(MIN(piece->n, cap - got), capacity - lane->at);
        memcpy(p + got, lane->p + lane->at, n);
        lane->at = (lane->at + n) % capacity;
        lane->n -= n;
        got += n;
        piece->n -= n;
        if (piece->n == 0) {
            lane->piece_at = (lane->piece_at + 1) & (lane->piece_cap - 1);
            lane->piece_n--;
        }
    }
    return got;
}

static int64_t arrival_us(struct pair *pair, struct lane *lane) {
    int64_t at_us = loop_now_us(pair->ends[0].stream.loop);
    if (pair->hooks != NULL && pair->hooks->delay_us != NULL)
        at_us += pair->hooks->delay_us(pair->hooks);
    lane->last_us = MAX(at_us, lane->last_us);
    return lane->last_us;
}

static enum err pair_read(struct stream *stream, void *p, size_t cap, int64_t deadline_us, size_t *got) {
    struct pair_end *end = end_of(stream);
    struct lane *lane = end->in;
    TRY(co_breathe());
    for (;;) {
        if (end->pair->is_broken)
            return ERR_CLOSED;
        int64_t now_us = loop_now_us(stream->loop);
        size_t n = take(lane, end->pair->capacity, p, cap, now_us);
        if (n > 0) {
            waitq_wake_one(&lane->writers);
            *got = n;
            return ERR_OK;
        }
        if (lane->is_ended && lane->n == 0 && lane->last_us <= now_us)
            return ERR_CLOSED;
        if (lane->is_interrupted) {
            lane->is_interrupted = false;
            return ERR_AGAIN;
        }
        /* The next octets, or the end, arrive by themselves at a known time. */
        int64_t arrives_us = lane->piece_n > 0 ? piece_at(lane, 0)->at_us : lane->is_ended ? lane->last_us : US_NEVER;
        enum err err = waitq_wait(&lane->readers, MIN(deadline_us, arrives_us));
        if (err == ERR_TIMEOUT && arrives_us <= deadline_us && arrives_us <= loop_now_us(stream->loop))
            continue;
        TRY(err);
    }
}

static enum err pair_write(struct stream *stream, struct view v, int64_t deadline_us) {
    struct pair_end *end = end_of(stream);
    struct pair *pair = end->pair;
    struct lane *lane = end->out;
    TRY(co_breathe());
    size_t cut = v.n;
    if (pair->hooks != NULL && pair->hooks->cut != NULL)
        cut = pair->hooks->cut(pair->hooks, v.n);
    if (lane->p == NULL && (lane->p = malloc(pair->capacity)) == NULL)
        return ERR_NO_MEMORY;
    bool is_cut = cut < v.n;
    v = view_sub(v, 0, cut);
    while (v.n > 0) {
        if (pair->is_broken || lane->is_ended || other_end(end)->is_freed)
            return ERR_CLOSED;
        size_t n = MIN(v.n, pair->capacity - lane->n);
        if (n == 0) {
            TRY(waitq_wait(&lane->writers, deadline_us));
            continue;
        }
        TRY(add_piece(lane, n, arrival_us(pair, lane)));
        size_t to = (lane->at + lane->n) % pair->capacity, head = MIN(n, pair->capacity - to);
        memcpy(lane->p + to, v.p, head);
        memcpy(lane->p, v.p + head, n - head);
        lane->n += n;
        v = view_skip(v, n);
        waitq_wake_one(&lane->readers);
    }
    if (is_cut)
        stream_pair_break(stream);
    if (pair->is_broken || lane->is_ended || other_end(end)->is_freed)
        return ERR_CLOSED;
    return ERR_OK;
}

static void pair_interrupt(struct stream *stream) {
    struct lane *lane = end_of(stream)->in;
    lane->is_interrupted = true;
    waitq_wake_all(&lane->readers);
}

static void pair_shutdown(struct stream *stream) {
    struct pair_end *end = end_of(stream);
    if (end->out->is_ended)
        return;
    (void)arrival_us(end->pair, end->out);
    end->out->is_ended = true;
    waitq_wake_all(&end->out->readers);
    waitq_wake_all(&end->out->writers);
}

void stream_pair_break(struct stream *stream) {
    struct pair *pair = end_of(stream)->pair;
    pair->is_broken = true;
    for (size_t i = 0; i < 2; i++) {
        waitq_wake_all(&pair->lanes[i].readers);
        waitq_wake_all(&pair->lanes[i].writers);
    }
}

static int pair_take_fd(struct stream *stream) {
    (void)stream;
    return -1;
}

static void pair_free(struct stream *stream) {
    struct pair_end *end = end_of(stream);
    struct pair *pair = end->pair;
    BUG_IF(end->is_freed || end->in->readers.first != NULL || end->out->writers.first != NULL);
    pair_shutdown(stream);
    end->is_freed = true;
    waitq_wake_all(&end->in->writers); /* nobody will read that any more */
    if (!other_end(end)->is_freed)
        return;
    if (pair->hooks != NULL && pair->hooks->gone != NULL)
        pair->hooks->gone(pair->hooks);
    for (size_t i = 0; i < 2; i++) {
        free(pair->lanes[i].p);
        free(pair->lanes[i].pieces);
    }
    free(pair);
}

static const struct stream_ops pair_ops = {
    .read = pair_read,
    .write = pair_write,
    .interrupt = pair_interrupt,
    .shutdown = pair_shutdown,
    .take_fd = pair_take_fd,
    .free = pair_free,
};

enum err stream_new_pair_hooked(struct loop *loop, size_t capacity, struct pair_hooks *hooks, struct stream **a,
                                struct stream **b) {
    BUG_IF(capacity == 0);
    struct pair *pair = calloc(1, sizeof(*pair));
    if (pair == NULL)
        return ERR_NO_MEMORY;
    pair->capacity = capacity;
    pair->hooks = hooks;
    for (size_t i = 0; i < 2; i++)
        pair->ends[i] = (struct pair_end){.stream = {.ops = &pair_ops, .loop = loop},
                                          .pair = pair,
                                          .in = &pair->lanes[i],
                                          .out = &pair->lanes[1 - i]};
    *a = &pair->ends[0].stream;
    *b = &pair->ends[1].stream;
    return ERR_OK;
}

enum err stream_new_pair(struct loop *loop, size_t capacity, struct stream **a, struct stream **b) {
    return stream_new_pair_hooked(loop, capacity, NULL, a, b);
}
