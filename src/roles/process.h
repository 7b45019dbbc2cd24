/*
 * Roles as processes: how the supervisor starts them, and what a started one
 * does before it is a role.
 *
 * All roles but mailbox are forked and executed again, so that each has an
 * address layout of its own. Mailboxes are forked from a warm template, a process
 * that has prepared everything and holds no secret, so that one costs little
 * time and memory. The template is started again after a mailbox has crashed.
 */
#ifndef ROLES_PROCESS_H
#define ROLES_PROCESS_H

#include "confine/confine.h"
#include "roles/supervisor.h"
#include "roles/title.h"

#define PROCESS_CHANNEL_FD 3 /* where a started role finds its supervisor */
#define PROCESS_ROOT_FD 4    /* its root directory */
#define PROCESS_SPOOL_FD 5   /* edge: the spool directory */
#define PROCESS_TITLE_ROOM 400

struct process_spawner;
struct process_spawner_params {
    struct loop *loop;
    const struct log *log;
    const struct config *config;
    const int *listener_fds; /* in the order of config->listeners; borrowed */
    int data_fd;             /* the data directory; borrowed */
    enum confine_level level;
};
enum err process_spawner_new(const struct process_spawner_params *params, struct process_spawner **out,
                             struct buf *why) MUST_CHECK;
struct spawner *process_spawner_interface(struct process_spawner *p);
void process_spawner_free(struct process_spawner *p);

/* The uid of a role's processes, or of an account's mailbox, at the root levels; 0 at the user level (stays what it is). */
uid_t process_role_uid(enum role role);
uid_t process_account_uid(const struct config *config, uint64_t account);

/* main() of `veredus role NAME ...`: never returns to its caller's work; the exit status. */
int process_role_main(int argc, char **argv, const struct title *title);
/* What confine_params a role gets, for process_role_main and confine-test. */
void process_confine_params(enum role role, enum confine_level level, uid_t uid, struct confine_params *out, int *keep,
                            size_t keep_room);

#endif
