/*
 * Several IMAP sessions on one account in one process: the real engine on the
 * real store (a simulated disk), stream pairs, a virtual clock. What the tests
 * of IMAP sessions share.
 */
#ifndef SESSION_IMAP_WORLD_H
#define SESSION_IMAP_WORLD_H

#include "base/disk_sim.h"
#include "imap/session.h"
#include "store/sqlite/sqlite_account.h"

#define IMAP_WORLD_SESSIONS 4

struct imap_world;
struct imap_peer {
    struct imap_world *world;
    struct stream *client, *server;
    struct buf received; /* everything that ever came */
    size_t at;           /* read so far */
    bool is_running, is_ended, is_open;
    enum imap_session_end end;
};
struct imap_world {
    struct virtual_clock clock;
    struct random_seeded random;
    struct loop *loop;
    struct disk *disk;
    struct account *account;
    struct imap_peer peers[IMAP_WORLD_SESSIONS];
    bool by_octet;  /* input octet by octet */
    bool by_saving; /* sessions are saved and restored between any two commands */
    unsigned saves;
};

/* A world with an account made new; ends the process when that fails. */
void imap_world_init(struct imap_world *w, bool by_octet, bool by_saving);
/* Runs the client's side on a coroutine until everything is quiet. */
void imap_world_run(struct imap_world *w, void (*client)(void *arg), void *arg);
/* What is wrong with the store, empty when nothing is; frees everything but that. */
void imap_world_fini(struct imap_world *w, struct buf *problems);

/* On the client's coroutine: */
struct imap_peer *imap_world_open(struct imap_world *w, size_t session);
void imap_world_send(struct imap_world *w, struct imap_peer *peer, struct view octets);
/* The next line, with its end; empty when none comes. */
struct view imap_world_line(struct imap_world *w, struct imap_peer *peer);
/* Octets of the current place, for literals; shorter when no more come. */
struct view imap_world_octets(struct imap_world *w, struct imap_peer *peer, size_t n);
/* What is left when nothing comes any more; closes the client's end. */
struct view imap_world_close(struct imap_world *w, struct imap_peer *peer);

#endif
