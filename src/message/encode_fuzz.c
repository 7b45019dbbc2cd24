/* Fuzz target: what the encoders write decodes to what went in, wherever the input is cut, and has the size foretold. */
#include "message/decode.h"
#include "message/encode.h"
#include "message/encode_testing.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 4 || size > 100000)
        return 0;
    if (check_encoders(view_of(data + 2, size - 2), 1 + data[0] % 100u, (data[1] & 1) != 0) != NULL)
        abort();
    return 0;
}
