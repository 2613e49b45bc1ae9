/* test/fuzz/fuzz_config.c — any bytes as a configuration: refused with one line, or a snapshot that keeps its
 * promises: what it dumps loads again and dumps the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/client.h"
#include "broker/config/config.h"
#include "broker/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config *load(const void *bytes, size_t len)
{
    struct config *config = NULL;
    struct config_error error = {0};
    int rc = config_load_buffer("fuzz.yaml", bytes, len, CONFIG_SKIP_FILES, &config, &error);
    if (rc == CONFIG_INVALID) {
        ASSERT(!config);
        ASSERT(error.line > 0 && error.column > 0);
        ASSERT(strncmp(error.text, "fuzz.yaml:", 10) == 0 && !strchr(error.text, '\n'));
        ASSERT(strstr(error.text, ": found "));
    }
    return config;
}

static char *dump(const struct config *config, size_t *ret_len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_len);
    ASSERT(out);
    config_dump(config, out);
    ASSERT(fclose(out) == 0);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = load(data, size);
    struct routes *routes = NULL;
    const struct route *route;
    size_t len, again_len;
    if (!config)
        return 0;
    ASSERT(routes_new(config, &routes) == 0);
    struct client client = {.kind = CLIENT_PROCESS};
    struct route_set open;
    routes_open_to(routes, "a", &client, &open);
    struct route_query query = {
        .host = "10.0.0.1", .port = 10250, .scheme = CONFIG_SCHEME_HTTPS, .open = &open};
    (void)!route_match(routes, &query, &route);
    routes_free(&routes);
    char *text = dump(config, &len);
    if (len <= CONFIG_FILE_BYTES_MAX) { /* defaults and quotes may make it longer than what was read */
        struct config *again = load(text, len);
        ASSERT(again);
        char *again_text = dump(again, &again_len);
        ASSERT(again_len == len && memcmp(text, again_text, len) == 0);
        free(again_text);
        config_free(&again);
    }
    free(text);
    config_free(&config);
    return 0;
}
