/*
 * The warm template of mailbox processes: one process that has done everything a
 * mailbox does before it knows its account, holds no secret and no open
 * database, and forks on request. One packet with two descriptors goes in, a
 * pid and a pidfd come out.
 */
#ifndef ROLES_TEMPLATE_H
#define ROLES_TEMPLATE_H

#include "loop/loop.h"

#include <sys/types.h>

/* The supervisor's side. */
struct template_client;
/* start: makes the template process with socket_fd as its descriptor 3. It is called again after the template died. */
enum err template_client_new(struct loop *loop, enum err (*start)(void *ctx, int socket_fd, pid_t *pid, int *pidfd),
                             void *ctx, struct template_client **out) MUST_CHECK;
void template_client_free(struct template_client *client);
/* A mailbox process for an account: channel_fd and account_fd are borrowed. Suspends the caller. */
enum err template_fork(struct template_client *client, struct view title, uid_t uid, int channel_fd, int account_fd,
                       pid_t *pid, int *pidfd) MUST_CHECK;
/* After a crash of a mailbox: the next fork comes from a new template (fresh address layout). */
void template_renew(struct template_client *client);

/* The template's side: serves socket_fd until it ends, then returns. In each child calls child(ctx, ...) which must not return. */
void template_serve(int socket_fd,
                    void (*child)(void *ctx, struct view title, uid_t uid, int channel_fd, int account_fd), void *ctx);

#endif
