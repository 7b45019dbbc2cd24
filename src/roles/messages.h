/*
 * Every message between roles: one list, from which come the codes, the types
 * that loop/channel.h sends, the channel matrix of docs/ARCHITECTURE.md, and the
 * test that the graph of waiting has no cycle.
 *
 * X(code, name, from, to, request record, reply record or none, request handles, reply handles)
 *
 * `from` asks, `to` serves. A one-way message (reply `none`) never waits. Codes
 * are fixed for good. The account operations of store/account.h (codes from
 * ACCOUNT_MESSAGE_BASE) travel on mailbox channels besides these.
 */
#ifndef ROLES_MESSAGES_H
#define ROLES_MESSAGES_H

#include "base/record.h"
#include "confine/role.h"
#include "dns/client.h"
#include "loop/channel.h"
#include "store/account.h"
#include "store/directory.h"

#define MESSAGE_ADDRESS_MAX 320
#define MESSAGE_TEXT_MAX 1000
#define MESSAGE_RECIPIENTS_MAX 1000
#define MESSAGE_ID_SIZE 16
#define GRANT_LIFE_US (30 * US_PER_S) /* an unclaimed grant dies */

/* What a listener speaks, what a grant is for. */
enum protocol {
    PROTOCOL_SMTP,
    PROTOCOL_SUBMISSION,
    PROTOCOL_IMAP,
    PROTOCOL_MANAGESIEVE,
    PROTOCOL_HTTP,
    PROTOCOL_LMTP,
    PROTOCOL_COUNT
};
const char *protocol_name(enum protocol protocol);

/* clang-format off */
/* ---- supervisor and every role ---- */

/* The immutable snapshot of the configuration that a role gets at its start: the whole of what it may know. */
#define R_role_configure(F, S)                                                                                              \
    F(S, U8, role) F(S, U32, index) F(S, U8, log_level) F(S, VIEW, hostname, 255) F(S, U64, message_size_max) F(S, U32, recipients_max)          \
    F(S, U32, connections_max) F(S, U32, connections_per_network) F(S, U64, spool_budget) F(S, U32, login_attempts_max)      \
    F(S, BOOL, throttle_loopback) F(S, BOOL, localserve) F(S, U16, relay_port) F(S, BOOL, relay) F(S, BOOL, check_mail)                             \
    F(S, ADDR, dns) F(S, VIEW, trust_anchor, 65536) F(S, U64, quota_octets)                                                    \
    F(S, U64, account) F(S, VIEW, account_address, MESSAGE_ADDRESS_MAX) F(S, U64, queue_lifetime_us)                         \
    F(S, U64, queue_retry_us) F(S, VIEW, certificate, 32768) F(S, VIEW, private_key, 16384) /* directory only, PEM */
RECORD_DECLARE(role_configure);

/* Why a channel is offered. */
enum channel_purpose { CHANNEL_PEER, CHANNEL_DELIVERY, CHANNEL_SESSION };
/* A new channel to a peer. On a mailbox's side of a session `grant` says who; the receiver trusts nothing else. */
#define R_grant(F, S)                                                                                                  \
    F(S, VIEW, id, MESSAGE_ID_SIZE) F(S, U64, account)                                                                 \
    F(S, VIEW, address, MESSAGE_ADDRESS_MAX) F(S, U8, protocol) F(S, U32, rights) F(S, VIEW, credential, 100)          \
    F(S, U32, edge) /* index of the edge that may claim it */ F(S, I64, expires_us) F(S, U64, quota_octets)
RECORD_DECLARE(grant);
#define R_channel_offer(F, S) F(S, U8, peer) F(S, U32, index) F(S, U8, purpose) F(S, RECORD, grant, grant)
RECORD_DECLARE(channel_offer);
#define R_listener_offer(F, S) F(S, U8, protocol) F(S, BOOL, implicit_tls) F(S, BOOL, proxy) F(S, BOOL, plain_login)
RECORD_DECLARE(listener_offer);

