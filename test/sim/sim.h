/*
 * The whole server in one process: every role's real code on one virtual clock,
 * a simulated network and disk, seeded scheduling and faults. The same seed
 * plays the same story; a failing test prints it.
 */
#ifndef TEST_SIM_H
#define TEST_SIM_H

#include "base/disk_sim.h"
#include "loop/net_sim.h"
#include "roles/supervisor.h"
#include "tls/tls.h"

#define SIM_SMTP_PORT 25
#define SIM_SUBMISSIONS_PORT 465
#define SIM_IMAPS_PORT 993
#define SIM_PASSWORD "veredus"
#define SIM_WALL_US (INT64_C(1795555555) * US_PER_S) /* some day in 2026 */

struct sim_role;
struct sim {
    uint64_t seed;
    struct virtual_clock clock;
    struct random_seeded random;
    struct log_sink sink;
    struct log log;
    struct loop *loop;
    struct disk *disk; /* the data directory */
    struct net *net;
    struct config config;
    struct arena *arena;
    struct spawner spawner;
    struct sim_role *roles; /* living ones */
    struct supervisor *supervisor;
    struct tls_library *library;
    struct tls_client *tls;
    struct seed_account *seeds;
    size_t seeds_n;
    uint64_t story; /* a digest of every log line with its time: equal for equal seeds */
    bool verbose;
    bool quiet; /* error lines are expected */
    unsigned kills;
    const struct role_def *override_edge; /* what edge 1 runs instead of the honest code (config.edges = 2) */
};

/* disk: from an earlier life, or NULL for an empty one; taken over. accounts: "user@localhost", ... */
void sim_init(struct sim *sim, uint64_t seed, struct disk *disk, const char *const *accounts, size_t n);
/* On a coroutine of sim->loop: starts the server and waits until every listener accepts. */
enum err sim_start(struct sim *sim);
void sim_stop(struct sim *sim);
/* Gives the disk back (the caller's), everything else is freed. */
struct disk *sim_fini(struct sim *sim);

/* Runs body(arg) on a coroutine until it returned. False when the story got stuck: that is a failure. */
bool sim_run(struct sim *sim, void (*body)(struct sim *sim, void *arg), void *arg);

/* Kills one process as SIGKILL would: its disk is dead and its channels break at once. account only for mailboxes (0: any). False: none lives. */
bool sim_kill(struct sim *sim, enum role role, uint64_t account);
/* A living role's environment, or NULL. */
struct role_env *sim_role_env(struct sim *sim, enum role role, uint32_t index);
/* One at random, mailboxes included; never the supervisor. */
void sim_kill_any(struct sim *sim);

/* ---- clients ---- */

struct sim_client {
    struct sim *sim;
    struct stream *stream;
    struct input input;
};
/* tls: wraps the connection. */
enum err sim_connect(struct sim *sim, uint16_t port, bool tls, struct sim_client *client) MUST_CHECK;
void sim_close(struct sim_client *client);
/* One line without its CRLF; valid until the next read. */
enum err sim_read_line(struct sim_client *client, struct view *line) MUST_CHECK;
enum err sim_write(struct sim_client *client, struct view v) MUST_CHECK;
/* SMTP: sends a command (NULL: none), reads the whole reply, gives its code. */
enum err sim_smtp(struct sim_client *client, const char *command, unsigned *code) MUST_CHECK;
/* A connection to port 25, greeted; closed on an error. */
enum err sim_smtp_open(struct sim *sim, struct sim_client *client) MUST_CHECK;
/* A whole message from EHLO's state to the reply after the dot. */
enum err sim_smtp_send(struct sim_client *client, const char *from, const char *const *to, size_t n,
                       struct view message, unsigned *code) MUST_CHECK;
/* IMAP: sends a command and reads to its tagged reply; everything that came goes to out (may be NULL). *ok: tagged OK. */
enum err sim_imap(struct sim_client *client, const char *command, struct buf *out, bool *ok) MUST_CHECK;
enum err sim_imap_login(struct sim *sim, const char *user, struct sim_client *client) MUST_CHECK;

/* ---- judging a disk ---- */

/* How often a message that contains `needle` is stored in an account (by its number from 1) of this disk; -1 when the store cannot be
 * opened or does not verify (text on stderr). Works on a dead image, no server needed. */
int sim_count_messages(struct disk *disk, uint64_t account, struct view needle);

#endif
