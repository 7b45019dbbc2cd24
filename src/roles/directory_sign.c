/*
 * Signatures of DKIM: an edge says which author wrote what its login submits, and
 * gets the signature of a digest. Private keys are loaded once and stay here.
 */
#include "roles/directory.h"

#include "dkim/crypto.h"
#include "store/directory.h"

#include <stdlib.h>
#include <string.h>

#define SIGNER_BUDGET (256 * 1024) /* octets of a domain's rows */

/* ---- keys that are ready ---- */

static void signer_free(struct directory_signer *signer) {
    for (size_t i = 0; i < signer->n; i++)
        dkim_private_key_free(signer->keys[i].key);
    free(signer);
}

void directory_signer_forget(struct directory *d, struct view domain) {
    struct directory_signer *signer = map_remove(d->signers, domain);
    if (signer)
        signer_free(signer);
}

void directory_signers_fini(struct directory *d) {
    size_t cursor = 0;
    struct view key;
    void *value;
    while (d->signers && map_next(d->signers, &cursor, &key, &value))
        signer_free(value);
    map_free(d->signers);
    d->signers = NULL;
}

/* The one that nobody has used for longest makes room. */
static void make_room(struct directory *d) {
    if (map_count(d->signers) < DIRECTORY_SIGNERS_MAX)
        return;
    size_t cursor = 0;
    struct view key;
    void *value;
    const struct directory_signer *oldest = NULL;
    while (map_next(d->signers, &cursor, &key, &value)) {
        const struct directory_signer *signer = value;
        if (!oldest || signer->used < oldest->used)
            oldest = signer;
    }
    if (oldest)
        directory_signer_forget(d, view_of(oldest->domain, oldest->domain_n));
}

static enum err add_key(struct directory *d, struct directory_signer *signer, const struct domain_key *row) {
    struct directory_signer_key *key = &signer->keys[signer->n];
    if (signer->n == DKIM_KEYS_MAX || row->selector.n >= sizeof(key->selector))
        return ERR_LIMIT;
    TRY(dkim_private_key_load(d->crypto, row->key, &key->key));
    memcpy(key->selector, row->selector.p, row->selector.n);
    key->selector_n = row->selector.n;
    signer->n++;
    return ERR_OK;
}

static enum err load(struct directory *d, struct view domain, struct directory_signer *signer) {
    struct domain_key *rows;
    size_t n;
    struct arena *arena = arena_new("signer", SIGNER_BUDGET);
    if (!arena)
        return ERR_NO_MEMORY;
    enum err err = directory_key_list(d->store, domain, arena, &rows, &n);
    for (size_t i = 0; err == ERR_OK && i < n; i++) {
        enum err broken = add_key(d, signer, &rows[i]);
        wipe((void *)rows[i].key.p, rows[i].key.n);
        if (broken == ERR_NO_MEMORY)
            err = broken;
        else if (broken != ERR_OK) /* the others can still sign */
            log_event(&d->env->log, LOG_ERROR, "domain.key", LF_VIEW("domain", domain),
                      LF_VIEW("selector", rows[i].selector), LF_ERR(broken));
    }
    arena_free(arena);
    return err;
}

enum err directory_signer_get(struct directory *d, struct view domain, const struct directory_signer **out) {
    struct directory_signer *signer = map_get(d->signers, domain);
    if (!signer) {
        if (domain.n >= sizeof(signer->domain))
            return ERR_LIMIT;
        signer = calloc(1, sizeof(*signer));
        if (!signer)
            return ERR_NO_MEMORY;
        memcpy(signer->domain, domain.p, domain.n);
        signer->domain_n = domain.n;
        enum err err = load(d, domain, signer);
        if (err == ERR_OK) {
            make_room(d);
            err = map_put(d->signers, domain, signer);
        }
        if (err != ERR_OK) {
            signer_free(signer);
            return err;
        }
    }
    signer->used = ++d->signers_clock;
    *out = signer;
    return ERR_OK;
}

/* ---- what edges ask ---- */

/* The keys for an author, if this peer's login may write as it. Whose the session is comes from the channel. */
static enum err signer_for(struct directory_peer *peer, uint64_t session_id, struct view address, struct arena *arena,
                           const struct directory_signer **out) {
    struct directory *d = peer->directory;
    struct view whole, local, domain;
    const struct auth_session *session = directory_session(d, peer, session_id);
    if (!session)
        return ERR_NOT_FOUND;
    enum err err = directory_normalise(address, arena, &whole, &local, &domain);
    if (err == ERR_SYNTAX)
        return ERR_DENIED;
    TRY(err);
    TRY(directory_may_send_as(d, session, whole, arena));
    return directory_signer_get(d, domain, out);
}

enum err directory_handle_dkim_keys(void *ctx, struct call *call, void *reply,
                                    struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply_handles;
    const struct dkim_keys *request = call->request;
    struct dkim_keys_result *result = reply;
    const struct directory_signer *signer;
    TRY(signer_for(ctx, request->session, request->address, call->arena, &signer));
    struct dkim_selector *keys = ARENA_ARRAY(call->arena, DKIM_KEYS_MAX, struct dkim_selector);
    if (!keys)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < signer->n; i++) {
        keys[i].algorithm = (uint8_t)dkim_private_key_algorithm(signer->keys[i].key);
        TRY(arena_view(call->arena, view_of(signer->keys[i].selector, signer->keys[i].selector_n), &keys[i].name));
    }
    TRY(arena_view(call->arena, view_of(signer->domain, signer->domain_n), &result->domain));
    result->keys = keys;
    result->keys_n = (uint32_t)signer->n;
    return ERR_OK;
}

enum err directory_handle_dkim_sign(void *ctx, struct call *call, void *reply,
                                    struct handle reply_handles[CHANNEL_HANDLES_MAX]) {
    (void)reply_handles;
    const struct dkim_sign_request *request = call->request;
    struct dkim_sign_result *result = reply;
    const struct directory_signer *signer;
    if (request->digest.n != DKIM_DIGEST_SIZE)
        return ERR_DENIED;
    TRY(signer_for(ctx, request->session, request->address, call->arena, &signer));
    for (size_t i = 0; i < signer->n; i++) {
        const struct directory_signer_key *key = &signer->keys[i];
        if (!view_eq(view_of(key->selector, key->selector_n), request->selector))
            continue;
        struct buf signature;
        buf_init(&signature, DKIM_SIGNATURE_MAX);
        enum err err = dkim_private_key_sign(key->key, request->digest.p, &signature);
        if (err == ERR_OK)
            err = arena_view(call->arena, buf_view(&signature), &result->signature);
        buf_fini(&signature);
        return err;
    }
    return ERR_NOT_FOUND;
}
