/*
 * The write turn: writing operations of one account run one after the other,
 * and those that wait together are committed together, with one fsync.
 *
 * The first that comes leads: it lets the others of this moment queue up, then
 * runs the group in one go on the main stack. Each member has a savepoint, so
 * one that fails is undone alone. Replies, maps and watchers hear of it only
 * after COMMIT; when COMMIT fails, every member fails and nothing was said.
 */
#include "store/sqlite/account_impl.h"

#include <stdlib.h>

#define GROUP_MAX 256 /* members of one commit: bounds the length of a loop's turn */

struct group {
    struct sqlite_account *account;
    struct write_job *first;
};

enum err note_change(struct sqlite_account *account, enum change_kind kind, uint64_t mailbox, uint32_t uid,
                     uint64_t modseq) {
    struct change *change = vec_add(&account->changes);
    if (change == NULL)
        return ERR_NO_MEMORY;
    *change = (struct change){kind, mailbox, uid, modseq};
    return ERR_OK;
}

enum err turn_load_counters(struct sqlite_account *account) {
    sqlite3_stmt *stmt;
    bool is_row;
    TRY(db_query(account->db, &stmt,
                 "SELECT modseq, next_id, octets, messages, uidvalidity, epoch, hash_key, derive_from, derive_below"
                 " FROM account WHERE id=1",
                 ""));
    TRY(db_next(account->db, stmt, &is_row));
    if (!is_row)
        return ERR_PERMANENT;
    struct view key = column_view(stmt, 6);
    bool is_good = key.n == HASH_KEY_SIZE;
    for (size_t i = 0; is_good && i < HASH_KEY_SIZE; i++)
        account->hash_key[i] = key.p[i];
    account->epoch = column_u64(stmt, 5);
    account->derive_from = column_u64(stmt, 7);
    account->derive_below = column_u64(stmt, 8);
    account->counters = (struct counters){column_u64(stmt, 0), column_u64(stmt, 1), column_u64(stmt, 2),
                                          column_u64(stmt, 3), column_u32(stmt, 4)};
    db_done(stmt);
    return is_good ? ERR_OK : ERR_PERMANENT;
}

static enum err save_counters(struct sqlite_account *account) {
    const struct counters *a = &account->counters, *b = &account->turn;
    if (a->modseq == b->modseq && a->next_id == b->next_id && a->octets == b->octets && a->messages == b->messages &&
        a->uidvalidity == b->uidvalidity)
        return ERR_OK;
    return db_run(account->db, "UPDATE account SET modseq=?, next_id=?, octets=?, messages=?, uidvalidity=? WHERE id=1",
                  "iiiiu", b->modseq, b->next_id, b->octets, b->messages, b->uidvalidity);
}

/* One member. False when the whole transaction is lost. */
static bool run_member(struct sqlite_account *account, struct write_job *job) {
    struct counters before = account->turn;
    size_t mark = account->changes.n;
    job->err = db_savepoint(account->db);
    if (job->err != ERR_OK)
        return false;
    job->err = job->run(account, job->arg);
    if (job->err == ERR_OK)
        job->err = db_release(account->db);
    if (job->err == ERR_OK)
        return true;
    account->turn = before;
    vec_remove(&account->changes, mark, account->changes.n - mark);
    return db_rollback_savepoint(account->db);
}

static void publish(struct sqlite_account *account) {
    account->commits++;
    account->counters = account->turn;
    VEC_EACH(&account->changes, struct change, change)
    uid_map_apply(account, change);
    /* Changes of one mailbox mostly lie together: tell each run once, with its last modseq. */
    for (size_t i = 0; i < account->changes.n; i++) {
        const struct change *change = VEC_AT(&account->changes, struct change, i);
        if (i + 1 < account->changes.n && VEC_AT(&account->changes, struct change, i + 1)->mailbox == change->mailbox)
            continue;
        for (struct account_watcher *w = account->watchers, *next; w != NULL; w = next) {
            next = w->next;
            w->changed(w, change->mailbox, change->modseq);
        }
    }
}

static void run_checkpoint(void *ctx) {
    struct checkpoint_task *task = ctx;
    if (task->account != NULL) {
        task->account->checkpoint = NULL;
        (void)db_checkpoint(task->account->db, DB_CHECKPOINT_PAGES);
    }
    free(task);
}