/* ---- to supervisor ---- */
/* A delivery channel to an account's mailbox. The account must be one that directory has announced (account_known). */
#define R_mailbox_request(F, S) F(S, U64, account)
RECORD_DECLARE(mailbox_request);
/* Which accounts exist: announced by directory at its start and at each change; nobody else can make the supervisor start a mailbox. */
#define R_account_known(F, S) \
    F(S, U64, account) F(S, VIEW, address, MESSAGE_ADDRESS_MAX) F(S, U64, quota_octets) F(S, BOOL, gone)
RECORD_DECLARE(account_known);
#define R_accounts_known(F, S) F(S, LIST, accounts, account_known, 200)
RECORD_DECLARE(accounts_known);
/* The name of an account's directory below accounts/: 'a' and 16 hexadecimal digits, from its id alone. */
#define ACCOUNT_DIRECTORY_NAME_SIZE 18 /* with its NUL */
void account_directory_name(uint64_t account, char name[ACCOUNT_DIRECTORY_NAME_SIZE]);
#define R_session_claim(F, S) F(S, VIEW, grant, MESSAGE_ID_SIZE)
RECORD_DECLARE(session_claim);
/* An idle mailbox asks leave to exit. offers_seen: channel offers it has received so far; the supervisor says no when it has sent more. */
#define R_leave_args(F, S) F(S, U64, offers_seen)
RECORD_DECLARE(leave_args);
#define R_leave_result(F, S) F(S, BOOL, may_leave)
RECORD_DECLARE(leave_result);

/* ---- to directory ---- */

/* Login by SCRAM proof, RFC5802-3. The asker chooses client_nonce; nonce in the result starts with it. Unknown users get a stable made-up
 * salt. delay_us: how long the asker must wait before it goes on (failures of this network). */
#define R_auth_start(F, S)                                                                                          \
    F(S, VIEW, user, MESSAGE_ADDRESS_MAX) F(S, VIEW, client_nonce, 64) F(S, U8, hash) F(S, U8, protocol) F(S, ADDR, peer)
#define R_auth_challenge(F, S)                                                                                     \
    F(S, U64, session) F(S, VIEW, nonce, 128) F(S, VIEW, salt, 64) F(S, U32, iterations) F(S, I64, delay_us)
RECORD_DECLARE(auth_start);
RECORD_DECLARE(auth_challenge);
/* client_first_bare and client_final_bare are the exact texts of RFC5802-3's AuthMessage (PLAIN: made by sasl/scram.h in the edge). */
#define R_auth_proof(F, S)                                                                                            \
    F(S, U64, session) F(S, VIEW, client_first_bare, 1000) F(S, VIEW, client_final_bare, 1000) F(S, VIEW, proof, 64)
/* ERR_OK only for a right proof of an enabled account. For IMAP the supervisor has the grant before this is answered. */
#define R_auth_result(F, S)                                                                                         \
    F(S, U64, account) F(S, VIEW, address, MESSAGE_ADDRESS_MAX) F(S, VIEW, server_signature, 64) F(S, VIEW, grant, MESSAGE_ID_SIZE)
RECORD_DECLARE(auth_proof);
RECORD_DECLARE(auth_result);
/* The session is over (SMTP: its connection ended). */
#define R_auth_end(F, S) F(S, U64, session)
RECORD_DECLARE(auth_end);

/* May the account of this auth session send as `address`? ERR_DENIED if not; ERR_NOT_FOUND: no such session (directory was restarted). */
#define R_sender_check(F, S) F(S, U64, session) F(S, VIEW, address, MESSAGE_ADDRESS_MAX)
RECORD_DECLARE(sender_check);

/* Who gets mail for an address. session: 0, or the auth session of a submission (may relay); ERR_NOT_FOUND when there is no such session. */
enum recipient_kind { RECIPIENT_LOCAL, RECIPIENT_REMOTE };
#define R_recipient_lookup(F, S) F(S, VIEW, address, MESSAGE_ADDRESS_MAX) F(S, U64, session)
#define R_recipient_target(F, S)                                                                                     \
    F(S, U8, kind) F(S, U64, account) F(S, VIEW, address, MESSAGE_ADDRESS_MAX)
/* ERR_OK with targets (an alias has several); rejected otherwise with status and text for the reply. */
#define R_recipient_result(F, S)                                                                                       \
    F(S, LIST, targets, recipient_target, MESSAGE_RECIPIENTS_MAX) F(S, U16, reply) /* 0: accepted; 550, 450 ... */       \
    F(S, VIEW, status, 16) F(S, VIEW, text, MESSAGE_TEXT_MAX)
