/*
 * The configuration: read by libconfuse in the supervisor (and check-config)
 * only, turned into one immutable snapshot. Other roles get the part they need
 * in role_configure.
 *
 * Every complaint names file, line, what is wrong and the remedy.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/netaddr.h"
#include "base/clock.h"

#define CONFIG_LISTENERS_MAX 32
enum config_protocol { CONFIG_SMTP, CONFIG_SUBMISSION, CONFIG_IMAP, CONFIG_MANAGESIEVE, CONFIG_HTTP, CONFIG_LMTP };
struct config_listener {
    struct netaddr address;
    enum config_protocol protocol;
    bool implicit_tls;
    bool proxy;       /* a PROXY header comes first */
    bool plain_login; /* passwords are taken without TLS: on loopback and private addresses only */
    uint32_t line;    /* of `listener` in `file`, 0: none */
    struct view file;
};
/* Where in a file something stood; line 0: nowhere, it is a default. */
struct config_place {
    struct view file;
    uint32_t line;
};
/* Options whose place config_check names. */
enum config_option {
    CONFIG_HOSTNAME,
    CONFIG_DATA_DIR,
    CONFIG_TLS_CERTIFICATE,
    CONFIG_TLS_KEY,
    CONFIG_TRUST_ANCHOR,
    CONFIG_QUOTA,
    CONFIG_SPOOL,
    CONFIG_CONNECTIONS_PER_NETWORK,
    CONFIG_ACCOUNT_UID_FIRST,
    CONFIG_ACCOUNT_UIDS,
    CONFIG_RELAY_PORT,
    CONFIG_QUEUE_RETRY,
    CONFIG_OPTION_COUNT
};
struct config_account { /* localserve */
    struct view address, password;
};
struct config {
    struct view file;     /* where it came from, for messages */
    struct view hostname; /* A-label */
    struct view data_dir; /* absolute */
    struct config_listener listeners[CONFIG_LISTENERS_MAX];
    size_t listeners_n;
    struct view tls_certificate_file, tls_key_file; /* empty: a self-signed one is made */
    uint64_t message_size_max;                      /* octets */
    uint64_t quota_octets;                          /* 0: none */
    uint32_t recipients_max, connections_max, connections_per_network, login_attempts_max;
    uint64_t spool_budget;                    /* octets an edge may spool in memory and files */
    uint32_t edges;                           /* processes; 0: one a core */
    uint32_t account_uid_first, account_uids; /* range for mailboxes when root; 0: the service user */
    struct view service_user;
    struct netaddr dns;            /* family 0: full recursion */
    struct view trust_anchor_file; /* empty: the root's */
    int64_t queue_lifetime_us, queue_retry_us;
    bool localserve, relay; /* relay: outbound delivery by MX is on */
    uint16_t relay_port;    /* 25 */
    bool throttle_loopback;
    struct config_account *accounts; /* localserve only */
    size_t accounts_n;
    int log_level; /* enum log_level */
    struct config_place places[CONFIG_OPTION_COUNT];
};

/* Parses `path`; *out lives in the arena. On an error `problems` has one line a problem: FILE:LINE: what. Remedy. */
enum err config_load(const char *path, struct arena *arena, struct config *out, struct buf *problems) MUST_CHECK;
/* Beyond syntax: files that must be readable, ports used twice, directories, limits that contradict. */
enum err config_check(const struct config *config, struct buf *problems) MUST_CHECK;
/* "debug", "info", "warn", "error"; ERR_SYNTAX. */
enum err config_log_level(struct view name, int *out) MUST_CHECK;
/* "smtp", "submission", "submissions", "imap", "imaps": the value of `protocol`; never NULL. */
const char *config_protocol_name(enum config_protocol protocol, bool implicit_tls);
/* Every default, for documentation and localserve. */
void config_defaults(struct config *out);
/* The commented configuration that quickstart writes. */
void config_write_example(struct buf *out, struct view hostname, struct view data_dir);

#endif