/* After the replies when there is a loop to wait in, else at once. */
static void checkpoint_later(struct sqlite_account *account) {
    if (account->checkpoint != NULL || !db_needs_checkpoint(account->db, DB_CHECKPOINT_PAGES))
        return;
    struct checkpoint_task *task = account->params.loop == NULL ? NULL : malloc(sizeof(*task));
    if (task != NULL) {
        task->account = account;
        if (loop_defer(account->params.loop, run_checkpoint, task) == ERR_OK) {
            account->checkpoint = task;
            return;
        }
        free(task);
    }
    (void)db_checkpoint(account->db, DB_CHECKPOINT_PAGES);
}

static void run_group(void *arg) {
    struct group *group = arg;
    struct sqlite_account *account = group->account;
    account->turn = account->counters;
    vec_clear(&account->changes);
    enum err err = db_begin(account->db);
    for (struct write_job *job = group->first; job != NULL && err == ERR_OK; job = job->next)
        if (!run_member(account, job))
            err = job->err;
    if (err == ERR_OK)
        err = save_counters(account);
    if (err == ERR_OK)
        err = db_commit(account->db);
    else
        db_rollback(account->db);
    if (err == ERR_OK)
        publish(account);
    for (struct write_job *job = group->first; job != NULL; job = job->next)
        if (err != ERR_OK && job->err == ERR_OK)
            job->err = err;
    vec_clear(&account->changes);
    checkpoint_later(account);
}

/* Takes at most GROUP_MAX jobs off the queue. */
static struct write_job *take_group(struct sqlite_account *account) {
    struct write_job *first = account->first_job, *last = NULL;
    size_t n = 0;
    for (struct write_job *job = first; job != NULL && n < GROUP_MAX; job = job->next, n++)
        last = job;
    BUG_IF(last == NULL);
    account->first_job = last->next;
    if (account->first_job == NULL)
        account->last_job = NULL;
    account->job_count -= n;
    last->next = NULL;
    return first;
}

static void lead(struct sqlite_account *account, struct write_job *own) {
    account->is_turn_taken = true;
    /* Whoever is runnable now joins; while the group grows, others of the same moment may still come. A cancelled leader
     * does not yield but still leads: the others wait for it. */
    for (size_t n = 0; account->job_count > n && account->job_count < GROUP_MAX;) {
        n = account->job_count;
        if (co_yield () != ERR_OK)
            break;
    }
    struct group group = {account, take_group(account)};
    co_on_main(run_group, &group);
    for (struct write_job *job = group.first, *next; job != NULL; job = next) {
        next = job->next;
        job->is_done = true;
        if (job != own)
            co_resume(job->waiter);
    }
    account->is_turn_taken = account->first_job != NULL;
    if (account->is_turn_taken) {
        account->first_job->is_leader = true;
        co_resume(account->first_job->waiter);
    }
}

static void unqueue(struct sqlite_account *account, struct write_job *own) {
    struct write_job *before = NULL;
    for (struct write_job *job = account->first_job; job != own; job = job->next)
        before = job;
    if (before == NULL)
        account->first_job = own->next;
    else
        before->next = own->next;
    if (account->last_job == own)
        account->last_job = before;
    account->job_count--;
}

enum err turn_write(struct sqlite_account *account, enum err (*run)(struct sqlite_account *, void *), void *arg) {
    struct write_job job = {.run = run, .arg = arg};
    if (account->params.loop == NULL || co_current() == NULL) {
        struct group group = {account, &job};
        run_group(&group);
        return job.err;
    }
    job.waiter = co_current();
    job.is_leader = !account->is_turn_taken;
    if (account->last_job != NULL)
        account->last_job->next = &job;
    else
        account->first_job = &job;
    account->last_job = &job;
    account->job_count++;
    while (!job.is_done) {
        if (job.is_leader) {
            job.is_leader = false;
            lead(account, &job);
            continue;
        }
        if (co_suspend(US_NEVER) == ERR_CANCELED && !job.is_done && !job.is_leader) {
            unqueue(account, &job);
            return ERR_CANCELED;
        }
    }
    return job.err;
}

struct read_call {
    struct sqlite_account *account;
    enum err (*run)(struct sqlite_account *, void *);
    void *arg;
    enum err err;
};

static void run_read(void *arg) {
    struct read_call *call = arg;
    call->err = call->run(call->account, call->arg);
}

enum err turn_read(struct sqlite_account *account, enum err (*run)(struct sqlite_account *, void *), void *arg) {
    struct read_call call = {account, run, arg, ERR_OK};
    co_on_main(run_read, &call);
    return call.err;
}
