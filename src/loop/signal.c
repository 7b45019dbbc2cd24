/* Signals as events of the loop. */
#include "loop/signal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct signals {
    int fd;
    struct watch *watch;
    sigset_t before;
    void (*received)(void *ctx, int number);
    void *ctx;
};

static void ready(void *ctx) {
    struct signals *signals = ctx;
    struct signalfd_siginfo info;
    while (read(signals->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        signals->received(signals->ctx, (int)info.ssi_signo);
}

enum err signals_new(struct loop *loop, const sigset_t *mask, void (*received)(void *ctx, int number), void *ctx,
                     struct signals **out) {
    struct signals *signals = calloc(1, sizeof(*signals));
    if (signals == NULL)
        return ERR_NO_MEMORY;
    signals->received = received;
    signals->ctx = ctx;
    /* Blocked first: one that comes in between waits for the descriptor. */
    if (sigprocmask(SIG_BLOCK, mask, &signals->before) != 0) {
        free(signals);
        return err_from_errno(errno);
    }
    signals->fd = signalfd(-1, mask, SFD_NONBLOCK | SFD_CLOEXEC);
    enum err err = signals->fd < 0 ? err_from_errno(errno) : watch_new(loop, signals->fd, &signals->watch);
    if (err != ERR_OK) {
        if (signals->fd >= 0)
            close(signals->fd);
        (void)sigprocmask(SIG_SETMASK, &signals->before, NULL);
        free(signals);
        return err;
    }
    watch_on_ready(signals->watch, ready, signals);
    *out = signals;
    return ERR_OK;
}

void signals_free(struct signals *signals) {
    if (signals == NULL)
        return;
    watch_free(signals->watch);
    close(signals->fd);
    (void)sigprocmask(SIG_SETMASK, &signals->before, NULL);
    free(signals);
}
