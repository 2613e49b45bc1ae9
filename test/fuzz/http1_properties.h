/* test/fuzz/http1_properties.h — what must hold for any bytes given to the HTTP/1 codec.
 * Each function aborts when a property is broken and returns otherwise; the fuzz targets feed them noise, the
 * unit tests feed them seeded mutations. Single thread.
 */
#pragma once

#include "broker/http/http1_parse.h"

bool http1_check_request(const char *data, size_t len);
/* Properties: however the input is cut, the answer is the same; nothing beyond the input is read (exact-size
 * heap copies, for the sanitizer to watch); a view's slices lie inside the input; packing fits its bound and
 * nothing less than its result; written and parsed again, the head is the same and the bytes are too. True
 * when accepted. */
bool http1_check_response(const char *data, size_t len, enum http_method of_request);
bool http1_check_chunks(const char *data, size_t len);
/* The same for a chunked body with its trailers. */

bool http1_compare_request(const char *data, size_t len);
bool http1_compare_response(const char *data, size_t len, enum http_method of_request);
bool http1_compare_chunks(const char *data, size_t len);
/* What we accept, http_parser 2.9 must accept with the same meaning: method, target, version, number of
 * fields, framing, payload, end. We may be stricter, never laxer. True when we accepted, so that a test can
 * see that it tested something. */