RECORD_DECLARE(recipient_lookup);
RECORD_DECLARE(recipient_target);
RECORD_DECLARE(recipient_result);
/* May what this edge submitted go to other servers? edge: whose channel brought the submit, which the queue knows by itself and no message
 * says. session: as in the submit; the sender must then be one that the login may send as. Without one, each address must be a remote
 * member of an alias of ours. ERR_OK: all may go; ERR_DENIED: at least one may not. */
#define R_relay_address(F, S) F(S, VIEW, address, MESSAGE_ADDRESS_MAX)
#define R_relay_check(F, S)                                                         \
    F(S, U32, edge) F(S, U64, session) F(S, VIEW, sender, MESSAGE_ADDRESS_MAX)      \
    F(S, LIST, addresses, relay_address, 100) /* as many as a submit has targets */
RECORD_DECLARE(relay_address);
RECORD_DECLARE(relay_check);

/* The public half of TLS: certificate chains and names of keys that only directory has. */
#define R_tls_chain(F, S) F(S, VIEW, name, 255) F(S, U64, key) F(S, VIEW, certificates, 32768) /* PEM, leaf first */
#define R_tls_chains(F, S) F(S, LIST, chains, tls_chain, 16)
RECORD_DECLARE(tls_chain);
RECORD_DECLARE(tls_chains);
/* A signature over a handshake transcript, RFC8446-4.4.3 or RFC5246-7.4.3; scheme: RFC8446-4.2.3 SignatureScheme. */
#define R_tls_sign(F, S) F(S, U64, key) F(S, U16, scheme) F(S, VIEW, tbs, 4096)
#define R_tls_signature(F, S) F(S, VIEW, signature, 1024)
RECORD_DECLARE(tls_sign);
RECORD_DECLARE(tls_signature);

/* DKIM for what a login submits: the keys of an author's domain, and one signature (RFC6376-3.7: over the SHA-256 of the header). address: of
 * the author, its domain in A-labels. The session must be proven over this channel and its account must be one that may send as the address:
 * ERR_DENIED if not, ERR_NOT_FOUND: no such session, or no such key. The private half stays where it is. */
#define DKIM_KEYS_MAX 4 /* of a domain: two algorithms, and as many again while keys change */
#define R_dkim_keys(F, S) F(S, U64, session) F(S, VIEW, address, MESSAGE_ADDRESS_MAX)
#define R_dkim_selector(F, S) F(S, VIEW, name, 63) F(S, U8, algorithm) /* enum dkim_algorithm */
#define R_dkim_keys_result(F, S) F(S, VIEW, domain, 255) F(S, LIST, keys, dkim_selector, DKIM_KEYS_MAX)
RECORD_DECLARE(dkim_keys);
RECORD_DECLARE(dkim_selector);
RECORD_DECLARE(dkim_keys_result);
#define R_dkim_sign_request(F, S)                                                                                       \
    F(S, U64, session) F(S, VIEW, address, MESSAGE_ADDRESS_MAX) F(S, VIEW, selector, 63) F(S, VIEW, digest, 32)
#define R_dkim_sign_result(F, S) F(S, VIEW, signature, 1024)
RECORD_DECLARE(dkim_sign_request);
RECORD_DECLARE(dkim_sign_result);

/* A control connection (the CLI), accepted by the supervisor on its socket, parsed here; uid: of the peer process. */
#define R_control_offer(F, S) F(S, U32, uid) F(S, U32, pid)
RECORD_DECLARE(control_offer);
/* Accounts that localserve was asked for: made when missing. */
#define R_seed_account(F, S) F(S, VIEW, address, MESSAGE_ADDRESS_MAX) F(S, LIST, verifiers, scram_verifier, 4)
RECORD_DECLARE(seed_account);

