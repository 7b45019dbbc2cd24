/*
 * bench_store: deliveries into one account's store on a real directory, with
 * one and with many at a time: syncs of the disk a message (counted by our VFS,
 * checkpoints apart), deliveries a second, the longest turn of the loop; beside
 * them what the disk itself does, as synced appends of the same size to a plain
 * file, before and after, since a shared machine changes under the run.
 */
#include "bench/bench.h"

#include "base/disk.h"
#include "loop/loop.h"
#include "store/sqlite/sqlite_account.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS_MAX 1000
#define WARM_UP 20 /* deliveries before counting: the first make files and fill caches */
#define ONE_TARGET_MIN 0.999
#define ONE_TARGET_MAX 1.001
#define MANY_TARGET 0.3

struct options {
    struct view dir;
    uint64_t messages, size, many, appends, seconds;
    bool appends_only;
};

struct phase {
    const struct options *options;
    struct loop *loop;
    struct account *account;
    struct disk *disk;
    struct random_seeded random;
    uint64_t workers, messages, next, done, failed, running;
    enum err first_err;
    int64_t stop_us;
    struct bench_samples us;
};

static void deliver(struct phase *p, struct arena *arena, struct buf *body) {
    uint8_t id[DELIVERY_ID_SIZE];
    random_fill(&p->random.random, id, sizeof(id));
    buf_clear(body);
    bench_put_message(body, &p->random.random, p->next, p->options->size);
    struct deliver_commit_args args = {
        .id = view_of(id, sizeof(id)),
        .recipient = VIEW("user@localhost"),
        .sender = VIEW("bench@load.example"),
        .prefix = VIEW("Return-Path: <bench@load.example>\r\nReceived: from load.example by localhost; "
                       "Tue, 24 Nov 2026 10:00:00 +0000\r\n"),
        .body = buf_view(body)};
    struct deliver_commit_result result;
    int64_t before_us = bench_now_us();
    enum err err = account_do_deliver_commit(p->account, &args, NULL, arena, &result);
    bench_samples_add(&p->us, bench_now_us() - before_us);
    if (err == ERR_OK)
        p->done++;
    else if (p->failed++ == 0)
        p->first_err = err;
    arena_clear(arena);
}

static void worker(void *arg) {
    struct phase *p = arg;
    struct arena *arena = arena_new("bench", (size_t)16 * 1024 * 1024);
    struct buf body;
    buf_init(&body, BENCH_OUT_MAX);
    while (p->next < p->messages && p->failed == 0 && bench_now_us() < p->stop_us) {
        p->next++;
        deliver(p, arena, &body);
    }
    buf_fini(&body);
    arena_free(arena);
    if (--p->running == 0)
        loop_stop(p->loop);
}

/* Returns how long it took. */
static int64_t deliver_all(struct phase *p, uint64_t messages) {
    p->messages = messages;
    p->next = p->done = 0;
    p->running = p->workers;
    int64_t start_us = bench_now_us();
    for (uint64_t i = 0; i < p->workers; i++)
        if (co_spawn(p->loop, NULL, "deliver", worker, p, NULL) != ERR_OK)
            bench_die("co_spawn", "failed");
    loop_run(p->loop);
    if (p->failed > 0)
        bench_die("a delivery failed", err_name(p->first_err));
    return bench_now_us() - start_us;
}

static struct disk *new_directory(const struct options *options, const char *name) {
    char path[4096];
    (void)snprintf(path, sizeof(path), "%.*s/%s-%lld", VIEW_FMT(options->dir), name, (long long)bench_now_us());
    if (mkdir(path, 0700) != 0)
        bench_die(path, strerror(errno));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct disk *disk = fd >= 0 ? disk_new_fd(fd) : NULL;
    if (disk == NULL)
        bench_die(path, "cannot be opened");
    return disk;
}

