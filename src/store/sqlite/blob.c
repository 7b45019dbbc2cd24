/*
 * The octets of messages: small ones in the database, in the same transaction as
 * their rows; large ones in files (blobs/xx/NAME) that are written and synced,
 * with their names, before any row tells of them. Equal octets are kept once,
 * found by a hash under the account's own key.
 *
 * A large message is never in memory: it is written, hashed and parsed in one
 * pass over what comes, and whoever then looks into its bodies reads our file.
 */
#include "store/sqlite/account_impl.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <zstd.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPY_STEP ((size_t)64 * 1024)
#define TRACE_MAX 8192 /* octets of trace fields before a message: ours, not the sender's */
#define PACK_LEAST 512 /* octets; smaller ones gain less than a page */
#define PACK_LEVEL 1   /* zstd; a higher level costs more time than the pages it saves */

/* ---- the keyed hash ---- */

static enum err hash_begin(struct sqlite_account *account, EVP_MAC_CTX **out) {
    char name[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(account->mac);
    if (mac == NULL || EVP_MAC_init(mac, account->hash_key, HASH_KEY_SIZE, params) != 1) {
        EVP_MAC_CTX_free(mac);
        return ERR_NO_MEMORY;
    }
    *out = mac;
    return ERR_OK;
}

static enum err hash_add(EVP_MAC_CTX *mac, struct view octets) {
    return octets.n == 0 || EVP_MAC_update(mac, octets.p, octets.n) == 1 ? ERR_OK : ERR_NO_MEMORY;
}

static enum err hash_end(EVP_MAC_CTX *mac, uint8_t out[HASH_SIZE]) {
    uint8_t digest[32];
    size_t n = 0;
    if (EVP_MAC_final(mac, digest, &n, sizeof(digest)) != 1 || n != sizeof(digest))
        return ERR_NO_MEMORY;
    memcpy(out, digest, HASH_SIZE);
    return ERR_OK;
}

static enum err hash_of(struct sqlite_account *account, struct view octets, uint8_t out[HASH_SIZE]) {
    EVP_MAC_CTX *mac;
    TRY(hash_begin(account, &mac));
    enum err err = hash_add(mac, octets);
    if (err == ERR_OK)
        err = hash_end(mac, out);
    EVP_MAC_CTX_free(mac);
    return err;
}

/* ERR_NOT_FOUND when no blob has this hash. */
static enum err find_hash(struct sqlite_account *account, void *hash) {
    int64_t found;
    return db_get(account->db, &found, "SELECT 1 FROM blob WHERE hash=?", "v", view_of(hash, HASH_SIZE));
}

/* ---- large ones ---- */

/* A large message on its way: each piece is written, hashed and parsed when it passes, and then forgotten. */
struct taking {
    struct file *file;
    EVP_MAC_CTX *mac;
    struct message_parser *parser;
    uint64_t at;
};

static enum err take_piece(struct taking *t, struct view piece) {
    TRY(file_write(t->file, piece, t->at));
    TRY(hash_add(t->mac, piece));
    message_parser_feed(t->parser, piece);
    t->at += piece.n;
    return co_breathe();
}

static enum err take_memory(struct taking *t, struct view body) {
    for (size_t at = 0; at < body.n; at += COPY_STEP)
        TRY(take_piece(t, view_sub(body, at, COPY_STEP)));
    return ERR_OK;
}

static enum err take_file(struct taking *t, struct file *from, uint64_t limit) {
    uint8_t *step = malloc(COPY_STEP);
    enum err err = step == NULL ? ERR_NO_MEMORY : ERR_OK;
    for (uint64_t done = 0; err == ERR_OK;) {
        size_t got = 0;
        err = file_read(from, step, COPY_STEP, done, &got);
        if (err != ERR_OK || got == 0)
            break;
        done += got;
        /* It may grow while we read: what was checked is the limit, not its size. */
        err = limit > 0 && done > limit ? ERR_LIMIT : take_piece(t, view_of(step, got));
    }
    free(step);
    return err;
}

static enum err read_own_file(struct message_source *base, uint64_t offset, void *p, size_t n, size_t *got) {
    struct blob_file_source *source = (struct blob_file_source *)base;
    TRY(co_breathe());
    return file_read(source->file, p, n, offset, got);
}

/* The name of a directory is made durable once a run of the process, whoever made it: it may be of a moment before a crash. */
static enum err make_dir(struct sqlite_account *account, const char *path, const char *parent, bool *is_durable) {
    if (*is_durable)
        return ERR_OK;
    enum err err = disk_mkdir(account->params.disk, path);
    if (err != ERR_OK && err != ERR_EXISTS)
        return err;
    account->blob_syncs++;
    TRY(disk_sync_dir(account->params.disk, parent));
    *is_durable = true;
    return ERR_OK;
}

static enum err name_file(struct sqlite_account *account, struct file *file, struct new_blob *blob) {
    struct disk *disk = account->params.disk;
    uint8_t random[16];
    char directory[] = "blobs/xx", path[sizeof("blobs/") + BLOB_NAME_SIZE];
    random_fill(account->params.random, random, sizeof(random));
    int at = snprintf(blob->name, sizeof(blob->name), "%02x/", random[0]);
    for (size_t i = 0; i < sizeof(random); i++)
        at += snprintf(blob->name + at, sizeof(blob->name) - (size_t)at, "%02x", random[i]);
    (void)snprintf(directory, sizeof(directory), "blobs/%.2s", blob->name);
    (void)snprintf(path, sizeof(path), "blobs/%s", blob->name);
    enum err err = make_dir(account, "blobs", ".", &account->is_root_durable);
    if (err == ERR_OK)
        err = make_dir(account, directory, "blobs", &account->is_directory_durable[random[0]]);
    if (err == ERR_OK)
        err = file_link(file, disk, path);
    if (err == ERR_OK) {
        account->blob_syncs++;
        err = disk_sync_dir(disk, directory);
    }
    return err;
}

static enum err take_all(struct sqlite_account *account, const struct new_message *in, struct taking *t,
                         struct new_blob *out) {
    TRY(take_memory(t, in->prefix));
    if (in->file != NULL)
        TRY(take_file(t, in->file, account->params.size_max));
    else
        TRY(take_memory(t, in->body));
    out->size = t->at;
    out->source = (struct blob_file_source){{.size = t->at, .read = read_own_file}, t->file};
    return hash_end(t->mac, out->hash);
}

static enum err prepare_large(struct sqlite_account *account, const struct new_message *in, struct arena *parts,
                              struct new_blob *out, struct message *message) {
    struct taking t = {.parser = message_parser_new(parts)};
    if (t.parser == NULL)
        return ERR_NO_MEMORY;
    TRY(disk_open(account->params.disk, ".", DISK_READ | DISK_WRITE | DISK_TEMPORARY, &out->source.file));
    t.file = out->source.file;
    TRY(hash_begin(account, &t.mac));
    enum err err = take_all(account, in, &t, out);
    EVP_MAC_CTX_free(t.mac);
    TRY(err);
    TRY(message_parser_end(t.parser, &out->source.source, message));
    err = turn_read(account, find_hash, out->hash);
    if (err != ERR_NOT_FOUND)
        return err;
    account->blob_syncs++;
    TRY(file_sync(t.file, false));
    return name_file(account, t.file, out);
}

/* ---- small ones ---- */

static enum err pack(struct new_blob *blob) {
    blob->packed = blob->bytes;
    blob->codec = CODEC_RAW;
    if (blob->bytes.n < PACK_LEAST)
        return ERR_OK;
    size_t cap = ZSTD_compressBound(blob->bytes.n);
    uint8_t *p = malloc(cap);
    if (p == NULL)
        return ERR_NO_MEMORY;
    size_t n = ZSTD_compress(p, cap, blob->bytes.p, blob->bytes.n, PACK_LEVEL);
    /* An eighth less at least, or reading it is not worth the trouble. */
    if (ZSTD_isError(n) || n > blob->bytes.n - blob->bytes.n / 8) {
        free(p);
        return ERR_OK;
    }
    blob->packed_memory = p;
    blob->packed = view_of(p, n);
    blob->codec = CODEC_ZSTD;
    return ERR_OK;
}

struct pack_call {
    struct new_blob *blob;
    enum err err;
};
static void pack_on_main(void *arg) {
    struct pack_call *call = arg;
    call->err = pack(call->blob);
}

static enum err prepare_small(struct sqlite_account *account, const struct new_message *in, size_t size,
                              struct arena *parts, struct new_blob *out, struct message *message) {
    size_t got = size;
    out->memory = malloc(in->prefix.n + size + 1);
    if (out->memory == NULL)
        return ERR_NO_MEMORY;
    if (in->prefix.n > 0)
        memcpy(out->memory, in->prefix.p, in->prefix.n);
    if (in->file != NULL)
        TRY(file_read(in->file, out->memory + in->prefix.n, size, 0, &got));
    else if (size > 0)
        memcpy(out->memory + in->prefix.n, in->body.p, size);
    out->bytes = view_of(out->memory, in->prefix.n + got);
    out->size = out->bytes.n;
    TRY(hash_of(account, out->bytes, out->hash));
    struct pack_call call = {out, ERR_OK};
    co_on_main(pack_on_main, &call);
    TRY(call.err);
    return message_parse(parts, out->bytes, message);
}

enum err blob_prepare(struct sqlite_account *account, const struct new_message *in, struct arena *parts,
                      struct new_blob *out, struct message *message) {
    struct new_message from = *in;
    uint64_t size = in->body.n;
    *out = (struct new_blob){0};
    if (in->body.n > 0)
        from.file = NULL;
    if (from.file != NULL)
        TRY(file_size(from.file, &size));
    if (account->params.size_max > 0 && size + in->prefix.n > account->params.size_max + TRACE_MAX)
        return ERR_LIMIT;
    enum err err = size + in->prefix.n > BLOB_INLINE_MAX
                       ? prepare_large(account, &from, parts, out, message)
                       : prepare_small(account, &from, (size_t)size, parts, out, message);
    if (err != ERR_OK)
        blob_discard(account, out, false);
    return err;
}

static void remove_file(struct sqlite_account *account, const char *name) {
    char path[sizeof("blobs/") + BLOB_NAME_SIZE];
    (void)snprintf(path, sizeof(path), "blobs/%s", name);
    /* A file that stays is found by the clean-up. */
    enum err err = disk_remove(account->params.disk, path);
    (void)err;
}

void blob_discard(struct sqlite_account *account, struct new_blob *blob, bool is_kept) {
    if (!is_kept && blob->name[0] != '\0')
        remove_file(account, blob->name);
    file_unref(blob->source.file);
    free(blob->memory);
    free(blob->packed_memory);
    *blob = (struct new_blob){0};
}

enum err blob_add(struct sqlite_account *account, struct new_blob *blob, uint64_t *id) {
    int64_t found;
    struct view hash = view_of(blob->hash, HASH_SIZE);
    enum err err = db_get(account->db, &found,
                          "UPDATE blob SET refs=refs+1, unused_since_us=NULL WHERE hash=? AND size=? RETURNING id",
                          "vi", hash, blob->size);
    if (err == ERR_OK) {
        *id = (uint64_t)found;
        return ERR_OK;
    }
    if (err != ERR_NOT_FOUND)
        return err;
    bool is_file = blob->source.file != NULL;
    if (is_file && blob->name[0] == '\0')
        return ERR_AGAIN; /* an equal one was there when we looked and is gone now */
    *id = next_id(account);
    blob->is_used = true;
    TRY(db_run(
        account->db,
        "INSERT INTO blob(id, hash, codec, key_id, size, stored, place, refs, file) VALUES(?, ?, ?, 0, ?, ?, ?, 1, ?)",
        "ivuiiuv", *id, hash, (uint32_t)blob->codec, blob->size, is_file ? blob->size : (uint64_t)blob->packed.n,
        (uint32_t)(is_file ? PLACE_FILE : PLACE_DATABASE), is_file ? view_cstr(blob->name) : VIEW_NONE));
    if (is_file)
        return ERR_OK;
    struct view body = blob->packed.n == 0 ? VIEW("") : blob->packed;
    return db_run(account->db, "INSERT INTO blob_data(id, body) VALUES(?, ?)", "iv", *id, body);
}

enum err blob_release(struct sqlite_account *account, uint64_t blob) {
    int64_t now_us = account->params.clock->wall_us(account->params.clock);
    return db_run(account->db,
                  "UPDATE blob SET refs=refs-1, unused_since_us=CASE WHEN refs=1 THEN ? ELSE NULL END WHERE id=?", "ii",
                  now_us, blob);
}

/* ---- reading ---- */

struct blob_row {
    uint64_t size, stored;
    enum blob_codec codec;
    enum blob_place place;
    char path[sizeof("blobs/") + BLOB_NAME_SIZE];
};

static enum err read_row(struct sqlite_account *account, uint64_t blob, struct blob_row *out) {
    sqlite3_stmt *stmt;
    bool is_row;
    TRY(db_query(account->db, &stmt, "SELECT size, stored, codec, place, file FROM blob WHERE id=?", "i", blob));
    TRY(db_next(account->db, stmt, &is_row));
    if (!is_row)
        return ERR_NOT_FOUND;
    *out = (struct blob_row){.size = column_u64(stmt, 0),
                             .stored = column_u64(stmt, 1),
                             .codec = (enum blob_codec)column_u32(stmt, 2),
                             .place = (enum blob_place)column_u32(stmt, 3)};
    struct view name = column_view(stmt, 4);
    (void)snprintf(out->path, sizeof(out->path), "blobs/%.*s", VIEW_FMT(name));
    db_done(stmt);
    return ERR_OK;
}

static enum err unpack(const struct blob_row *row, struct view kept, struct buf *out) {
    buf_clear(out);
    uint8_t *p = buf_room(out, (size_t)row->size + 1);
    if (p == NULL)
        return buf_err(out);
    if (row->codec == CODEC_RAW) {
        if (kept.n != row->size)
            return ERR_PERMANENT;
        if (kept.n > 0)
            memcpy(p, kept.p, kept.n);
    } else {
        size_t n = ZSTD_decompress(p, (size_t)row->size, kept.p, kept.n);
        if (ZSTD_isError(n) || n != row->size)
            return ERR_PERMANENT;
    }
    buf_added(out, (size_t)row->size);
    return ERR_OK;
}

static enum err read_inline(struct sqlite_account *account, uint64_t blob, const struct blob_row *row,
                            struct buf *out) {
    sqlite3_stmt *stmt;
    bool is_row;
    TRY(db_query(account->db, &stmt, "SELECT body FROM blob_data WHERE id=?", "i", blob));
    TRY(db_next(account->db, stmt, &is_row));
    if (!is_row)
        return ERR_PERMANENT;
    enum err err = unpack(row, column_view(stmt, 0), out);
    db_done(stmt);
    return err;
}

static enum err hash_file(struct sqlite_account *account, const struct blob_row *row, EVP_MAC_CTX *mac) {
    struct file *file;
    uint64_t at = 0;
    TRY(disk_open(account->params.disk, row->path, DISK_READ, &file));
    uint8_t *step = malloc(COPY_STEP);
    enum err err = step == NULL ? ERR_NO_MEMORY : ERR_OK;
    for (size_t got = 1; err == ERR_OK && got > 0; at += got) {
        got = 0;
        err = file_read(file, step, COPY_STEP, at, &got);
        if (err == ERR_OK)
            err = hash_add(mac, view_of(step, got));
    }
    free(step);
    file_unref(file);
    return err == ERR_OK && at != row->size ? ERR_PERMANENT : err;
}

enum err blob_hash_kept(struct sqlite_account *account, uint64_t blob, uint8_t out[HASH_SIZE]) {
    struct blob_row row;
    struct buf body;
    EVP_MAC_CTX *mac;
    TRY(read_row(account, blob, &row));
    TRY(hash_begin(account, &mac));
    buf_init(&body, BLOB_INLINE_MAX + 1);
    enum err err = row.place == PLACE_FILE ? hash_file(account, &row, mac) : read_inline(account, blob, &row, &body);
    if (err == ERR_OK)
        err = hash_add(mac, buf_view(&body));
    if (err == ERR_OK)
        err = hash_end(mac, out);
    EVP_MAC_CTX_free(mac);
    buf_fini(&body);
    return err;
}

static enum err read_part(struct sqlite_account *account, const char *path, struct arena *arena, uint64_t offset,
                          size_t n, struct view *out) {
    struct file *file;
    size_t got = 0;
    uint8_t *p = arena_alloc(arena, n);
    if (p == NULL)
        return ERR_NO_MEMORY;
    TRY(disk_open(account->params.disk, path, DISK_READ, &file));
    enum err err = file_read(file, p, n, offset, &got);
    file_unref(file);
    if (err == ERR_OK)
        *out = view_of(p, got);
    return err;
}

enum err op_blob_read(struct sqlite_account *account, void *arg) {
    struct op_call *call = arg;
    const struct blob_read_args *args = call->args;
    struct blob_read_result *result = call->result;
    struct blob_row row;
    size_t length = MIN(args->length, (size_t)ACCOUNT_READ_MAX);
    if (account->cached_blob != args->blob || args->blob == 0) {
        TRY(read_row(account, args->blob, &row));
        if (row.place == PLACE_FILE) {
            if (args->offset >= row.size) {
                *result = (struct blob_read_result){0};
                return ERR_OK;
            }
            length = MIN((uint64_t)length, row.size - args->offset);
            return read_part(account, row.path, call->arena, args->offset, length, &result->bytes);
        }
        account->cached_blob = 0;
        TRY(read_inline(account, args->blob, &row, &account->cached_body));
        account->cached_blob = args->blob;
    }
    if (args->offset >= account->cached_body.n) {
        *result = (struct blob_read_result){0};
        return ERR_OK;
    }
    return arena_view(call->arena, view_sub(buf_view(&account->cached_body), (size_t)args->offset, length),
                      &result->bytes);
}
