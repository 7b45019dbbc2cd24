/* The tables behind roles/messages.h. */
#include "roles/messages.h"

#include <stdio.h>

RECORD_DEFINE(role_configure);
RECORD_DEFINE(grant);
RECORD_DEFINE(channel_offer);
RECORD_DEFINE(listener_offer);
RECORD_DEFINE(mailbox_request);
RECORD_DEFINE(account_known);
RECORD_DEFINE(accounts_known);
RECORD_DEFINE(session_claim);
RECORD_DEFINE(leave_args);
RECORD_DEFINE(leave_result);
RECORD_DEFINE(auth_start);
RECORD_DEFINE(auth_challenge);
RECORD_DEFINE(auth_proof);
RECORD_DEFINE(auth_result);
RECORD_DEFINE(auth_end);
RECORD_DEFINE(sender_check);
RECORD_DEFINE(recipient_lookup);
RECORD_DEFINE(recipient_target);
RECORD_DEFINE(recipient_result);
RECORD_DEFINE(relay_address);
RECORD_DEFINE(relay_check);
RECORD_DEFINE(tls_chain);
RECORD_DEFINE(tls_chains);
RECORD_DEFINE(tls_sign);
RECORD_DEFINE(tls_signature);
RECORD_DEFINE(dkim_keys);
RECORD_DEFINE(dkim_selector);
RECORD_DEFINE(dkim_keys_result);
RECORD_DEFINE(dkim_sign_request);
RECORD_DEFINE(dkim_sign_result);
RECORD_DEFINE(control_offer);
RECORD_DEFINE(seed_account);
RECORD_DEFINE(session_open);
RECORD_DEFINE(session_release);
RECORD_DEFINE(session_return);
RECORD_DEFINE(queue_target);
RECORD_DEFINE(queue_submit);
RECORD_DEFINE(queue_submit_result);
RECORD_DEFINE(attempt_recipient);
RECORD_DEFINE(attempt);
RECORD_DEFINE(attempt_outcome);
RECORD_DEFINE(attempt_result);
RECORD_DEFINE(cleanup_result);

/* A reply of `none` is a NULL type: one alternative of _Generic a kind of reply would be longer than this list. */
#define REPLY_none NULL
#define REPLY_nothing &nothing_record
#define REPLY_leave_result &leave_result_record
#define REPLY_auth_challenge &auth_challenge_record
#define REPLY_auth_result &auth_result_record
#define REPLY_recipient_result &recipient_result_record
#define REPLY_tls_chains &tls_chains_record
#define REPLY_tls_signature &tls_signature_record
#define REPLY_dkim_keys_result &dkim_keys_result_record
#define REPLY_dkim_sign_result &dkim_sign_result_record
#define REPLY_queue_submit_result &queue_submit_result_record
#define REPLY_attempt_result &attempt_result_record
#define REPLY_dns_answer &dns_answer_record
#define REPLY_cleanup_result &cleanup_result_record

#define MESSAGE_DEFINE(code_, name_, from, to, request_, reply_, handles, reply_handles_) \
    const struct message_type message_##name_ = {                                         \
        .code = (code_),                                                                  \
        .name = #name_,                                                                   \
        .request = &request_##_record,                                                    \
        .reply = REPLY_##reply_,                                                          \
        .request_handles = (handles),                                                     \
        .reply_handles = (reply_handles_),                                                \
    };
ROLE_MESSAGES(MESSAGE_DEFINE)
#undef MESSAGE_DEFINE

#define MESSAGE_ROW(code, name, from_, to_, request, reply, handles, reply_handles) {&message_##name, (from_), (to_)},
const struct role_message role_messages[] = {ROLE_MESSAGES(MESSAGE_ROW)};
const size_t role_messages_n = ARRAY_LEN(role_messages);

const char *protocol_name(enum protocol protocol) {
    static const char *const names[PROTOCOL_COUNT] = {
        [PROTOCOL_SMTP] = "smtp", [PROTOCOL_SUBMISSION] = "submission",
        [PROTOCOL_IMAP] = "imap", [PROTOCOL_MANAGESIEVE] = "sieve",
        [PROTOCOL_HTTP] = "http", [PROTOCOL_LMTP] = "lmtp",
    };
    return (unsigned)protocol < PROTOCOL_COUNT ? names[protocol] : "?";
}

void account_directory_name(uint64_t account, char name[ACCOUNT_DIRECTORY_NAME_SIZE]) {
    (void)snprintf(name, ACCOUNT_DIRECTORY_NAME_SIZE, "a%016llx", (unsigned long long)account);
}
