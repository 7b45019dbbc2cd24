/* Inside of imap/: what the session's core and its commands share. Not for other folders. */
#ifndef IMAP_ENGINE_H
#define IMAP_ENGINE_H

#include "imap/parse.h"
#include "imap/seqmap.h"
#include "imap/session.h"
#include "imap/utf7.h"
#include "imap/wire.h"

#define IMAP_COMMAND_ARENA ((size_t)1024 * 1024)  /* values of one command: a line of 64 KiB and what is made of it */
#define IMAP_WORK_ARENA ((size_t)4 * 1024 * 1024) /* one batch of the store's answers */
#define IMAP_CHUNK_ARENA ((size_t)ACCOUNT_READ_MAX * 2) /* one piece of a blob */
#define IMAP_LIST_ARENA ((size_t)16 * 1024 * 1024)      /* all names of ACCOUNT_MAILBOXES_MAX mailboxes */
#define IMAP_HEADER_MAX ((size_t)4 * 1024 * 1024)       /* octets of a header that are searched or picked fields from */
#define IMAP_BUILT_MAX \
    ((size_t)16 * 1024 * 1024) /* a structure over ACCOUNT_DERIVED_MAX: MESSAGE_ARENA_BUDGET, escaped */
#define IMAP_OWN_MAX ((size_t)ACCOUNT_BATCH_MAX * 4) /* own changes remembered until they come back as news */

/* A change that this session made and has told: not news when the store reports it. */
struct imap_own {
    uint32_t uid;
    uint64_t modseq;
};
struct imap_keyword {
    uint8_t n;
    uint8_t text[ACCOUNT_KEYWORD_MAX];
};

struct imap_selected {
    uint64_t id; /* 0: none */
    bool is_readonly;
    uint32_t uidvalidity, uidnext; /* uidnext: above every UID this session was ever told of */
    uint64_t modseq;               /* news are asked for from here */
    uint32_t told_recent;
    struct seqmap told;   /* the sequence numbers as the client knows them */
    struct seqmap gone;   /* removed, but the client may not be told yet (RFC3501-7.4.1) */
    struct seqmap recent; /* RFC3501-2.3.2: \Recent is ours */
    struct vec own;       /* struct imap_own */
    struct vec keywords;  /* struct imap_keyword: told in FLAGS */
};

struct imap_session {
    struct account *account;
    struct stream *stream;
    const struct imap_session_ops *ops;
    void *ctx;
    const struct charset_table *charsets;

    struct imap_out out;
    struct imap_wire wire;
    struct arena *arena; /* the command's */
    struct arena *work;  /* cleared for each batch */
    struct arena *chunk; /* cleared for each piece of a blob */
    struct arena *keep;  /* as long as the session: ID data */

    struct account_watcher watcher;
    bool is_noted;   /* the store has news for us */
    bool is_failing; /* it could not tell them */
    bool is_waiting; /* reading while IDLE: news interrupt */

    struct imap_selected sel;
    struct imap_id client_id;
    uint8_t login_tag[IMAP_TAG_MAX]; /* to be answered first; n = 0: done */
    size_t login_tag_n;
    uint8_t idle_tag[IMAP_TAG_MAX]; /* of an IDLE in progress; n = 0: none */
    size_t idle_tag_n;
    uint64_t append_max;
    int64_t idle_timeout_us;
    uint32_t bad, bad_max;
    const char *running;       /* name of the command */
    const char *shutdown_text; /* say BYE */
    bool is_over;
    enum imap_session_end end;
};

enum imap_reply_kind { IMAP_REPLY_OK, IMAP_REPLY_NO, IMAP_REPLY_BAD };

struct imap_command;
/* One command being run. */
struct imap_job {
    const struct imap_command *command;
    struct view tag;
    bool is_uid;
    void *args;       /* what command->parse made */
    uint64_t literal; /* of a streamed literal */
    bool literal_is_sync;
    bool has_literal; /* it is still to be read */
    bool answered;    /* the command wrote its tagged response, or it must not be written */
    enum imap_reply_kind kind;
    struct view code; /* without brackets; may be empty */
    const char *text;
};

#define IMAP_IN_AUTHENTICATED 1u
#define IMAP_IN_SELECTED 2u
#define IMAP_ANYTIME 3u
struct imap_command {
    struct view name;
    unsigned states;
    bool has_uid;       /* also as "UID name" */
    bool only_uid;      /* "UID name" is another row than "name" */
    bool hides_expunge; /* RFC3501-7.4.1: no EXPUNGE responses while it runs, unless as UID variant */
    bool writes;        /* not in a mailbox opened by EXAMINE */
    enum err (*parse)(struct imap_parser *p, struct imap_job *job); /* NULL: takes nothing */
    void (*run)(struct imap_session *s, struct imap_job *job);
};
extern const struct imap_command imap_commands[];
extern const size_t imap_commands_n;
/* Reads tag, name and arguments: job->command, tag and args. Pure. */
enum err imap_command_parse(struct imap_parser *p, struct imap_job *job);
/* cmd_append.c: the command so far ends with the announcement of the message, not of a name. Pure. */
bool imap_append_is_message(struct view so_far, struct arena *arena);

/* ---- replies ---- */
void imap_ok(struct imap_job *job, const char *text);
void imap_no(struct imap_job *job, struct view code, const char *text);
void imap_bad(struct imap_job *job, const char *text);
/* NO with the response code of an error class (RFC5530-3). */
void imap_no_err(struct imap_session *s, struct imap_job *job, enum err err);
void imap_note(struct imap_session *s, const char *event, struct view detail, enum err err);

