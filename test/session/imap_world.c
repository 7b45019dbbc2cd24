/* IMAP sessions in one process, for tests. */
#include "session/imap_world.h"

#include <stdlib.h>

#define WORLD_WALL_US (INT64_C(1795557600) * US_PER_S)
#define PATIENCE_US (10 * US_PER_S) /* virtual */
#define PAIR_CAPACITY ((size_t)64 * 1024)
#define TRANSCRIPT_MAX ((size_t)64 * 1024 * 1024)

static void must(enum err err) {
    BUG_IF(err != ERR_OK);
}

/* ---- the server's side ---- */

static void serve(void *arg) {
    struct imap_peer *peer = arg;
    struct imap_world *w = peer->world;
    struct imap_session_params params = {.account = w->account, .stream = peer->server};
    struct imap_handover handover = {.tag = VIEW("login"), .command = VIEW("LOGIN")};
    struct imap_session *session;
    must(imap_session_new(&params, &handover, &session));
    while (imap_session_step(session, &peer->end) == ERR_OK) {
        if (!w->by_saving)
            continue;
        struct buf saved;
        buf_init(&saved, (size_t)4 * 1024 * 1024);
        must(imap_session_save(session, &saved));
        imap_session_free(session);
        must(imap_session_restore(&params, buf_view(&saved), &session));
        buf_fini(&saved);
        w->saves++;
    }
    imap_session_free(session);
    stream_free(peer->server);
    peer->is_running = false;
}

void imap_world_init(struct imap_world *w, bool by_octet, bool by_saving) {
    *w = (struct imap_world){.by_octet = by_octet, .by_saving = by_saving};
    virtual_clock_init(&w->clock, WORLD_WALL_US);
    random_seeded_init(&w->random, 42);
    w->loop = loop_new_virtual(&w->clock, NULL, NULL);
    w->disk = disk_sim_new();
    BUG_IF(w->loop == NULL || w->disk == NULL);
    struct sqlite_account_params params = {
        .loop = w->loop, .disk = w->disk, .clock = &w->clock.clock, .random = &w->random.random, .size_max = 50000000};
    must(sqlite_account_open(&params, &w->account));
}

void imap_world_run(struct imap_world *w, void (*client)(void *arg), void *arg) {
    must(co_spawn(w->loop, NULL, "client", client, arg, NULL));
    loop_run(w->loop);
}

void imap_world_fini(struct imap_world *w, struct buf *problems) {
    unsigned n = 0;
    for (size_t i = 0; i < IMAP_WORLD_SESSIONS; i++) {
        BUG_IF(w->peers[i].is_running);
        if (w->peers[i].is_open)
            buf_fini(&w->peers[i].received);
    }
    must(sqlite_account_verify(w->account, problems, &n));
    account_free(w->account);
    disk_free(w->disk);
    loop_free(w->loop);
}

/* ---- the client's side ---- */

struct imap_peer *imap_world_open(struct imap_world *w, size_t session) {
    struct imap_peer *peer = &w->peers[MIN(session, IMAP_WORLD_SESSIONS - 1)];
    if (peer->is_open)
        return peer;
    peer->world = w;
    peer->is_open = peer->is_running = true;
    buf_init(&peer->received, TRANSCRIPT_MAX);
    must(stream_new_pair(w->loop, PAIR_CAPACITY, &peer->server, &peer->client));
    must(co_spawn(w->loop, NULL, "session", serve, peer, NULL));
    return peer;
}

static bool fill(struct imap_world *w, struct imap_peer *peer, int64_t for_us) {
    uint8_t octets[4096];
    size_t got;
    if (peer->is_ended)
        return false;
    enum err err = stream_read(peer->client, octets, sizeof(octets), loop_now_us(w->loop) + for_us, &got);
    if (err == ERR_OK)
        buf_put(&peer->received, view_of(octets, got));
    else if (err != ERR_TIMEOUT)
        peer->is_ended = true;
    return err == ERR_OK;
}

static struct view rest(const struct imap_peer *peer) {
    return view_skip(buf_view(&peer->received), peer->at);
}

struct view imap_world_line(struct imap_world *w, struct imap_peer *peer) {
    ssize_t lf;
    while ((lf = view_find_byte(rest(peer), '\n')) < 0 && fill(w, peer, PATIENCE_US))
        continue;
    struct view line = lf < 0 ? rest(peer) : view_sub(rest(peer), 0, (size_t)lf + 1);
    peer->at += line.n;
    return line;
}

struct view imap_world_octets(struct imap_world *w, struct imap_peer *peer, size_t n) {
    while (rest(peer).n < n && fill(w, peer, PATIENCE_US))
        continue;
    struct view octets = view_sub(rest(peer), 0, n);
    peer->at += octets.n;
    return octets;
}

void imap_world_send(struct imap_world *w, struct imap_peer *peer, struct view octets) {
    size_t step = w->by_octet ? 1 : octets.n;
    while (octets.n > 0) {
        struct view piece = view_sub(octets, 0, step);
        if (stream_write(peer->client, piece, loop_now_us(w->loop) + PATIENCE_US) != ERR_OK)
            return; /* what is read next says what is wrong */
        octets = view_skip(octets, piece.n);
        if (w->by_octet && co_yield () != ERR_OK)
            return;
    }
}

struct view imap_world_close(struct imap_world *w, struct imap_peer *peer) {
    while (fill(w, peer, US_PER_S / 10))
        continue;
    struct view left = rest(peer);
    peer->at += left.n;
    stream_free(peer->client);
    return left;
}
