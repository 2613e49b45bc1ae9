/* test/fuzz/fuzz_http1_request.c — libFuzzer target: request heads.
 *
 * The input is the bytes as they would come from a peer, nothing else, so a corpus file can be written with
 * printf and read with less. What must hold is said in http1_properties.h.
 */
#include "test/fuzz/fuzz.h"
#include "test/fuzz/http1_properties.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    http1_check_request(text, size);
    http1_compare_request(text, size);
    return 0;
}
