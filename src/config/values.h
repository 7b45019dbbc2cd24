/* The texts of single values in the configuration, and back. Pure functions. */
#ifndef CONFIG_VALUES_H
#define CONFIG_VALUES_H

#include "config/config.h"

/* "50M": octets, with K, M or G of 1024. ERR_SYNTAX, ERR_LIMIT. */
enum err values_size(struct view v, uint64_t *out) MUST_CHECK;
/* "30m": a number with s, m, h or d. */
enum err values_time(struct view v, int64_t *out_us) MUST_CHECK;
/* true, yes, on; false, no, off */
enum err values_bool(struct view v, bool *out) MUST_CHECK;
/* Letters, digits, inner hyphens and dots; lower-cased into the arena. RFC1035-2.3.4 lengths. */
enum err values_hostname(struct view v, struct arena *arena, struct view *out) MUST_CHECK;
enum err values_protocol(struct view v, enum config_protocol *protocol, bool *implicit_tls) MUST_CHECK;
/* The shortest exact text: "50M", "1025". */
void values_put_size(struct buf *out, uint64_t octets);
void values_put_time(struct buf *out, int64_t us);

#endif
