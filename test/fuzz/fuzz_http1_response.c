/* test/fuzz/fuzz_http1_response.c — libFuzzer target: response heads, as answers to a GET, a HEAD and a
 * CONNECT.
 *
 * The input is the bytes as they would come from a peer, nothing else, so a corpus file can be written with
 * printf and read with less. What must hold is said in http1_properties.h.
 */
#include "test/fuzz/fuzz.h"
#include "test/fuzz/http1_properties.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    static const enum http_method methods[] = {HTTP_METHOD_GET, HTTP_METHOD_HEAD, HTTP_METHOD_CONNECT};
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        http1_check_response(text, size, methods[i]);
        http1_compare_response(text, size, methods[i]);
    }
    return 0;
}
