/*
 * Replays a seed corpus through a fuzz target, without a fuzzer: every file of
 * the folders and files named as arguments is given once to
 * LLVMFuzzerTestOneInput. Built into each *_fuzz.c of an ordinary build, so
 * that ctest runs all seeds under the sanitizers. A corpus that is missing or
 * empty is a failure: it would prove nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A target may prepare itself, as under libFuzzer. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static const char *program = "replay";

static int complain(const char *path, const char *what) {
    fprintf(stderr, "%s: %s: %s\n", program, path, what);
    return -1;
}

/* Runs one file; 0, or -1 after a complaint. */
static int replay_file(const char *path, const struct stat *st) {
    size_t size = (size_t)st->st_size;
    /* Exactly the file's size on the heap, so that reading one byte too far is
     * seen by AddressSanitizer. */
    uint8_t *data = malloc(size ? size : 1);
    if (!data)
        return complain(path, "no memory");
    FILE *file = fopen(path, "rb");
    if (!file) {
        free(data);
        return complain(path, strerror(errno));
    }
    size_t got = fread(data, 1, size, file);
    fclose(file);
    if (got != size) {
        free(data);
        return complain(path, "short read");
    }
    fprintf(stderr, "%s: %s\n", program, path);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

/* Runs every regular file of a folder in the order of its names; the number
 * of files, or -1. */
static long replay_folder(const char *path) {
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0)
        return complain(path, strerror(errno));
    long count = 0;
    for (int i = 0; i < n; i++) {
        char name[4096];
        int length = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        struct stat st;
        if (length < 0 || (size_t)length >= sizeof name || stat(name, &st) != 0)
            count = complain(path, "unreadable entry");
        else if (S_ISREG(st.st_mode) && count >= 0)
            count = replay_file(name, &st) == 0 ? count + 1 : -1;
        free(entries[i]);
    }
    free(entries);
    if (count == 0)
        return complain(path, "empty corpus");
    return count;
}

int main(int argc, char **argv) {
    if (argc > 0)
        program = argv[0];
    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);
    long total = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) != 0) {
            complain(argv[i], strerror(errno));
            return 1;
        }
        long count = 1;
        if (S_ISDIR(st.st_mode))
            count = replay_folder(argv[i]);
        else if (replay_file(argv[i], &st) != 0)
            return 1;
        if (count < 0)
            return 1;
        total += count;
    }
    if (total == 0) {
        fprintf(stderr, "usage: %s CORPUS-FOLDER-OR-FILE...\n", program);
        return 2;
    }
    printf("%ld inputs replayed\n", total);
    return 0;
}
