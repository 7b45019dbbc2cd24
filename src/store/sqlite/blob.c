/*
 * The octets of messages: small ones in the database, in the same transaction as
 * their rows; large ones in files (blobs/xx/NAME) that are written and synced,
 * with their names, before any row tells of them. Equal octets are kept once,
 * found by a hash under the account's own key.
 */
#include "store/sqlite/account_impl.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <zstd.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define COPY_STEP ((size_t)64 * 1024)
#define PACK_LEAST 512 /* octets; smaller ones gain less than a page */
#define PACK_LEVEL 1   /* zstd; a higher level costs more time than the pages it saves */

enum err blob_hash(struct sqlite_account *account, struct view a, struct view b, uint8_t out[HASH_SIZE]) {
    uint8_t digest[32];
    size_t n = 0;
    char name[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(account->mac);
    bool is_good = mac != NULL && EVP_MAC_init(mac, account->hash_key, HASH_KEY_SIZE, params) == 1 &&
                   (a.n == 0 || EVP_MAC_update(mac, a.p, a.n) == 1) &&
                   (b.n == 0 || EVP_MAC_update(mac, b.p, b.n) == 1) &&
                   EVP_MAC_final(mac, digest, &n, sizeof(digest)) == 1 && n == sizeof(digest);
    EVP_MAC_CTX_free(mac);
    if (!is_good)
        return ERR_NO_MEMORY;
    memcpy(out, digest, HASH_SIZE);
    return ERR_OK;
}

/* ERR_NOT_FOUND when no blob has this hash. */
static enum err find_hash(struct sqlite_account *account, void *hash) {
    int64_t found;
    return db_get(account->db, &found, "SELECT 1 FROM blob WHERE hash=?", "v", view_of(hash, HASH_SIZE));
}

/* ---- large ones ---- */

static enum err copy_file(struct file *from, struct file *to, uint64_t at, uint64_t limit) {
    uint8_t *step = malloc(COPY_STEP);
    enum err err = step == NULL ? ERR_NO_MEMORY : ERR_OK;
    for (uint64_t done = 0; err == ERR_OK;) {
        size_t got = 0;
        err = file_read(from, step, COPY_STEP, done, &got);
        if (err != ERR_OK || got == 0)
            break;
        done += got;
        /* It may grow while we read: what was checked is the limit, not its size. */
        err = done > limit ? ERR_LIMIT : file_write(to, view_of(step, got), at + done - got);
        if (err == ERR_OK)
            err = co_breathe();
    }
    free(step);
    return err;
}

/* Our own file as octets: mapped when it has a descriptor, else read. Nobody else has this file. */
static enum err map_file(struct file *file, struct new_blob *blob) {
    uint64_t size;
    size_t got = 0;
    TRY(file_size(file, &size));
    int fd = file_fd(file);
    if (fd >= 0) {
        void *p = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            return ERR_NO_MEMORY;
        blob->mapping = p;
        blob->mapping_size = (size_t)size;
        blob->bytes = view_of(p, (size_t)size);
        return ERR_OK;
    }
    blob->memory = malloc((size_t)size + 1);
    if (blob->memory == NULL)
        return ERR_NO_MEMORY;
    TRY(file_read(file, blob->memory, (size_t)size, 0, &got));
    blob->bytes = view_of(blob->memory, got);
    return got == size ? ERR_OK : ERR_IO;
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

static enum err prepare_large(struct sqlite_account *account, struct view prefix, struct view body, struct file *source,
                              struct new_blob *out) {
    struct file *file;
    TRY(disk_open(account->params.disk, ".", DISK_READ | DISK_WRITE | DISK_TEMPORARY, &file));
    enum err err = prefix.n > 0 ? file_write(file, prefix, 0) : ERR_OK;
    if (err == ERR_OK)
        err = source != NULL ? copy_file(source, file, prefix.n, account->params.size_max)
                             : file_write(file, body, prefix.n);
    if (err == ERR_OK)
        err = map_file(file, out);
    if (err == ERR_OK)
        err = blob_hash(account, out->bytes, VIEW_NONE, out->hash);
    if (err == ERR_OK)
        err = turn_read(account, find_hash, out->hash);
    if (err == ERR_NOT_FOUND) {
        account->blob_syncs++;
        err = file_sync(file, false);
        if (err == ERR_OK)
            err = name_file(account, file, out);
    }
    file_unref(file);
    return err;
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

static enum err prepare_small(struct sqlite_account *account, struct view prefix, struct view body, struct file *source,
                              size_t size, struct new_blob *out) {
    out->memory = malloc(prefix.n + size + 1);
    if (out->memory == NULL)
        return ERR_NO_MEMORY;
    if (prefix.n > 0)
        memcpy(out->memory, prefix.p, prefix.n);
    size_t got = size;
    if (source != NULL)
        TRY(file_read(source, out->memory + prefix.n, size, 0, &got));
    else if (size > 0)
        memcpy(out->memory + prefix.n, body.p, size);
    out->bytes = view_of(out->memory, prefix.n + got);
    TRY(blob_hash(account, out->bytes, VIEW_NONE, out->hash));
    struct pack_call call = {out, ERR_OK};
    co_on_main(pack_on_main, &call);
    return call.err;
}

enum err blob_prepare(struct sqlite_account *account, struct view prefix, struct view body, struct file *file,
                      struct new_blob *out) {
    *out = (struct new_blob){0};
    uint64_t size = body.n;
    struct file *source = body.n == 0 ? file : NULL;
    if (source != NULL)
        TRY(file_size(source, &size));
    if (account->params.size_max > 0 && size + prefix.n > account->params.size_max + 8192)
        return ERR_LIMIT; /* trace fields (at most 8192 octets) are ours, not the sender's */
    enum err err = size + prefix.n > BLOB_INLINE_MAX ? prepare_large(account, prefix, body, source, out)
                                                     : prepare_small(account, prefix, body, source, (size_t)size, out);
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
    if (blob->mapping != NULL)
        (void)munmap(blob->mapping, blob->mapping_size);
    free(blob->memory);
    free(blob->packed_memory);
    *blob = (struct new_blob){0};
}

enum err blob_add(struct sqlite_account *account, struct new_blob *blob, uint64_t *id) {
    int64_t found;
    struct view hash = view_of(blob->hash, HASH_SIZE);
    enum err err = db_get(account->db, &found,
                          "UPDATE blob SET refs=refs+1, unused_since_us=NULL WHERE hash=? AND size=? RETURNING id",
                          "vi", hash, (uint64_t)blob->bytes.n);
    if (err == ERR_OK) {
        *id = (uint64_t)found;
        return ERR_OK;
    }
    if (err != ERR_NOT_FOUND)
        return err;
    bool is_file = blob->bytes.n > BLOB_INLINE_MAX;
    if (is_file && blob->name[0] == '\0')
        return ERR_AGAIN; /* an equal one was there when we looked and is gone now */
    *id = next_id(account);
    blob->is_used = true;
    TRY(db_run(
        account->db,
        "INSERT INTO blob(id, hash, codec, key_id, size, stored, place, refs, file) VALUES(?, ?, ?, 0, ?, ?, ?, 1, ?)",
        "ivuiiuv", *id, hash, (uint32_t)blob->codec, (uint64_t)blob->bytes.n,
        (uint64_t)(is_file ? blob->bytes.n : blob->packed.n), (uint32_t)(is_file ? PLACE_FILE : PLACE_DATABASE),
        is_file ? view_cstr(blob->name) : VIEW_NONE));
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

enum err blob_content(struct sqlite_account *account, uint64_t blob, struct buf *out) {
    struct blob_row row;
    TRY(read_row(account, blob, &row));
    if (row.place == PLACE_DATABASE)
        return read_inline(account, blob, &row, out);
    buf_clear(out);
    return disk_read_all(account->params.disk, row.path, (size_t)row.size, out);
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
