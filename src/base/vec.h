/*
 * A growable array of equal elements with a limit. Use: struct vec v =
 * VEC_OF(struct thing, 1000); struct thing *t = vec_add(&v); ...
 */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include "base/view.h"

struct vec {
    void *p;
    size_t n, cap;
    size_t size;  /* octets an element */
    size_t limit; /* elements at most */
};

#define VEC_OF(type, max) ((struct vec){NULL, 0, 0, sizeof(type), (max)})
void vec_fini(struct vec *vec);
void vec_clear(struct vec *vec);
/* A new zeroed element at the end; NULL over the limit or without memory. Valid until the next add/insert/remove. */
void *vec_add(struct vec *vec);
void *vec_insert(struct vec *vec, size_t index);
void vec_remove(struct vec *vec, size_t index, size_t count);
static inline void *vec_at(const struct vec *vec, size_t index) {
    BUG_IF(index >= vec->n);
    return (uint8_t *)vec->p + index * vec->size;
}
#define VEC_AT(vec, type, index) ((type *)vec_at((vec), (index)))
#define VEC_EACH(vec, type, it) \
    for (type *it = (vec)->p, *it##_end = (vec)->n == 0 ? it : it + (vec)->n; it != it##_end; it++)

#endif
