/*
 * Stacks and the switch between them.
 *
 * This file is built without FORTIFY, whose checks know one stack only, and
 * without shadow stacks (see CMakeLists.txt): the switch returns to where
 * another stack called from, which is what a shadow stack exists to refuse. The
 * linker sees the missing mark of this object and the program does not ask for
 * them; indirect branch tracking stays on.
 */
#include "loop/stack.h"

#include "loop/loop.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define STACK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STACK_ASAN 1
#endif
#endif
#ifndef STACK_ASAN
#define STACK_ASAN 0
#endif
#if STACK_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) 0
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif

#if !defined(STACK_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define STACK_UCONTEXT 1
#endif
#ifdef STACK_UCONTEXT
#include <ucontext.h>
#endif

#define STACK_BYTES ((size_t)CO_STACK_SIZE * (STACK_ASAN ? 4 : 1))
/* The ABI of x86-64 lets a function use this much below its stack pointer. */
#define RED_ZONE 128
#define WARM_PAGES 4 /* what a warm stack keeps */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13: a guard page without a mapping of its own */
#endif

struct stack {
    struct stack *next; /* in the pool */
    uint8_t *low;       /* the mapping: guard page first */
    uint8_t *base;      /* above the guard page */
    size_t mapped;
    void (*entry)(void *arg);
    void *arg;
    unsigned valgrind_id;
#ifdef STACK_UCONTEXT
    ucontext_t self, main;
#else
    void *self_sp, *main_sp;
#endif
    /* For AddressSanitizer: the main stack, learned at the first switch away from it, and both fake stacks. */
    const void *main_low;
    size_t main_size;
    void *self_fake, *main_fake;
};

struct view stack_memory(const struct stack *stack) {
    return view_of(stack->base, STACK_BYTES);
}

