/*
 * What `directory` keeps: domains, accounts, addresses, verifiers, keys. An
 * interface of plain calls used only inside the directory role; SQLite behind it
 * (store/sqlite/directory.c), one transaction and fsync a change.
 */
#ifndef STORE_DIRECTORY_H
#define STORE_DIRECTORY_H

#include "base/clock.h"
#include "base/disk.h"
#include "base/random.h"
#include "base/record.h"

#define DIRECTORY_ADDRESS_MAX 320 /* RFC5321-4.5.3.1: 64 + 1 + 255 octets */
#define DIRECTORY_TARGETS_MAX 1000

/* clang-format off */
/* RFC5802-3: what is stored instead of a password. */
#define R_scram_verifier(F, S)                                                                                     \
    F(S, U8, mechanism) /* enum scram_hash of sasl/scram.h */ F(S, U32, iterations) F(S, VIEW, salt, 64)            \
    F(S, VIEW, stored_key, 64) F(S, VIEW, server_key, 64)
RECORD_DECLARE(scram_verifier);
#define R_domain_row(F, S) F(S, U64, id) F(S, VIEW, name, 255) /* A-label form, lower case */ F(S, I64, created_us)
RECORD_DECLARE(domain_row);
#define R_account_row(F, S)                                                                                                          \
    F(S, U64, id) F(S, VIEW, directory, 64) /* stable name of the store's directory */ F(S, VIEW, address, DIRECTORY_ADDRESS_MAX)     \
    F(S, BOOL, disabled) F(S, U64, quota_octets) F(S, I64, created_us)
RECORD_DECLARE(account_row);
#define R_alias_target(F, S) F(S, VIEW, address, DIRECTORY_ADDRESS_MAX)
RECORD_DECLARE(alias_target);
#define R_alias_row(F, S) F(S, U64, id) F(S, VIEW, address, DIRECTORY_ADDRESS_MAX) F(S, LIST, targets, alias_target, DIRECTORY_TARGETS_MAX)
RECORD_DECLARE(alias_row);
#define R_domain_key(F, S) F(S, VIEW, domain, 255) F(S, VIEW, selector, 63) F(S, VIEW, algorithm, 16) /* "ed25519", "rsa" */ \
    F(S, VIEW, key, 8192) /* PKCS#8 DER */
RECORD_DECLARE(domain_key);
/* clang-format on */

struct directory_store;
/* Opens or makes `directory.db` in disk; migrates. ERR_AGAIN: another process has it. */
enum err directory_store_open(struct disk *disk, struct clock *clock, struct random *random,
                              struct directory_store **out) MUST_CHECK;
void directory_store_close(struct directory_store *store);

enum err directory_domain_add(struct directory_store *store, struct view name,
                              uint64_t *id) MUST_CHECK; /* ERR_EXISTS */
enum err directory_domain_remove(struct directory_store *store,
                                 struct view name) MUST_CHECK; /* ERR_NOT_FOUND; ERR_DENIED while it has addresses */
enum err directory_domain_get(struct directory_store *store, struct view name, struct arena *arena,
                              struct domain_row *out) MUST_CHECK;
enum err directory_domain_list(struct directory_store *store, struct arena *arena, struct domain_row **rows,
                               size_t *n) MUST_CHECK;

/* The domain must exist (ERR_NOT_FOUND). ERR_EXISTS when the address is taken by an account or alias. */
enum err directory_account_add(struct directory_store *store, struct view address, struct arena *arena,
                               struct account_row *out) MUST_CHECK;
enum err directory_account_remove(struct directory_store *store, uint64_t id) MUST_CHECK;
enum err directory_account_get(struct directory_store *store, struct view address, struct arena *arena,
                               struct account_row *out) MUST_CHECK;
enum err directory_account_get_id(struct directory_store *store, uint64_t id, struct arena *arena,
                                  struct account_row *out) MUST_CHECK;
enum err directory_account_list(struct directory_store *store, struct arena *arena, struct account_row **rows,
                                size_t *n) MUST_CHECK;
enum err directory_account_set_disabled(struct directory_store *store, uint64_t id, bool disabled) MUST_CHECK;
/* Replaces all verifiers of the account. */
enum err directory_account_set_verifiers(struct directory_store *store, uint64_t id,
                                         const struct scram_verifier *verifiers, size_t n) MUST_CHECK;
enum err directory_account_verifiers(struct directory_store *store, uint64_t id, struct arena *arena,
                                     struct scram_verifier **out, size_t *n) MUST_CHECK;

enum err directory_alias_add(struct directory_store *store, struct view address, const struct alias_target *targets,
                             size_t n) MUST_CHECK;
enum err directory_alias_remove(struct directory_store *store, struct view address) MUST_CHECK;
enum err directory_alias_get(struct directory_store *store, struct view address, struct arena *arena,
                             struct alias_row *out) MUST_CHECK;
/* Whether any alias has this member: the same octets, as it was written when the alias was made. */
enum err directory_alias_has_target(struct directory_store *store, struct view address, bool *found) MUST_CHECK;
enum err directory_alias_list(struct directory_store *store, struct arena *arena, struct alias_row **rows,
                              size_t *n) MUST_CHECK;

enum err directory_key_add(struct directory_store *store, const struct domain_key *key) MUST_CHECK;
enum err directory_key_list(struct directory_store *store, struct view domain, struct arena *arena,
                            struct domain_key **out, size_t *n) MUST_CHECK;

#endif
