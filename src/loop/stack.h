/*
 * Stacks and the switch between them, internal to loop/.
 *
 * A stack is CO_STACK_SIZE of address space (four times that under
 * AddressSanitizer, whose frames are larger) with a guard page at its low end.
 * Only touched pages cost memory. The sanitizers and valgrind are told of each
 * stack and of each switch.
 */
#ifndef LOOP_STACK_H
#define LOOP_STACK_H

#include "base/view.h"

#define STACKS_KEPT 256 /* free stacks kept mapped, their pages given back */
#define STACKS_WARM 16  /* of these, how many keep their pages: a short-lived coroutine then costs no page fault */

struct stack;
struct stack_pool {
    struct stack *first;
    size_t n;
};
void stack_pool_fini(struct stack_pool *pool);

/* NULL without memory. entry(arg) runs at the first stack_enter() and must end with stack_leave_forever(). */
struct stack *stack_get(struct stack_pool *pool, void (*entry)(void *arg), void *arg);
/* Gives back a stack that is not running any more. */
void stack_put(struct stack_pool *pool, struct stack *stack);
/* From the main stack into this one, until it leaves. */
void stack_enter(struct stack *stack);
/* From this stack to the main stack, until it is entered again. */
void stack_leave(struct stack *stack);
_Noreturn void stack_leave_forever(struct stack *stack);
/* Gives back the pages that a suspended stack touched and does not use. */
void stack_trim(struct stack *stack);
/* What code may use of it, for tests. */
struct view stack_memory(const struct stack *stack);

#endif