static size_t page_size(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- the switch ---- */

#ifdef STACK_UCONTEXT

/* makecontext() passes ints; a pointer goes as two. */
static void start(unsigned high, unsigned low);

static void prepare(struct stack *stack) {
    uintptr_t p = (uintptr_t)stack;
    BUG_IF(getcontext(&stack->self) != 0);
    stack->self.uc_stack.ss_sp = stack->base;
    stack->self.uc_stack.ss_size = STACK_BYTES;
    stack->self.uc_link = NULL;
    makecontext(&stack->self, (void (*)(void))start, 2, (unsigned)((uint64_t)p >> 32), (unsigned)p);
}

static void switch_in(struct stack *stack) {
    BUG_IF(swapcontext(&stack->main, &stack->self) != 0);
}

static void switch_out(struct stack *stack) {
    BUG_IF(swapcontext(&stack->self, &stack->main) != 0);
}

#else

/* Saves what a function must preserve below its stack pointer, the pointer in *save, and continues at load. */
void veredus_stack_switch(void **save, void *load);
/* Where a new stack begins: calls the function of one register with the pointer of another. */
void veredus_stack_start(void);

#if defined(__x86_64__)

__asm__(".text\n"
        ".p2align 4\n"
        ".globl veredus_stack_switch\n"
        ".hidden veredus_stack_switch\n"
        ".type veredus_stack_switch, @function\n"
        "veredus_stack_switch:\n"
        ".cfi_startproc\n"
        "    endbr64\n"
        "    pushq %rbp\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset rbp, 0\n"
        "    pushq %rbx\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset rbx, 0\n"
        "    pushq %r12\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset r12, 0\n"
        "    pushq %r13\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset r13, 0\n"
        "    pushq %r14\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset r14, 0\n"
        "    pushq %r15\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset r15, 0\n"
        "    subq $8, %rsp\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    addq $8, %rsp\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    popq %r15\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore r15\n"
        "    popq %r14\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore r14\n"
        "    popq %r13\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore r13\n"
        "    popq %r12\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore r12\n"
        "    popq %rbx\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore rbx\n"
        "    popq %rbp\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore rbp\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size veredus_stack_switch, .-veredus_stack_switch\n"
        ".p2align 4\n"
        ".globl veredus_stack_start\n"
        ".hidden veredus_stack_start\n"
        ".type veredus_stack_start, @function\n"
        "veredus_stack_start:\n"
        ".cfi_startproc\n"
        ".cfi_undefined rip\n" /* a backtrace ends here */
        "    endbr64\n"
        "    movq %r12, %rdi\n"
        "    callq *%r13\n"
        "    ud2\n"
        ".cfi_endproc\n"
        ".size veredus_stack_start, .-veredus_stack_start\n");

/* In the order in which veredus_stack_switch takes them from the new stack. */
struct frame {
    uint32_t mxcsr;
    uint16_t x87_control, pad;
    void *r15, *r14;
    void (*r13)(void *);
    void *r12, *rbx, *rbp;
    void (*ret)(void);
};

static void fill_frame(struct frame *frame, void (*entry)(void *), void *arg) {
    *frame = (struct frame){.r13 = entry, .r12 = arg, .ret = veredus_stack_start};
    __asm__("stmxcsr %0" : "=m"(frame->mxcsr));
    __asm__("fnstcw %0" : "=m"(frame->x87_control));
}

#elif defined(__aarch64__)

__asm__(".text\n"
        ".p2align 4\n"
        ".globl veredus_stack_switch\n"
        ".hidden veredus_stack_switch\n"
        ".type veredus_stack_switch, %function\n"
        "veredus_stack_switch:\n"
        "    hint #34\n" /* bti c */
        "    sub sp, sp, #176\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mrs x9, fpcr\n"
        "    str x9, [sp, #160]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldr x9, [sp, #160]\n"
        "    msr fpcr, x9\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #176\n"
        "    ret\n"
        ".size veredus_stack_switch, .-veredus_stack_switch\n"
        ".p2align 4\n"
        ".globl veredus_stack_start\n"
        ".hidden veredus_stack_start\n"
        ".type veredus_stack_start, %function\n"
        "veredus_stack_start:\n"
        "    hint #36\n" /* bti j */
        "    mov x0, x19\n"
        "    blr x20\n"
        "    brk #1\n"
        ".size veredus_stack_start, .-veredus_stack_start\n");

struct frame {
    void *x19;
    void (*x20)(void *);
    void *x21_x29[9];
    void (*x30)(void);
    uint64_t d8_d15[8];
    uint64_t fpcr, pad;
};

static void fill_frame(struct frame *frame, void (*entry)(void *), void *arg) {
    *frame = (struct frame){.x19 = arg, .x20 = entry, .x30 = veredus_stack_start};
    __asm__("mrs %0, fpcr" : "=r"(frame->fpcr));
}

#endif

static void start(void *arg);

static void prepare(struct stack *stack) {
    uint8_t *high = stack->low + stack->mapped;
    struct frame *frame = (struct frame *)(void *)(high - sizeof(struct frame));
    /* Both ABIs want a multiple of 16 at the call, which veredus_stack_start makes at `high`. */
    BUG_IF((uintptr_t)high % 16 != 0);
    fill_frame(frame, start, stack);
    stack->self_sp = frame;
}

static void switch_in(struct stack *stack) {
    veredus_stack_switch(&stack->main_sp, stack->self_sp);
}

static void switch_out(struct stack *stack) {
    veredus_stack_switch(&stack->self_sp, stack->main_sp);
}

#endif

/* ---- the sanitizer's view of a switch ---- */

static void begin_switch(void **fake, const void *low, size_t size) {
#if STACK_ASAN
    __sanitizer_start_switch_fiber(fake, low, size);
#else
    (void)fake;
    (void)low;
    (void)size;
#endif
}

static void end_switch(void *fake, const void **low_before, size_t *size_before) {
#if STACK_ASAN
    __sanitizer_finish_switch_fiber(fake, low_before, size_before);
#else
    (void)fake;
    (void)low_before;
    (void)size_before;
#endif
}

static void run_entry(struct stack *stack) {
    end_switch(NULL, &stack->main_low, &stack->main_size);
    stack->entry(stack->arg);
    BUG("a coroutine's entry returned");
}

#ifdef STACK_UCONTEXT
static void start(unsigned high, unsigned low) {
    run_entry((struct stack *)(uintptr_t)((uint64_t)high << 32 | low));
}
#else
static void start(void *arg) {
    run_entry(arg);
}
#endif

void stack_enter(struct stack *stack) {
    begin_switch(&stack->main_fake, stack->base, STACK_BYTES);
    switch_in(stack);
    end_switch(stack->main_fake, NULL, NULL);
}

void stack_leave(struct stack *stack) {
    begin_switch(&stack->self_fake, stack->main_low, stack->main_size);
    switch_out(stack);
    end_switch(stack->self_fake, &stack->main_low, &stack->main_size);
}

void stack_leave_forever(struct stack *stack) {
    begin_switch(NULL, stack->main_low, stack->main_size);
    switch_out(stack);
    BUG("an ended coroutine was entered");
}

/* ---- memory ---- */

static void unmap(struct stack *stack) {
    VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
#if STACK_ASAN
    __lsan_unregister_root_region(stack->base, STACK_BYTES);
    __asan_unpoison_memory_region(stack->low, stack->mapped);
#endif
    munmap(stack->low, stack->mapped);
    free(stack);
}

static struct stack *map(void) {
    struct stack *stack = calloc(1, sizeof(*stack));
    if (stack == NULL)
        return NULL;
    size_t page = page_size();
    stack->mapped = STACK_BYTES + page;
    void *p = mmap(NULL, stack->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK,
                   -1, 0);
    if (p == MAP_FAILED) {
        free(stack);
        return NULL;
    }
    stack->low = p;
    stack->base = stack->low + page;
    /* Neighbours become one mapping, in which the kernel might put huge pages under stacks that use 4 KiB. */
    (void)madvise(p, stack->mapped, MADV_NOHUGEPAGE);
    /* The old way makes two mappings of each stack, and a process may have 65,530. */
    if (madvise(p, page, MADV_GUARD_INSTALL) != 0 && mprotect(p, page, PROT_NONE) != 0) {
        munmap(p, stack->mapped);
        free(stack);
        return NULL;
    }
    stack->valgrind_id = (unsigned)VALGRIND_STACK_REGISTER(stack->base, stack->low + stack->mapped);
#if STACK_ASAN
    /* What only a suspended coroutine points to is not leaked. */
    __lsan_register_root_region(stack->base, STACK_BYTES);
#endif
    return stack;
}

struct stack *stack_get(struct stack_pool *pool, void (*entry)(void *arg), void *arg) {
    struct stack *stack = pool->first;
    if (stack != NULL) {
        pool->first = stack->next;
        pool->n--;
    } else {
        stack = map();
        if (stack == NULL)
            return NULL;
    }
    stack->entry = entry;
    stack->arg = arg;
    stack->self_fake = NULL;
    prepare(stack);
    return stack;
}

void stack_put(struct stack_pool *pool, struct stack *stack) {
    /* Under AddressSanitizer each stack is used once, so that old pointers into it are found. */
    if (STACK_ASAN || pool->n >= STACKS_KEPT) {
        unmap(stack);
        return;
    }
    size_t page = page_size();
    if (pool->n >= STACKS_WARM)
        (void)madvise(stack->base, STACK_BYTES, MADV_DONTNEED);
    else if (STACK_BYTES > WARM_PAGES * page) /* a deep one comes back as a shallow one */
        (void)madvise(stack->base, STACK_BYTES - WARM_PAGES * page, MADV_DONTNEED);
    stack->next = pool->first;
    pool->first = stack;
    pool->n++;
}

void stack_pool_fini(struct stack_pool *pool) {
    while (pool->first != NULL) {
        struct stack *stack = pool->first;
        pool->first = stack->next;
        unmap(stack);
    }
    pool->n = 0;
}

void stack_trim(struct stack *stack) {
#ifdef STACK_UCONTEXT
    (void)stack; /* where its stack pointer is, only the C library knows */
#else
    uintptr_t low = (uintptr_t)stack->base;
    uintptr_t used = ((uintptr_t)stack->self_sp - RED_ZONE) & ~(uintptr_t)(page_size() - 1);
    if (used > low)
        (void)madvise((void *)low, used - low, MADV_DONTNEED);
#endif
}
