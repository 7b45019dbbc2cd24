/* The records of the directory's and the queue's rows. */
#include "store/directory.h"
#include "store/queue_store.h"

RECORD_DEFINE(scram_verifier);
RECORD_DEFINE(domain_row);
RECORD_DEFINE(account_row);
RECORD_DEFINE(alias_target);
RECORD_DEFINE(alias_row);
RECORD_DEFINE(domain_key);
RECORD_DEFINE(queue_recipient);
RECORD_DEFINE(queue_message);
