/*
 * TLS over a stream. The SSL object reads and writes memory only; what moves
 * octets between that memory and the inner stream suspends, outside of
 * OpenSSL. So a reading and a writing coroutine share the SSL object without
 * ever being in it together. Only the handshake is one OpenSSL call that may
 * suspend, in the signer, and nobody else has the stream then.
 */
#include "tls/tls_internal.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

/* An idle stream waits with a small buffer; it grows to more than a record (RFC8446-5.2: 2^14 + 256 + 5 octets) while the peer fills it. */
#define IN_FIRST ((size_t)512)
#define IN_LARGEST ((size_t)32 * 1024)
/* Plain text given to the SSL object at a time: two records. */
#define WRITE_PIECE ((size_t)32 * 1024)
/* A flight with a chain (TLS_CHAIN_MAX for each kind of key), or WRITE_PIECE, and what the reader answers meanwhile. */
#define OUT_MAX ((size_t)256 * 1024)

static struct tls_stream *tls_of(struct stream *stream) {
    return (struct tls_stream *)stream;
}

/* ---- the SSL object's side ---- */

static int bio_read(BIO *bio, char *p, size_t cap, size_t *got) {
    struct tls_stream *t = BIO_get_data(bio);
    size_t n = MIN(cap, t->in_n - t->in_at);
    BIO_clear_retry_flags(bio);
    if (n == 0) {
        /* Even at the end: that is found outside, and leaves the SSL object good for writing. */
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(p, t->in + t->in_at, n);
    t->in_at += n;
    *got = n;
    return 1;
}

static int bio_write(BIO *bio, const char *p, size_t n, size_t *written) {
    struct tls_stream *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    buf_put(&t->out, view_of(p, n));
    if (buf_err(&t->out) != ERR_OK)
        return -1;
    *written = n;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio) {
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *tls_stream_bio_method(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream");
    if (method == NULL)
        return NULL;
    if (BIO_meth_set_read_ex(method, bio_read) != 1 || BIO_meth_set_write_ex(method, bio_write) != 1 ||
        BIO_meth_set_ctrl(method, bio_ctrl) != 1 || BIO_meth_set_create(method, bio_create) != 1) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

/* ---- the inner stream's side ---- */

/* Reads more, once everything read was taken. */
static enum err fill(struct tls_stream *t, int64_t deadline_us) {
    BUG_IF(t->in_at < t->in_n);
    t->in_at = t->in_n = 0;
    if (t->in_cap != t->in_want) {
        free(t->in);
        t->in = malloc(t->in_want);
        t->in_cap = t->in != NULL ? t->in_want : 0;
        if (t->in == NULL)
            return ERR_NO_MEMORY;
    }
    size_t got;
    enum err err = stream_read(t->inner, t->in, t->in_cap, deadline_us, &got);
    if (err == ERR_CLOSED) {
        t->is_ended = true;
        return ERR_OK;
    }
    TRY(err);
    t->in_n = got;
    if (got == t->in_cap)
        t->in_want = MIN(t->in_want * 2, IN_LARGEST);
    else if (got < IN_FIRST)
        t->in_want = IN_FIRST;
    return ERR_OK;
}

/* Writes all of `out`. One coroutine does it, for all that need it done; they wait. */
static enum err flush(struct tls_stream *t, int64_t deadline_us) {
    while (t->is_flushing)
        TRY(waitq_wait(&t->flushed, deadline_us));
    while (t->out.n > 0 && t->failed == ERR_OK) {
        struct buf piece = t->out; /* others put into a new one meanwhile */
        buf_init(&t->out, OUT_MAX);
        t->is_flushing = true;
        enum err err = stream_write(t->inner, buf_view(&piece), deadline_us);
        t->is_flushing = false;
        buf_fini(&piece);
        waitq_wake_all(&t->flushed);
        if (err != ERR_OK) {
            /* A record was cut; that this coroutine was cancelled or in a hurry is not the others' error. */
            t->failed = err == ERR_CANCELED || err == ERR_TIMEOUT ? ERR_CLOSED : err;
            return err;
        }
    }
    if (t->is_fin_due) {
        t->is_fin_due = false;
        stream_shutdown(t->inner);
    }
    return t->failed;
}

/* ---- handshake ---- */

enum err tls_stream_handshake(struct tls_stream *t, int64_t deadline_us, enum err *failed) {
    for (;;) {
        ERR_clear_error();
        int result = SSL_do_handshake(t->ssl);
        int why = result == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, result);
        enum err from_signer = failed != NULL ? *failed : ERR_OK;
        if (failed != NULL)
            *failed = ERR_OK;
        enum err err = why == SSL_ERROR_SSL || why == SSL_ERROR_SYSCALL ? tls_take_error() : ERR_OK;
        if (buf_err(&t->out) != ERR_OK)
            return buf_err(&t->out);
        enum err flushed = flush(t, deadline_us); /* an alert as well */
        if (from_signer != ERR_OK)
            return from_signer;
        TRY(err);
        TRY(flushed);
        if (result == 1)
            return ERR_OK;
        if (why != SSL_ERROR_WANT_READ)
            return ERR_SYNTAX;
        if (t->is_ended)
            return ERR_CLOSED;
        err = fill(t, deadline_us);
        if (err != ERR_AGAIN) /* somebody's notification, too early to matter */
            TRY(err);
    }
}

static void copy_text(char *to, size_t cap, struct view v) {
    /* What does not fit, or has an end in the middle, is left out: a part of a name is another name. */
    if (v.n >= cap || view_find_byte(v, 0) >= 0)
        v.n = 0;
    if (v.n > 0)
        memcpy(to, v.p, v.n);
    to[v.n] = 0;
}

void tls_stream_get_facts(struct tls_stream *t, struct tls_facts *facts) {
    *facts = (struct tls_facts){.version = (uint16_t)SSL_version(t->ssl), .resumed = SSL_session_reused(t->ssl) == 1};
    copy_text(facts->cipher, sizeof(facts->cipher), view_cstr(SSL_get_cipher_name(t->ssl)));
    copy_text(facts->server_name, sizeof(facts->server_name),
              view_cstr(SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name)));
    const unsigned char *alpn;
    unsigned alpn_n;
    SSL_get0_alpn_selected(t->ssl, &alpn, &alpn_n);
    copy_text(facts->alpn, sizeof(facts->alpn), view_of(alpn, alpn_n));
}

/* ---- the stream ---- */

static enum err tls_read(struct stream *stream, void *p, size_t cap, int64_t deadline_us, size_t *got) {
    struct tls_stream *t = tls_of(stream);
    TRY(co_breathe());
    for (;;) {
        TRY(t->failed);
        ERR_clear_error();
        size_t n = 0;
        int result = SSL_read_ex(t->ssl, p, cap, &n);
        int why = result == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, result);
        if (why == SSL_ERROR_SSL || why == SSL_ERROR_SYSCALL) {
            enum err err = tls_take_error();
            (void)!flush(t, deadline_us); /* the alert; the stream is over anyway */
            t->failed = ERR_CLOSED;
            return err;
        }
        /* An answer to a key update (RFC8446-4.6.3); waiting for it also bounds what a peer can make us owe it. */
        enum err err = t->out.n > 0 ? flush(t, deadline_us) : ERR_OK;
        if (result == 1) {
            *got = n;
            return ERR_OK;
        }
        TRY(err);
        if (why == SSL_ERROR_ZERO_RETURN)
            return ERR_CLOSED;
        if (why != SSL_ERROR_WANT_READ)
            return ERR_BUG;
        if (t->is_ended) {
            t->is_truncated = true;
            return ERR_CLOSED;
        }
        TRY(fill(t, deadline_us));
    }
}

