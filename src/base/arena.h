/*
 * An arena: memory for one connection, one command or one message, given back
 * in one call. Each has a name and a budget; going over the budget is an
 * ordinary error (NULL), never an abort. Memory comes zeroed and aligned to 16.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/view.h"

struct arena;

/* budget: octets of payload it may hand out at most. NULL when there is no memory. The name is kept by pointer. */
struct arena *arena_new(const char *name, size_t budget);
/* Frees everything; NULL is fine. */
void arena_free(struct arena *arena);
/* Makes all memory handed out invalid and keeps one block for reuse. */
void arena_clear(struct arena *arena);
const char *arena_name(const struct arena *arena);
size_t arena_used(const struct arena *arena);
size_t arena_budget(const struct arena *arena);

/* n octets, zeroed; NULL over budget or without memory. n = 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t n) __attribute__((malloc));
/* count * size with overflow check. */
void *arena_array(struct arena *arena, size_t count, size_t size);
/* Grows an array made by arena_array from old_count to new_count (copies unless it is the last allocation). */
void *arena_grow(struct arena *arena, void *old, size_t old_count, size_t new_count, size_t size);
#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, count, type) ((type *)arena_array((arena), (count), sizeof(type)))

/* A copy that lives in the arena. ERR_LIMIT over budget. */
enum err arena_view(struct arena *arena, struct view v, struct view *out) MUST_CHECK;
/* A NUL-terminated copy for libc and libraries; NULL over budget or when v contains NUL. */
char *arena_cstr(struct arena *arena, struct view v);
/* Formats our own text into the arena. */
enum err arena_printf(struct arena *arena, struct view *out, const char *format, ...) MUST_CHECK
    __attribute__((format(printf, 3, 4)));

#endif
