/* Fuzz target: a message, its structure, its sections, what IMAP says about it. */
#include "message/structure_testing.h"
#include "message/trace.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *error = check_message(view_of(data, size));
    if (error != NULL) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
    if (trace_hops(view_of(data, size)) > TRACE_HOPS_MAX + 1)
        abort();
    return 0;
}