static void run_phase(const struct options *options, uint64_t workers, struct buf *out) {
    struct phase p = {
        .options = options, .workers = workers, .loop = loop_new(NULL), .disk = new_directory(options, "account")};
    random_seeded_init(&p.random, (uint64_t)bench_now_us());
    bench_samples_init(&p.us);
    if (p.loop == NULL)
        bench_die("loop_new", "failed");
    struct sqlite_account_params params = {
        .loop = p.loop, .disk = p.disk, .clock = clock_system(), .random = random_system(), .size_max = BENCH_OUT_MAX};
    enum err err = sqlite_account_open(&params, &p.account);
    if (err != ERR_OK)
        bench_die("sqlite_account_open", err_name(err));
    p.stop_us = US_NEVER;
    (void)deliver_all(&p, WARM_UP);
    vec_clear(&p.us.us);
    uint64_t syncs[2], checkpoints[2], commits[2];
    sqlite_account_counters(p.account, &syncs[0], &checkpoints[0], &commits[0]);
    p.stop_us = bench_now_us() + (int64_t)options->seconds * US_PER_S;
    int64_t took_us = deliver_all(&p, options->messages);
    sqlite_account_counters(p.account, &syncs[1], &checkpoints[1], &commits[1]);
    double each = (double)(syncs[1] - syncs[0]) / (double)MAX(p.done, (uint64_t)1);
    bool is_ok = workers == 1 ? each > ONE_TARGET_MIN && each < ONE_TARGET_MAX : each < MANY_TARGET;
    const char *turn;
    int64_t turn_us = loop_longest_turn_us(p.loop, &turn);
    buf_printf(out,
               "{\"bench\":\"store\",\"at_a_time\":%llu,\"messages\":%llu,\"size\":%llu,\"syncs_per_message\":%.4f,"
               "\"target\":\"%s\","
               "\"verdict\":\"%s\",\"checkpoint_syncs\":%llu,\"commits\":%llu,\"deliveries_per_second\":%.1f,\"longest_"
               "turn_us\":%lld,"
               "\"longest_turn\":\"%s\",\"delivery_us\":",
               (unsigned long long)workers, (unsigned long long)p.done, (unsigned long long)options->size, each,
               workers == 1 ? "exactly 1.0" : "under 0.3", is_ok ? "OK" : "FAIL",
               (unsigned long long)(checkpoints[1] - checkpoints[0]), (unsigned long long)(commits[1] - commits[0]),
               (double)p.done * 1e6 / (double)MAX(took_us, (int64_t)1), (long long)turn_us, turn);
    bench_put_samples(out, &p.us);
    buf_put_byte(out, '}');
    bench_print(out);
    account_free(p.account);
    loop_free(p.loop);
    disk_free(p.disk);
    bench_samples_fini(&p.us);
}

/* write + fdatasync of one message's size at the end of a plain file. */
static void run_appends(const struct options *options, const char *when, struct buf *out) {
    struct disk *disk = new_directory(options, "plain");
    struct file *file;
    struct buf body;
    struct random_seeded random;
    struct bench_samples samples;
    buf_init(&body, BENCH_OUT_MAX);
    random_seeded_init(&random, 1);
    bench_samples_init(&samples);
    bench_put_message(&body, &random.random, 1, options->size);
    enum err err = disk_open(disk, "file", DISK_READ | DISK_WRITE | DISK_CREATE, &file);
    int64_t start_us = bench_now_us(), stop_us = start_us + (int64_t)options->seconds * US_PER_S;
    uint64_t n = 0;
    for (; err == ERR_OK && n < options->appends && bench_now_us() < stop_us; n++) {
        int64_t before_us = bench_now_us();
        err = file_write(file, buf_view(&body), n * body.n);
        if (err == ERR_OK)
            err = file_sync(file, true);
        bench_samples_add(&samples, bench_now_us() - before_us);
    }
    if (err != ERR_OK)
        bench_die("a plain file", err_name(err));
    int64_t took_us = bench_now_us() - start_us;
    buf_printf(out,
               "{\"bench\":\"disk\",\"when\":\"%s\",\"appends\":%llu,\"size\":%llu,\"synced_appends_per_second\":%.1f,"
               "\"append_us\":",
               when, (unsigned long long)n, (unsigned long long)options->size,
               (double)n * 1e6 / (double)MAX(took_us, (int64_t)1));
    bench_put_samples(out, &samples);
    buf_put_byte(out, '}');
    bench_print(out);
    file_unref(file);
    disk_free(disk);
    buf_fini(&body);
    bench_samples_fini(&samples);
}

int main(int argc, char **argv) {
    struct options options = {.messages = 3000, .size = 10240, .many = 20, .appends = 1000, .seconds = 20};
    const struct bench_option table[] = {
        {"--dir", BENCH_TEXT, &options.dir, 0,
         "an existing directory on the disk to measure; new ones are made in it and left there"},
        {"--messages", BENCH_NUMBER, &options.messages, 1000000, "to deliver in each phase (3000)"},
        {"--size", BENCH_NUMBER, &options.size, ACCOUNT_INLINE_MAX - 1000, "octets of a message (10240)"},
        {"--many", BENCH_NUMBER, &options.many, WORKERS_MAX, "deliveries at a time in the second phase (20)"},
        {"--appends", BENCH_NUMBER, &options.appends, 1000000, "to the plain file, before and after (1000)"},
        {"--seconds", BENCH_NUMBER, &options.seconds, 3600, "for each phase at most (20)"},
        {"--appends-only", BENCH_FLAG, &options.appends_only, 0, "only what the disk does"},
    };
    bench_options(argc, argv, table, ARRAY_LEN(table));
    if (options.dir.n == 0 || options.many == 0)
        bench_die("--dir", "is needed, and --many is at least 1");
    struct buf out;
    buf_init(&out, 100000);
    run_appends(&options, "before", &out);
    if (!options.appends_only) {
        run_phase(&options, 1, &out);
        run_phase(&options, options.many, &out);
        run_appends(&options, "after", &out);
    }
    buf_fini(&out);
    return 0;
}
