/*
 * The account database, schema 2.
 *
 * Modseqs come from one counter of the account; each changed row of `message`
 * takes its own, so that a list of changes can stop after any row. Ids come from
 * one counter too and are never used again. Names are blobs: compared octet by
 * octet. Keywords of a message are one text, spelled as in `keyword`, sorted,
 * with a space between (RFC3501-9: an atom has no space in it).
 *
 * A column that a migration adds stands at the end of its table here too, so
 * that a new database and a migrated one are the same. A migration changes the
 * schema and no rows: what must be worked out again for messages that are there
 * is done step by step by maintain (rederive.c), and readers live without it.
 */
#include "store/sqlite/schema.h"

static const char schema_sql[] =
    /* One row. uidvalidity is the last one given out; octets and messages count memberships (what the quota is about). hash_key
     * keys the hashes of blobs and of the thread index. */
    "CREATE TABLE account(id INTEGER PRIMARY KEY CHECK(id=1), epoch INTEGER NOT NULL, modseq INTEGER NOT NULL,"
    " next_id INTEGER NOT NULL, uidvalidity INTEGER NOT NULL, octets INTEGER NOT NULL, messages INTEGER NOT NULL,"
    " hash_key BLOB NOT NULL, created_us INTEGER NOT NULL,"
    /* Emails with an id from derive_from up to and without derive_below still have what an older program derived. */
    " derive_from INTEGER NOT NULL DEFAULT 0, derive_below INTEGER NOT NULL DEFAULT 0);"

    /* exists_n, unseen, deleted, octets count messages (IMAP); emails, unseen_emails count distinct emails (JMAP).
     * content_modseq moves with messages, property_modseq with the name and the like, count_modseq with the counts.
     * vanished_floor: removals up to this modseq may have been forgotten. */
    "CREATE TABLE mailbox(id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, use INTEGER NOT NULL, uidvalidity INTEGER "
    "NOT NULL,"
    " uidnext INTEGER NOT NULL, recent_from INTEGER NOT NULL, exists_n INTEGER NOT NULL DEFAULT 0, unseen INTEGER NOT "
    "NULL DEFAULT 0,"
    " deleted INTEGER NOT NULL DEFAULT 0, octets INTEGER NOT NULL DEFAULT 0, emails INTEGER NOT NULL DEFAULT 0,"
    " unseen_emails INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL, content_modseq INTEGER NOT NULL,"
    " property_modseq INTEGER NOT NULL, count_modseq INTEGER NOT NULL, vanished_floor INTEGER NOT NULL);"

    /* The octets of messages. hash: 16 octets of a keyed hash of the raw octets; key_id: of encryption at rest, 0 none;
     * stored: octets as kept; refs: emails that use it. */
    "CREATE TABLE blob(id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, codec INTEGER NOT NULL, key_id INTEGER NOT "
    "NULL,"
    " size INTEGER NOT NULL, stored INTEGER NOT NULL, place INTEGER NOT NULL, refs INTEGER NOT NULL, file TEXT,"
    " unused_since_us INTEGER);"
    "CREATE INDEX blob_unused ON blob(unused_since_us) WHERE refs=0;"
    /* Apart, so that counting references does not write the body again. */
    "CREATE TABLE blob_data(id INTEGER PRIMARY KEY REFERENCES blob(id), body BLOB NOT NULL);"

    "CREATE TABLE thread(id INTEGER PRIMARY KEY, emails INTEGER NOT NULL, created INTEGER NOT NULL, modified INTEGER "
    "NOT NULL);"
    /* Keyed hashes of every message id an email named, with that of its base subject (RFC8621-3): same id and same
     * subject, same thread. */
    "CREATE TABLE thread_index(id_key INTEGER NOT NULL, subject_key INTEGER NOT NULL,"
    " thread INTEGER NOT NULL REFERENCES thread(id), PRIMARY KEY(id_key, subject_key)) WITHOUT ROWID;"
    "CREATE INDEX thread_index_thread ON thread_index(thread);"

    /* What does not change: blob, size, dates, thread. The rest are cached aggregates over its messages: how many, in which
     * mailboxes (8 octets an id, sorted), flags set in any, \Seen in all, keywords of any. has_attachment: NULL when it is
     * not known. */
    "CREATE TABLE email(id INTEGER PRIMARY KEY, blob INTEGER NOT NULL REFERENCES blob(id), thread INTEGER NOT NULL "
    "REFERENCES thread(id),"
    " size INTEGER NOT NULL, header_size INTEGER NOT NULL, lines INTEGER NOT NULL, internal_us INTEGER NOT NULL,"
    " sent_us INTEGER NOT NULL, messages INTEGER NOT NULL, mailboxes BLOB NOT NULL, flags INTEGER NOT NULL, seen "
    "INTEGER NOT NULL,"
    " keywords TEXT NOT NULL, created INTEGER NOT NULL, modified INTEGER NOT NULL, has_attachment INTEGER);"
    "CREATE INDEX email_blob ON email(blob);"
    "CREATE INDEX email_thread ON email(thread);"
    /* Derived at delivery and never changed; apart, so that a flag does not write them again. message_id and refs (each id
     * ended by a line feed) are what THREAD (RFC5256-3) works on; fields is a derived_fields record (message/derive.h). */
    "CREATE TABLE email_text(id INTEGER PRIMARY KEY REFERENCES email(id), envelope BLOB, body BLOB, bodystructure BLOB,"
    " part_index BLOB, preview BLOB, message_id BLOB, refs BLOB, fields BLOB);"

    "CREATE TABLE message(id INTEGER PRIMARY KEY, mailbox INTEGER NOT NULL REFERENCES mailbox(id), uid INTEGER NOT "
    "NULL,"
    " email INTEGER NOT NULL REFERENCES email(id), flags INTEGER NOT NULL, keywords TEXT NOT NULL, size INTEGER NOT "
    "NULL,"
    " saved_us INTEGER NOT NULL, created INTEGER NOT NULL, modified INTEGER NOT NULL, UNIQUE(mailbox, uid));"
    "CREATE INDEX message_modified ON message(mailbox, modified);"
    "CREATE INDEX message_email ON message(email);"
    "CREATE INDEX message_unseen ON message(mailbox, uid) WHERE flags&1=0;"
    "CREATE INDEX message_deleted ON message(mailbox, uid) WHERE flags&8<>0;"

    /* Flags that another account's viewer of a shared mailbox keeps for himself. */
    "CREATE TABLE message_private(viewer INTEGER NOT NULL, message INTEGER NOT NULL REFERENCES message(id), seen "
    "INTEGER NOT NULL,"
    " keywords TEXT NOT NULL, modified INTEGER NOT NULL, PRIMARY KEY(viewer, message)) WITHOUT ROWID;"
    "CREATE INDEX message_private_message ON message_private(message);"
    /* RFC5464 metadata and the like; viewer 0: shared by all. */
    "CREATE TABLE annotation(id INTEGER PRIMARY KEY, type INTEGER NOT NULL, object INTEGER NOT NULL, owner INTEGER NOT "
    "NULL,"
    " viewer INTEGER NOT NULL, entry BLOB NOT NULL, value BLOB NOT NULL, created INTEGER NOT NULL, modified INTEGER "
    "NOT NULL,"
    " UNIQUE(type, object, viewer, entry));"

    /* As first spelled. in_use: messages of that mailbox that have it. */
    "CREATE TABLE keyword(name TEXT PRIMARY KEY COLLATE NOCASE) WITHOUT ROWID;"
    "CREATE TABLE mailbox_keyword(mailbox INTEGER NOT NULL REFERENCES mailbox(id), name TEXT NOT NULL, in_use INTEGER "
    "NOT NULL,"
    " PRIMARY KEY(mailbox, name)) WITHOUT ROWID;"

    /* What is gone: messages in a form that answers VANISHED (RFC7162-3.2.10), every other kind of object in `tombstone`;
     * tombstone_floor: tombstones up to this modseq may have been forgotten. */
    "CREATE TABLE vanished(mailbox INTEGER NOT NULL REFERENCES mailbox(id), modseq INTEGER NOT NULL, uid INTEGER NOT "
    "NULL,"
    " created INTEGER NOT NULL, PRIMARY KEY(mailbox, modseq)) WITHOUT ROWID;"
    "CREATE TABLE tombstone(type INTEGER NOT NULL, modseq INTEGER NOT NULL, object INTEGER NOT NULL, created INTEGER "
    "NOT NULL,"
    " PRIMARY KEY(type, modseq, object)) WITHOUT ROWID;"
    "CREATE TABLE tombstone_floor(type INTEGER PRIMARY KEY, modseq INTEGER NOT NULL);"

    /* Names, which outlive mailboxes: RFC3501-6.3.6. */
    "CREATE TABLE subscription(name BLOB PRIMARY KEY, created INTEGER NOT NULL) WITHOUT ROWID;"

    /* Deliveries of the last days, so that a repeated one is known; in order of time. */
    "CREATE TABLE delivery(seq INTEGER PRIMARY KEY, id BLOB NOT NULL, recipient BLOB NOT NULL, email INTEGER NOT NULL,"
    " at_us INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX delivery_id ON delivery(id, recipient);";

/* [i] lifts version i + 1. Never changed once it was released. */
static const struct db_migration migrations[] = {
    {"ALTER TABLE email ADD COLUMN has_attachment INTEGER;"
     "ALTER TABLE email_text ADD COLUMN fields BLOB;"
     "ALTER TABLE account ADD COLUMN derive_from INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE account ADD COLUMN derive_below INTEGER NOT NULL DEFAULT 0;"
     "UPDATE account SET derive_below=next_id;"},
};

const struct db_schema account_schema = {
    .application_id = ACCOUNT_APPLICATION_ID,
    .version = 1 + (int32_t)ARRAY_LEN(migrations),
    .oldest = 1,
    .create = schema_sql,
    .migrations = migrations,
};
