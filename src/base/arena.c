/*
 * Arenas: a chain of blocks that are cut from the front. Under AddressSanitizer
 * what is not handed out is poisoned, so that a use after arena_clear() or past
 * the end of an allocation is seen as it would be with malloc.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(VEREDUS_SANITIZE)
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#define ARENA_ALIGN ((size_t)16)
/* The first block is small because most commands need little; later ones double so that the chain stays short. */
#define ARENA_BLOCK_FIRST ((size_t)1024)
#define ARENA_BLOCK_LAST ((size_t)64 * 1024)

struct block {
    struct block *next; /* the one before it in time */
    size_t cap, at;
    _Alignas(16) uint8_t data[];
};

struct arena {
    const char *name;
    size_t budget, used;
    size_t next_cap; /* payload of the next ordinary block */
    struct block *blocks;
    uint8_t *last;     /* the latest allocation ... */
    size_t last_n;     /* ... its octets, */
    size_t last_spent; /* ... and what it cost of the budget */
};

struct arena *arena_new(const char *name, size_t budget) {
    struct arena *arena = calloc(1, sizeof(*arena));
    if (arena == NULL)
        return NULL;
    arena->name = name;
    arena->budget = budget;
    arena->next_cap = ARENA_BLOCK_FIRST;
    return arena;
}

static void blocks_free(struct block *block) {
    while (block != NULL) {
        struct block *next = block->next;
        UNPOISON(block->data, block->cap);
        free(block);
        block = next;
    }
}

void arena_free(struct arena *arena) {
    if (arena == NULL)
        return;
    blocks_free(arena->blocks);
    free(arena);
}

void arena_clear(struct arena *arena) {
    /* Keep the biggest ordinary block: what was needed once will be needed again; an outsized one goes back. */
    struct block *kept = NULL, *rest = NULL;
    for (struct block *block = arena->blocks, *next; block != NULL; block = next) {
        next = block->next;
        if (block->cap <= ARENA_BLOCK_LAST && (kept == NULL || block->cap > kept->cap)) {
            struct block *smaller = kept;
            kept = block;
            block = smaller;
        }
        if (block != NULL) {
            block->next = rest;
            rest = block;
        }
    }
    blocks_free(rest);
    if (kept != NULL) {
        kept->next = NULL;
        kept->at = 0;
        POISON(kept->data, kept->cap);
    }
    arena->blocks = kept;
    arena->used = 0;
    arena->last = NULL;
    arena->last_n = arena->last_spent = 0;
}

const char *arena_name(const struct arena *arena) {
    return arena->name;
}

size_t arena_used(const struct arena *arena) {
    return arena->used;
}

size_t arena_budget(const struct arena *arena) {
    return arena->budget;
}

static size_t align_up(size_t n) {
    return (n + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
}

/* A block in front of the chain with room for n octets, n > 0. */
static struct block *block_add(struct arena *arena, size_t n) {
    size_t cap = MAX(MIN(arena->next_cap, MAX(align_up(arena->budget), ARENA_ALIGN)), n);
    struct block *block = malloc(sizeof(*block) + cap);
    if (block == NULL)
        return NULL;
    block->cap = cap;
    block->at = 0;
    POISON(block->data, cap);
    block->next = arena->blocks;
    arena->blocks = block;
    if (arena->next_cap < ARENA_BLOCK_LAST)
        arena->next_cap *= 2;
    return block;
}

/* Padding counts against the budget (many tiny things are not free), but never makes the budget's last octets useless. */
static void *allocate(struct arena *arena, size_t n, size_t align) {
    if (n > arena->budget - arena->used || n > SIZE_MAX / 2)
        return NULL;
    struct block *block = arena->blocks;
    size_t at = block == NULL ? 0 : (block->at + align - 1) & ~(align - 1);
    if (block == NULL || at > block->cap || block->cap - at < n) {
        block = block_add(arena, MAX(align_up(n), ARENA_ALIGN));
        if (block == NULL)
            return NULL;
        at = 0;
    }
    size_t spent = MIN(align == 1 ? n : align_up(n), arena->budget - arena->used);
    uint8_t *p = block->data + at;
    block->at = at + n;
    arena->used += spent;
    arena->last = p;
    arena->last_n = n;
    arena->last_spent = spent;
    UNPOISON(p, n);
    memset(p, 0, n);
    return p;
}

void *arena_alloc(struct arena *arena, size_t n) {
    return allocate(arena, n, ARENA_ALIGN);
}

void *arena_array(struct arena *arena, size_t count, size_t size) {
    size_t n;
    if (__builtin_mul_overflow(count, size, &n))
        return NULL;
    return arena_alloc(arena, n);
}

void *arena_grow(struct arena *arena, void *old, size_t old_count, size_t new_count, size_t size) {
    size_t old_n, new_n;
    if (__builtin_mul_overflow(old_count, size, &old_n) || __builtin_mul_overflow(new_count, size, &new_n))
        return NULL;
    BUG_IF(new_n < old_n);
    struct block *block = arena->blocks;
    if (old != NULL && old == arena->last && old_n == arena->last_n && block != NULL) {
        size_t more = new_n - old_n;
        size_t left = arena->budget - (arena->used - arena->last_spent);
        if (new_n > left)
            return NULL;
        if (more <= block->cap - block->at) {
            UNPOISON(arena->last, new_n);
            memset(arena->last + old_n, 0, more);
            block->at += more;
            arena->used -= arena->last_spent;
            arena->last_n = new_n;
            arena->last_spent = MIN(align_up(new_n), left);
            arena->used += arena->last_spent;
            return old;
        }
    }
    uint8_t *grown = arena_alloc(arena, new_n);
    if (grown != NULL && old != NULL)
        memcpy(grown, old, old_n);
    return grown;
}

enum err arena_view(struct arena *arena, struct view v, struct view *out) {
    if (v.n > arena->budget - arena->used)
        return ERR_LIMIT;
    uint8_t *p = allocate(arena, v.n, 1);
    if (p == NULL)
        return ERR_NO_MEMORY;
    if (v.n > 0)
        memcpy(p, v.p, v.n);
    *out = view_of(p, v.n);
    return ERR_OK;
}

char *arena_cstr(struct arena *arena, struct view v) {
    if (v.n == SIZE_MAX || view_find_byte(v, 0) >= 0)
        return NULL;
    char *p = allocate(arena, v.n + 1, 1);
    if (p != NULL && v.n > 0)
        memcpy(p, v.p, v.n);
    return p;
}

enum err arena_printf(struct arena *arena, struct view *out, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        return ERR_BUG;
    /* vsnprintf writes a NUL; it is paid for and not part of the view. */
    if ((size_t)n + 1 > arena->budget - arena->used)
        return ERR_LIMIT;
    char *p = allocate(arena, (size_t)n + 1, 1);
    if (p == NULL)
        return ERR_NO_MEMORY;
    va_start(args, format);
    (void)vsnprintf(p, (size_t)n + 1, format, args);
    va_end(args);
    *out = view_of(p, (size_t)n);
    return ERR_OK;
}
