/* Fuzzer of whole IMAP sessions; see fuzz_session.h. */
#include "fuzz_session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_session(session_main_imap, (struct str){(const char *)data, size});
    return 0;
}
