/* Growable arrays of equal elements. */
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

#define VEC_CAP_FIRST ((size_t)8)

void vec_fini(struct vec *vec) {
    free(vec->p);
    vec->p = NULL;
    vec->n = vec->cap = 0;
}

void vec_clear(struct vec *vec) {
    vec->n = 0;
}

static bool make_room(struct vec *vec) {
    if (vec->n >= vec->limit)
        return false;
    if (vec->n < vec->cap)
        return true;
    size_t cap = vec->cap > vec->limit / 2 ? vec->limit : vec->cap * 2;
    cap = MIN(MAX(cap, VEC_CAP_FIRST), vec->limit);
    void *p = reallocarray(vec->p, cap, vec->size);
    if (p == NULL)
        return false;
    vec->p = p;
    vec->cap = cap;
    return true;
}

void *vec_add(struct vec *vec) {
    return vec_insert(vec, vec->n);
}

void *vec_insert(struct vec *vec, size_t index) {
    BUG_IF(index > vec->n);
    if (!make_room(vec))
        return NULL;
    uint8_t *at = (uint8_t *)vec->p + index * vec->size;
    memmove(at + vec->size, at, (vec->n - index) * vec->size);
    memset(at, 0, vec->size);
    vec->n++;
    return at;
}

void vec_remove(struct vec *vec, size_t index, size_t count) {
    BUG_IF(index > vec->n || count > vec->n - index);
    if (count == 0)
        return;
    uint8_t *at = (uint8_t *)vec->p + index * vec->size;
    memmove(at, at + count * vec->size, (vec->n - index - count) * vec->size);
    vec->n -= count;
}
