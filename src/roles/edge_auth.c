/*
 * Logins at the edge: a password becomes a SCRAM proof here, in slices, and goes
 * no further (DESIGN.md, "Passwords").
 */
#include "roles/edge.h"

#include <string.h>

/* SaltedPassword, yielding between slices. ERR_CANCELED when the connection goes away meanwhile. */
static enum err derive(struct view password, const struct auth_challenge *challenge, uint8_t *salted) {
    struct scram_derivation d;
    TRY(scram_derivation_init(&d, SCRAM_SHA256, password, challenge->salt, challenge->iterations));
    enum err err = ERR_OK;
    while (err == ERR_OK && !scram_derivation_step(&d, EDGE_DERIVE_ROUNDS))
        err = co_yield ();
    if (err == ERR_OK)
        memcpy(salted, d.result, scram_key_size(SCRAM_SHA256));
    scram_derivation_fini(&d);
    return err;
}

struct exchange {
    struct buf first_bare, final_bare, message;
    uint8_t salted[SCRAM_KEY_MAX], proof[SCRAM_KEY_MAX], signature[SCRAM_KEY_MAX];
};

static enum err prove(struct edge_connection *c, struct exchange *x, const struct auth_challenge *challenge,
                      struct view password, struct arena *arena, struct auth_result *result) {
    size_t n = scram_key_size(SCRAM_SHA256);
    struct buf prepared;
    buf_init_secret(&prepared, SCRAM_PASSWORD_MAX);
    enum err err = sasl_prepare_password(password, &prepared);
    /* An impossible password is as wrong as any other, and takes as long. */
    struct view used = err == ERR_OK ? buf_view(&prepared) : view_sub(password, 0, SCRAM_PASSWORD_MAX);
    bool impossible = err != ERR_OK;
    err = derive(used, challenge, x->salted);
    buf_fini(&prepared);
    TRY(err);
    scram_put_client_final_bare(&x->final_bare, VIEW("n,,"), challenge->nonce);
    buf_put(&x->message, buf_view(&x->first_bare));
    buf_put_byte(&x->message, ',');
    scram_put_server_first(&x->message, challenge->nonce, challenge->salt, challenge->iterations);
    buf_put_byte(&x->message, ',');
    buf_put(&x->message, buf_view(&x->final_bare));
    TRY(buf_err(&x->message));
    TRY(scram_client_proof(SCRAM_SHA256, view_of(x->salted, n), buf_view(&x->message), x->proof, x->signature));
    if (impossible)
        random_fill(c->edge->env->random, x->proof, n);
    struct auth_proof proof = {
        .session = challenge->session,
        .client_first_bare = buf_view(&x->first_bare),
        .client_final_bare = buf_view(&x->final_bare),
        .proof = view_of(x->proof, n),
    };
    return role_peer_call(&c->edge->directory, &message_auth_proof, &proof, NULL, 0,
                          loop_now_us(c->edge->env->loop) + ROLE_CALL_US, arena, result, NULL);
}

void edge_login_end(struct edge *edge, uint64_t session) {
    struct auth_end end = {.session = session};
    if (session && edge->directory.channel)
        (void)!channel_send(edge->directory.channel, &message_auth_end, &end, NULL, 0);
}

enum err edge_login_password(struct edge_connection *c, enum protocol protocol, struct view user, struct view password,
                             struct arena *arena, struct edge_login *out) {
    struct edge *edge = c->edge;
    uint8_t nonce[SCRAM_NONCE_SIZE];
    scram_make_nonce(edge->env->random, nonce);
    struct auth_start start = {
        .user = view_sub(user, 0, MESSAGE_ADDRESS_MAX),
        .client_nonce = view_of(nonce, sizeof(nonce)),
        .hash = SCRAM_SHA256,
        .protocol = (uint8_t)protocol,
        .peer = c->peer,
    };
    struct auth_challenge challenge;
    TRY(role_peer_call(&edge->directory, &message_auth_start, &start, NULL, 0,
                       loop_now_us(edge->env->loop) + ROLE_CALL_US, arena, &challenge, NULL));
    enum err err = challenge.delay_us > 0 ? co_sleep(challenge.delay_us) : ERR_OK;
    struct exchange x = {0};
    buf_init(&x.first_bare, 1000);
    buf_init(&x.final_bare, 1000);
    buf_init(&x.message, 4096);
    scram_put_client_first_bare(&x.first_bare, start.user, start.client_nonce);
    struct auth_result result;
    if (err == ERR_OK)
        err = prove(c, &x, &challenge, password, arena, &result);
    buf_fini(&x.first_bare);
    buf_fini(&x.final_bare);
    buf_fini(&x.message);
    wipe(&x, sizeof(x));
    if (err != ERR_OK && err != ERR_DENIED) /* directory may still hold it, even as proven */
        edge_login_end(edge, challenge.session);
    TRY(err);
    *out = (struct edge_login){
        .session = challenge.session, .account = result.account, .address = result.address, .grant = result.grant};
    c->account = result.account;
    c->address_n = MIN(result.address.n, sizeof(c->address) - 1);
    memcpy(c->address, result.address.p, c->address_n);
    return ERR_OK;
}
