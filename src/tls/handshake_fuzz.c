/*
 * A peer's octets into a handshake, in pieces of any size, on a virtual loop.
 * First octet: the lowest bit chooses the server (0) or a client (1), the rest
 * the size of pieces.
 */
#include "tls/tls.h"

#include <stdlib.h>

struct setup {
    struct tls_signer signer;
    struct tls_library *library;
    struct tls_key *key;
    struct tls_server *server;
    struct tls_client *client;
};

static enum err sign(struct tls_signer *signer, uint64_t key, uint16_t scheme, struct view tbs, struct buf *out) {
    (void)key;
    return tls_key_sign(((struct setup *)signer)->key, scheme, tbs, out);
}

static enum err set_up(struct setup *s) {
    static const struct view names[] = {VIEW_INIT("localhost"), VIEW_INIT("*.example.org")};
    static const struct view protocols[] = {VIEW_INIT("imap"), VIEW_INIT("smtp")};
    struct buf key_pem, pem;
    buf_init(&key_pem, TLS_CHAIN_MAX);
    buf_init(&pem, TLS_CHAIN_MAX);
    s->signer.sign = sign;
    TRY(tls_library_new(&s->library));
    TRY(tls_make_self_signed(names, ARRAY_LEN(names), 0, &key_pem, &pem));
    TRY(tls_key_load(buf_view(&key_pem), &s->key));
    TRY(tls_server_new(s->library, &s->signer, random_system(), &s->server));
    TRY(tls_server_add_chain(s->server, 1, buf_view(&pem)));
    TRY(tls_server_set_alpn(s->server, protocols, ARRAY_LEN(protocols)));
    TRY(tls_client_new(s->library, &s->client));
    buf_fini(&key_pem);
    buf_fini(&pem);
    return ERR_OK;
}

struct peer {
    struct stream *stream;
    struct view v;
    size_t piece;
};

static void babbles(void *arg) {
    struct peer *p = arg;
    while (p->v.n > 0 && stream_write(p->stream, view_sub(p->v, 0, p->piece), US_NEVER) == ERR_OK)
        p->v = view_skip(p->v, p->piece);
    stream_shutdown(p->stream);
    uint8_t answer[512];
    size_t got;
    while (stream_read(p->stream, answer, sizeof(answer), US_NEVER, &got) == ERR_OK)
        ;
    stream_free(p->stream);
}

struct side {
    struct setup *setup;
    struct stream *inner;
    bool is_client, is_done;
};

static void shakes_hands(void *arg) {
    struct side *s = arg;
    struct stream *tls;
    struct tls_facts facts;
    int64_t deadline_us = loop_now_us(s->inner->loop) + TLS_HANDSHAKE_US;
    enum err err = s->is_client ? tls_connect(s->setup->client, s->inner, "localhost", NULL, deadline_us, &tls, &facts)
                                : tls_accept(s->setup->server, s->inner, deadline_us, &tls, &facts);
    BUG_IF(err == ERR_OK); /* nobody guesses a Finished */
    BUG_IF(err == ERR_BUG || err == ERR_CANCELED);
    stream_free(s->inner);
    s->is_done = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct setup *setup;
    if (setup == NULL) {
        setup = calloc(1, sizeof(*setup));
        BUG_IF(setup == NULL || set_up(setup) != ERR_OK);
    }
    if (size < 1)
        return 0;
    struct virtual_clock clock;
    virtual_clock_init(&clock, 0);
    struct loop *loop = loop_new_virtual(&clock, NULL, NULL);
    struct side side = {.setup = setup, .is_client = data[0] & 1};
    struct peer peer = {.v = view_of(data + 1, size - 1), .piece = 1 + (data[0] >> 1) * (size_t)8};
    BUG_IF(loop == NULL || stream_new_pair(loop, 4096, &side.inner, &peer.stream) != ERR_OK);
    BUG_IF(co_spawn(loop, NULL, "peer", babbles, &peer, NULL) != ERR_OK);
    BUG_IF(co_spawn(loop, NULL, "handshake", shakes_hands, &side, NULL) != ERR_OK);
    loop_run(loop);
    BUG_IF(!side.is_done);
    loop_free(loop);
    return 0;
}
