/*
 * Probes: acts tried for real by a confined process, those that the role must
 * be denied and those that it needs. What is expected comes from
 * confine_policies[role].needs and from probe.c's own list of what nobody may;
 * it does not look at the filter, so a filter that became too wide or too tight fails.
 *
 * Some denials kill. So each act can be run alone, by its index, in a child
 * that confined itself; confine_probe_all() does that from a process that is not confined.
 */
#ifndef CONFINE_PROBE_H
#define CONFINE_PROBE_H

#include "confine/confine.h"

/* What is to be proven. Made before confinement: it asks the kernel for Landlock. */
struct confine_probe_plan {
    enum role role;
    enum confine_level level;
    bool is_template; /* of ROLE_MAILBOX */
    int landlock_abi;
};
struct confine_probe_plan confine_probe_plan_of(enum role role, enum confine_level level, bool is_template);

/* What acts can use: descriptors that were kept through confine_apply(). With -1 the act is tried on an invalid one,
 * which still tells "denied" from "bad descriptor". */
struct confine_probe_env {
    int listener_fd; /* a listening socket, non-blocking */
    int spool_fd;
};

/* How many acts apply, and the name of one. */
unsigned confine_probe_count(const struct confine_probe_plan *plan);
const char *confine_probe_name(const struct confine_probe_plan *plan, unsigned index);
/* Runs one act in this confined process. True when it went as the table says; the line "ok|FAILED name ..." goes to
 * report. Does not return when the act is denied by death: see confine_probe_judge(). */
bool confine_probe_run(const struct confine_probe_plan *plan, const struct confine_probe_env *env, unsigned index,
                       struct buf *report);
/* A parent's judgement of a child that ended with confine_probe_run()'s result as its status (0 true, 1 false). */
bool confine_probe_judge(const struct confine_probe_plan *plan, unsigned index, int wait_status);

/* All acts whose denial does not kill, in this confined process. Lines go to report, *failed is their count.
 * ERR_NO_MEMORY or ERR_LIMIT when the report does not fit. */
enum err confine_probe(const struct confine_probe_plan *plan, const struct confine_probe_env *env, struct buf *report,
                       unsigned *failed) MUST_CHECK;

/*
 * Every act: one child for all whose denial does not kill, one more for each of
 * the others: fork, ritual, act. The ritual must call confine_apply() and fill
 * env; it may do the role's whole prepare() before. For a caller that is not
 * confined (`veredus confine-test ROLE`). A ritual that fails is a failure, and its
 * text stands in the report.
 */
struct confine_probe_ritual {
    enum err (*run)(struct confine_probe_ritual *ritual, struct confine_probe_env *env, struct buf *why);
};
enum err confine_probe_all(const struct confine_probe_plan *plan, struct confine_probe_ritual *ritual,
                           struct buf *report, unsigned *failed) MUST_CHECK;

#endif
