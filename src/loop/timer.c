/* Timers: a binary heap ordered by time, then by the order of arming. */
#include "loop/loop_internal.h"

#include <stdlib.h>

#define TIMERS_FIRST 64

struct timer {
    struct timer_node node; /* first: fire() gets it back from the node */
    struct loop *loop;
    void (*fire)(void *ctx);
    void *ctx;
};

static bool is_before(const struct timer_node *a, const struct timer_node *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void put_at(struct timer_heap *heap, size_t i, struct timer_node *node) {
    heap->p[i] = node;
    node->index = i + 1;
}

static void sift_up(struct timer_heap *heap, size_t i, struct timer_node *node) {
    while (i > 0 && is_before(node, heap->p[(i - 1) / 2])) {
        put_at(heap, i, heap->p[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put_at(heap, i, node);
}

static void sift_down(struct timer_heap *heap, size_t i, struct timer_node *node) {
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= heap->n)
            break;
        if (child + 1 < heap->n && is_before(heap->p[child + 1], heap->p[child]))
            child++;
        if (!is_before(heap->p[child], node))
            break;
        put_at(heap, i, heap->p[child]);
        i = child;
    }
    put_at(heap, i, node);
}

enum err timer_heap_reserve(struct timer_heap *heap) {
    if (heap->nodes == heap->cap) {
        size_t cap = heap->cap == 0 ? TIMERS_FIRST : heap->cap * 2;
        struct timer_node **p = realloc(heap->p, cap * sizeof(struct timer_node *));
        if (p == NULL)
            return ERR_NO_MEMORY;
        heap->p = p;
        heap->cap = cap;
    }
    heap->nodes++;
    return ERR_OK;
}

void timer_heap_forget(struct timer_heap *heap) {
    BUG_IF(heap->nodes == 0);
    heap->nodes--;
}

void timer_heap_disarm(struct timer_heap *heap, struct timer_node *node) {
    if (node->index == 0)
        return;
    size_t i = node->index - 1;
    node->index = 0;
    struct timer_node *last = heap->p[--heap->n];
    if (last == node)
        return;
    if (i > 0 && is_before(last, heap->p[(i - 1) / 2]))
        sift_up(heap, i, last);
    else
        sift_down(heap, i, last);
}

void timer_heap_arm(struct timer_heap *heap, struct timer_node *node, int64_t at_us) {
    timer_heap_disarm(heap, node);
    if (at_us == US_NEVER)
        return;
    BUG_IF(heap->n >= heap->nodes);
    node->at_us = at_us;
    node->seq = heap->seq++;
    sift_up(heap, heap->n++, node);
}

void timer_heap_fini(struct timer_heap *heap) {
    free(heap->p);
    *heap = (struct timer_heap){0};
}

/* ---- the public ones ---- */

static void fire(struct timer_node *node) {
    struct timer *timer = (struct timer *)node;
    timer->fire(timer->ctx);
}

struct timer *timer_new(struct loop *loop, void (*fire_fn)(void *ctx), void *ctx) {
    struct timer *timer = malloc(sizeof(*timer));
    if (timer == NULL)
        return NULL;
    if (timer_heap_reserve(&loop->timers) != ERR_OK) {
        free(timer);
        return NULL;
    }
    *timer = (struct timer){{.fire = fire}, loop, fire_fn, ctx};
    return timer;
}

void timer_arm(struct timer *timer, int64_t at_us) {
    /* One that is armed for the past again and again comes after all others that are due. */
    timer_heap_arm(&timer->loop->timers, &timer->node, MAX(at_us, loop_now_us(timer->loop)));
}

void timer_disarm(struct timer *timer) {
    timer_heap_disarm(&timer->loop->timers, &timer->node);
}

void timer_free(struct timer *timer) {
    if (timer == NULL)
        return;
    timer_disarm(timer);
    timer_heap_forget(&timer->loop->timers);
    free(timer);
}