static enum err tls_write(struct stream *stream, struct view v, int64_t deadline_us) {
    struct tls_stream *t = tls_of(stream);
    while (v.n > 0) {
        TRY(co_breathe());
        TRY(t->failed);
        if (t->is_shut)
            return ERR_CLOSED;
        ERR_clear_error();
        size_t n = 0;
        if (SSL_write_ex(t->ssl, v.p, MIN(v.n, WRITE_PIECE), &n) != 1) {
            (void)tls_take_error();
            t->failed = buf_err(&t->out) != ERR_OK ? buf_err(&t->out) : ERR_CLOSED;
            return t->failed;
        }
        v = view_skip(v, n);
        TRY(flush(t, deadline_us));
    }
    return ERR_OK;
}

static void tls_interrupt(struct stream *stream) {
    /* Every wait of a reader for octets is a read of the inner stream. */
    stream_interrupt(tls_of(stream)->inner);
}

static void tls_shutdown(struct stream *stream) {
    struct tls_stream *t = tls_of(stream);
    if (t->is_shut)
        return;
    t->is_shut = true;
    t->is_fin_due = true;
    if (t->failed == ERR_OK) {
        ERR_clear_error();
        (void)SSL_shutdown(t->ssl);
        ERR_clear_error();
    }
    if (t->is_flushing)
        return; /* who writes takes it along */
    /* It fits, or the peer takes nothing and misses nothing. On the main stack nothing can be written. */
    if (co_current() != NULL)
        (void)!flush(t, loop_now_us(stream->loop));
    if (t->is_fin_due)
        stream_shutdown(t->inner);
    t->is_fin_due = false;
}

static int tls_take_fd(struct stream *stream) {
    (void)stream;
    return -1;
}

void tls_stream_discard(struct tls_stream *t) {
    if (t == NULL)
        return;
    SSL_free(t->ssl);
    free(t->in);
    buf_fini(&t->out);
    if (t->server != NULL)
        tls_server_unref(t->server);
    free(t);
}

static void tls_free(struct stream *stream) {
    struct tls_stream *t = tls_of(stream);
    struct stream *inner = t->inner;
    BUG_IF(t->is_flushing || t->flushed.first != NULL);
    tls_stream_discard(t);
    stream_free(inner);
}

static const struct stream_ops tls_ops = {
    .read = tls_read,
    .write = tls_write,
    .interrupt = tls_interrupt,
    .shutdown = tls_shutdown,
    .take_fd = tls_take_fd,
    .free = tls_free,
};

bool tls_stream_is_truncated(const struct stream *stream) {
    return stream->ops == &tls_ops && ((const struct tls_stream *)stream)->is_truncated;
}

enum err tls_stream_new(struct tls_library *library, SSL *ssl, struct stream *inner, struct tls_stream **out) {
    struct tls_stream *t = calloc(1, sizeof(*t));
    BIO *bio = BIO_new(library->bio);
    if (ssl == NULL || t == NULL || bio == NULL) {
        SSL_free(ssl);
        BIO_free(bio);
        free(t);
        ERR_clear_error();
        return ERR_NO_MEMORY;
    }
    BIO_set_data(bio, t);
    SSL_set_bio(ssl, bio, bio);
    t->stream = (struct stream){
        .ops = &tls_ops, .loop = inner->loop, .peer = inner->peer, .local = inner->local, .encrypted = true};
    t->inner = inner;
    t->ssl = ssl;
    t->in_want = IN_FIRST;
    buf_init(&t->out, OUT_MAX);
    *out = t;
    return ERR_OK;
}