/* ---- session.c ---- */
/* A session in its first state, without a login to answer. */
enum err imap_session_create(const struct imap_session_params *params, struct view unread,
                             struct imap_session **out) MUST_CHECK;
void imap_deselect(struct imap_session *s);
void imap_end(struct imap_session *s, enum imap_session_end end);

/* ---- news.c ---- */
/* Tells what has changed. may_expunge: sequence numbers may change now. */
void imap_tell_news(struct imap_session *s, bool may_expunge);
/* Remembers a change that has been told. */
void imap_remember_own(struct imap_session *s, uint32_t uid, uint64_t modseq);
/* Reads the whole map of UIDs. */
enum err imap_load_map(struct imap_session *s, struct seqmap *map, uint64_t *modseq) MUST_CHECK;
/* "FLAGS (...)" of a message, without a line end. */
void imap_put_flags(struct imap_session *s, const struct message_item *item);
/* Tells FLAGS and PERMANENTFLAGS again when an item has keywords that were not told. */
void imap_tell_keywords(struct imap_session *s, const struct keyword *keywords, uint32_t n);
void imap_put_mailbox_flags(struct imap_session *s);
void imap_put_number_line(struct imap_session *s, uint32_t number, struct view what);

/* ---- uids.c ---- */
/* Settles a set against what the client knows. False (and BAD) when it names a sequence number that is not there. */
bool imap_settle(struct imap_session *s, struct imap_job *job, struct imap_set *set);
/* The told UIDs of a settled set from `from` on, as ranges in s->work: at most max_ranges ranges and max messages. *next: where
 * to go on, 0 at the end. */
enum err imap_uids(struct imap_session *s, const struct imap_set *set, bool is_uid, uint32_t from, uint32_t max,
                   uint32_t max_ranges, struct uid_range **ranges, uint32_t *n, uint32_t *messages,
                   uint32_t *next) MUST_CHECK;
/* "1:3,5" */
void imap_put_ranges(struct buf *out, const struct uid_range *ranges, uint32_t n);

/* ---- names ---- */
/* A mailbox name as astring in modified UTF-7. */
void imap_put_mailbox(struct buf *out, struct view name);
/* mailbox_get by name. */
enum err imap_find_mailbox(struct imap_session *s, struct view name, struct mailbox *out) MUST_CHECK;
/* Without a trailing separator (RFC3501-6.3.3). */
struct view imap_trim_name(struct view name);

/* ---- blobs: load.c ---- */
/* Sends octets of a blob in pieces. Failing in the middle ends the session. */
void imap_send_blob(struct imap_session *s, uint64_t blob, uint64_t from, uint64_t n);
/* Reads octets of a blob into buf (cleared first). */
enum err imap_load_blob(struct imap_session *s, uint64_t blob, uint64_t from, uint64_t n, struct buf *out) MUST_CHECK;

/* Each command's parse and run, for the table. */
#define IMAP_COMMAND_DECLARE(name)                                           \
    enum err imap_parse_##name(struct imap_parser *p, struct imap_job *job); \
    void imap_run_##name(struct imap_session *s, struct imap_job *job)
#define IMAP_COMMAND_DECLARE_PLAIN(name) void imap_run_##name(struct imap_session *s, struct imap_job *job)
IMAP_COMMAND_DECLARE_PLAIN(capability);
IMAP_COMMAND_DECLARE_PLAIN(noop);
IMAP_COMMAND_DECLARE_PLAIN(logout);
IMAP_COMMAND_DECLARE_PLAIN(namespace);
IMAP_COMMAND_DECLARE_PLAIN(check);
IMAP_COMMAND_DECLARE_PLAIN(close);
IMAP_COMMAND_DECLARE_PLAIN(unselect);
IMAP_COMMAND_DECLARE_PLAIN(expunge);
IMAP_COMMAND_DECLARE_PLAIN(idle);
IMAP_COMMAND_DECLARE_PLAIN(unauthenticate);
IMAP_COMMAND_DECLARE(id_command);
IMAP_COMMAND_DECLARE(enable);
IMAP_COMMAND_DECLARE(list);
IMAP_COMMAND_DECLARE(lsub);
IMAP_COMMAND_DECLARE(subscribe);
IMAP_COMMAND_DECLARE_PLAIN(unsubscribe);
IMAP_COMMAND_DECLARE(create);
IMAP_COMMAND_DECLARE_PLAIN(delete);
IMAP_COMMAND_DECLARE(rename);
IMAP_COMMAND_DECLARE(status);
IMAP_COMMAND_DECLARE(select);
IMAP_COMMAND_DECLARE_PLAIN(examine);
IMAP_COMMAND_DECLARE(append);
IMAP_COMMAND_DECLARE(uid_expunge);
IMAP_COMMAND_DECLARE(search_command);
IMAP_COMMAND_DECLARE(fetch);
IMAP_COMMAND_DECLARE(store);
IMAP_COMMAND_DECLARE(copy);
IMAP_COMMAND_DECLARE_PLAIN(move);
/* IDLE goes on over several steps. */
void imap_idle_step(struct imap_session *s);
/* One mailbox name and nothing else. */
enum err imap_parse_one_mailbox(struct imap_parser *p, struct imap_job *job);

#endif
