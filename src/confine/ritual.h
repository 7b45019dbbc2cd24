/* Inside of confine/: the parts of the ritual, apart so that tests can apply a policy that is not in the table. */
#ifndef CONFINE_RITUAL_H
#define CONFINE_RITUAL_H

#include "confine/confine.h"

/* confine_apply() with any policy. */
enum err confine_apply_policy(const struct confine_policy *policy, enum role role, const struct confine_params *params,
                              struct buf *why) MUST_CHECK;
/* confine_filter_new() for any policy. */
enum err confine_filter_compile(const struct confine_policy *policy, struct confine_filter **out,
                                struct buf *why) MUST_CHECK;
/* Puts the process' own values into a copy of the filter and loads it; and the SIGSYS handler when it traps. */
enum err confine_filter_load(const struct confine_filter *filter, enum role role, int spool_fd,
                             struct buf *why) MUST_CHECK;
/* Enters a Landlock domain: root_fd (-1: none) by the policy's file groups, spool and dirs beside it. */
enum err confine_landlock_enter(const struct confine_policy *policy, const struct confine_params *params, int abi,
                                struct buf *why) MUST_CHECK;
/* Names of the calls of one group, for confine_describe(): appended separated by spaces. */
void confine_filter_names(uint32_t group, struct buf *out);

#endif