/* ---- session channel between edge and mailbox ---- */
/* The stream and imap_handover (imap/greeter.h) encoded; ERR_OK: the mailbox has it and writes the tagged reply. */
#define R_session_open(F, S) F(S, U8, protocol) F(S, BOOL, pumped) F(S, VIEW, handover, 100000)
RECORD_DECLARE(session_open);
/* mailbox: stop sending octets of the client into the pump and half-close it (UNAUTHENTICATE over TLS). */
#define R_session_release(F, S) F(S, U8, unused)
RECORD_DECLARE(session_release);
/* mailbox: the session is edge's again, with all raw octets not yet consumed; plain sessions carry the stream. */
#define R_session_return(F, S) F(S, VIEW, handover, 100000)
RECORD_DECLARE(session_return);

/* ---- to queue ---- */
#define R_queue_target(F, S)                                                                                        \
    F(S, U8, kind) F(S, U64, account) F(S, VIEW, address, MESSAGE_ADDRESS_MAX)      \
    F(S, VIEW, orcpt, 500) F(S, U8, notify)
RECORD_DECLARE(queue_target);
/* Durable when answered. The body is `body` or the file handed along. session: directory's auth session that the transaction was accepted
 * under, 0 for none. It is a claim: the queue lets directory judge it (relay_check) before remote targets are stored; ERR_DENIED: they may
 * not be. */
#define R_queue_submit(F, S)                                                                                        \
    F(S, VIEW, delivery_id, MESSAGE_ID_SIZE) F(S, U64, session) F(S, VIEW, sender, MESSAGE_ADDRESS_MAX) F(S, U64, size) \
    F(S, U32, flags)                                                                                                \
    F(S, VIEW, prefix, 8192) F(S, VIEW, body, ACCOUNT_INLINE_MAX)                                                   \
    F(S, LIST, targets, queue_target, 100) /* more recipients: several submits with one delivery id each */
#define R_queue_submit_result(F, S) F(S, U64, message)
RECORD_DECLARE(queue_submit);
RECORD_DECLARE(queue_submit_result);
#define QUEUE_FLAG_8BITMIME 1u
#define QUEUE_FLAG_SMTPUTF8 2u
#define QUEUE_FLAG_JUNK 4u /* local targets: see deliver_commit */

/* ---- queue to courier: one envelope, one read-only file ---- */
#define R_attempt_recipient(F, S) F(S, VIEW, address, MESSAGE_ADDRESS_MAX)
#define R_attempt(F, S)                                                                                             \
    F(S, VIEW, domain, 255) F(S, VIEW, sender, MESSAGE_ADDRESS_MAX) F(S, U64, size) F(S, U32, flags)                  \
    F(S, VIEW, prefix, 8192) F(S, LIST, recipients, attempt_recipient, 100)
RECORD_DECLARE(attempt_recipient);
RECORD_DECLARE(attempt);
/* One for each recipient, in order. reply 2xx delivered, 4xx later, 5xx failed. */
#define R_attempt_outcome(F, S) F(S, U16, reply) F(S, VIEW, status, 16) F(S, VIEW, text, MESSAGE_TEXT_MAX) F(S, VIEW, host, 255)
#define R_attempt_result(F, S) F(S, LIST, outcomes, attempt_outcome, 100)
RECORD_DECLARE(attempt_outcome);
RECORD_DECLARE(attempt_result);

/* ---- to resolver ---- */
/* struct dns_question and struct dns_answer are dns/client.h's. */

/* ---- postmaster's clean-up ---- */
#define R_cleanup_result(F, S) F(S, U64, removed)
RECORD_DECLARE(cleanup_result);

