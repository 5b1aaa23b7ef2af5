/* Fuzzer of whole POP3 sessions; see fuzz_session.h. */
#include "fuzz_session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_session(session_main_pop3, (struct str){(const char *)data, size});
    return 0;
}
