/* A message in a file, or on standard input, as a source that is read where needed and never held whole. */
#ifndef CLI_MESSAGE_FILE_H
#define CLI_MESSAGE_FILE_H

#include "message/source.h"

struct message_file {
    struct message_source source;
    int fd;
    int error; /* errno of the read that failed; 0: none did */
};

/* name "-": standard input; what cannot be read twice (a pipe) goes to a nameless temporary file first. Says what is
 * wrong and returns the class. */
enum err message_file_open(struct message_file *file, const char *name) MUST_CHECK;
void message_file_close(struct message_file *file);

#endif