#define ANY ROLE_COUNT
#define ROLE_MESSAGES(X)                                                                             \
    X(1, role_configure, ROLE_SUPERVISOR, ANY, role_configure, nothing, 0, 0)                        \
    X(2, channel_offer, ROLE_SUPERVISOR, ANY, channel_offer, none, 1, 0)                             \
    X(3, listener_offer, ROLE_SUPERVISOR, ROLE_EDGE, listener_offer, none, 1, 0)                     \
    X(4, role_stop, ROLE_SUPERVISOR, ANY, nothing, none, 0, 0)                                       \
    X(5, control_offer, ROLE_SUPERVISOR, ROLE_DIRECTORY, control_offer, none, 1, 0)                  \
    X(6, seed_account, ROLE_SUPERVISOR, ROLE_DIRECTORY, seed_account, nothing, 0, 0)                 \
    X(10, grant, ROLE_DIRECTORY, ROLE_SUPERVISOR, grant, nothing, 0, 0)                              \
    X(11, session_claim, ROLE_EDGE, ROLE_SUPERVISOR, session_claim, nothing, 0, 1)                   \
    X(12, mailbox_request, ROLE_EDGE, ROLE_SUPERVISOR, mailbox_request, nothing, 0, 1)               \
    X(13, mailbox_request_queue, ROLE_QUEUE, ROLE_SUPERVISOR, mailbox_request, nothing, 0, 1)        \
    X(14, leave, ROLE_MAILBOX, ROLE_SUPERVISOR, leave_args, leave_result, 0, 0)                      \
    X(15, accounts_known, ROLE_DIRECTORY, ROLE_SUPERVISOR, accounts_known, nothing, 0, 0)            \
    X(20, auth_start, ROLE_EDGE, ROLE_DIRECTORY, auth_start, auth_challenge, 0, 0)                   \
    X(21, auth_proof, ROLE_EDGE, ROLE_DIRECTORY, auth_proof, auth_result, 0, 0)                      \
    X(22, auth_end, ROLE_EDGE, ROLE_DIRECTORY, auth_end, none, 0, 0)                                 \
    X(23, sender_check, ROLE_EDGE, ROLE_DIRECTORY, sender_check, nothing, 0, 0)                      \
    X(24, recipient_lookup, ROLE_EDGE, ROLE_DIRECTORY, recipient_lookup, recipient_result, 0, 0)     \
    X(25, tls_chains, ROLE_EDGE, ROLE_DIRECTORY, nothing, tls_chains, 0, 0)                          \
    X(26, tls_sign, ROLE_EDGE, ROLE_DIRECTORY, tls_sign, tls_signature, 0, 0)                        \
    X(27, recipient_lookup_queue, ROLE_QUEUE, ROLE_DIRECTORY, recipient_lookup, recipient_result, 0, 0) \
    X(28, relay_check, ROLE_QUEUE, ROLE_DIRECTORY, relay_check, nothing, 0, 0)                       \
    X(29, dkim_keys, ROLE_EDGE, ROLE_DIRECTORY, dkim_keys, dkim_keys_result, 0, 0)                   \
    X(80, dkim_sign, ROLE_EDGE, ROLE_DIRECTORY, dkim_sign_request, dkim_sign_result, 0, 0)           \
    X(30, session_open, ROLE_EDGE, ROLE_MAILBOX, session_open, nothing, 1, 0)                        \
    X(31, session_release, ROLE_MAILBOX, ROLE_EDGE, session_release, none, 0, 0)                     \
    X(32, session_return, ROLE_MAILBOX, ROLE_EDGE, session_return, none, 1, 0)                       \
    X(40, queue_submit, ROLE_EDGE, ROLE_QUEUE, queue_submit, queue_submit_result, 1, 0)              \
    X(50, attempt, ROLE_QUEUE, ROLE_COURIER, attempt, attempt_result, 1, 0)                          \
    X(60, dns_lookup, ROLE_COURIER, ROLE_RESOLVER, dns_question, dns_answer, 0, 0)                   \
    X(61, dns_lookup_edge, ROLE_EDGE, ROLE_RESOLVER, dns_question, dns_answer, 0, 0)                 \
    X(70, cleanup_directory, ROLE_POSTMASTER, ROLE_DIRECTORY, nothing, cleanup_result, 0, 0)         \
    X(71, cleanup_queue, ROLE_POSTMASTER, ROLE_QUEUE, nothing, cleanup_result, 0, 0)
/* clang-format on */

/* message_NAME: the types for channel_call, channel_send and handler tables. */
#define MESSAGE_EXTERN(code, name, from, to, request, reply, handles, reply_handles) \
    extern const struct message_type message_##name;
ROLE_MESSAGES(MESSAGE_EXTERN)
#undef MESSAGE_EXTERN

/* The table behind the matrix. */
struct role_message {
    const struct message_type *type;
    enum role from, to; /* ROLE_COUNT: any */
};
extern const struct role_message role_messages[];
extern const size_t role_messages_n;

#endif
