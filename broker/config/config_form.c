/* broker/config/config_form.c — see config_form.h. Whoever needs the parsed value parses again with the same
 * function (cidr.h), so a form that passes here can not fail there. */
#include "broker/config/config_form.h"

#include <string.h>
#include <sys/un.h>

#include "broker/cidr.h"
#include "broker/client.h"
#include "broker/host_pattern.h"

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool only(const char *text, const char *allowed)
{
    return text[0] != '\0' && text[strspn(text, allowed)] == '\0';
}

static bool is_name(const char *text)
{
    size_t len = strlen(text);
    return len <= 63 && only(text, LOWER DIGITS "-") && text[0] != '-' && text[len - 1] != '-';
}

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

/* A path is looked at later; here it only must be what a system call takes and a log line can hold. */
static bool is_file(const char *text)
{
    return text[0] != '\0' && strlen(text) < 4096 && is_printable(text);
}

static bool is_socket_path(const char *text)
{
    return text[0] == '/' && is_printable(text) &&
           strlen(text) < sizeof(((struct sockaddr_un *)NULL)->sun_path);
}

static bool is_mode(const char *text)
{
    return strlen(text) == 4 && text[0] == '0' && only(text, "01234567");
}

static bool is_account(const char *text)
{
    return strlen(text) <= 64 && text[0] != '-' && only(text, LOWER UPPER DIGITS "_-.");
}

static bool is_node_name(const char *text)
{
    size_t len = strlen(text);
    return len <= 253 && only(text, LOWER DIGITS "-.") && text[0] != '-' && text[0] != '.' &&
           text[len - 1] != '-' && text[len - 1] != '.';
}

/* A common name may hold anything printable; a '*' only where host names have it, or for every name. */
static bool is_certificate_name(const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len > 253)
        return false;
    if (!is_printable(text))
        return false;
    if (!strchr(text, '*'))
        return true;
    return text[0] == '*' && text[1] == '.' && host_name_is_valid(text + 2);
}

static bool is_visible(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7f)
            return false;
    return len > 0 && len <= 253;
}

/* Kubernetes' qualified name, '=' and a value that may be empty. */
static bool is_selector(const char *text)
{
    size_t key = strcspn(text, "=");
    return is_visible(text) && key > 0 && text[key] == '=' && strlen(text + key + 1) <= 63 &&
           strspn(text, LOWER UPPER DIGITS "-_./") == key &&
           (text[key + 1] == '\0' || only(text + key + 1, LOWER UPPER DIGITS "-_."));
}

static bool is_client_name(const char *text)
{
    return strcmp(text, "*") == 0 || is_certificate_name(text);
}

bool config_form_matches(enum config_form form, const char *text)
{
    struct ip ip;
    struct cidr cidr;
    struct port_range range;
    struct host_pattern pattern;
    struct client_pattern client;
    switch (form) {
    case FORM_ANY: return true;
    case FORM_NAME: return is_name(text);
    case FORM_FILE: return is_file(text);
    case FORM_SOCKET_PATH: return is_socket_path(text);
    case FORM_MODE: return is_mode(text);
    case FORM_ACCOUNT: return is_account(text);
    case FORM_ADDRESS: return strcmp(text, "*") == 0 || ip_parse(text, &ip);
    case FORM_CIDR: return cidr_parse(text, &cidr);
    case FORM_PORTS: return port_range_parse(text, &range);
    case FORM_HOST_PATTERN: return host_pattern_parse(text, &pattern);
    case FORM_HOST: return ip_parse(text, &ip) || host_name_is_valid(text);
    case FORM_NODE_NAME:
    case FORM_KUBE_NAME: return is_node_name(text);
    case FORM_CLIENT_NAME: return is_client_name(text);
    case FORM_CLIENT:
        return client_pattern_parse(text, &client) &&
               (client.kind != CLIENT_BY_NAME || is_certificate_name(text));
    case FORM_SELECTOR: return is_selector(text);
    case FORM_VISIBLE: return is_visible(text);
    case FORM_LOG_FILE: return strcmp(text, "stderr") == 0 || (text[0] == '/' && is_file(text));
    }
    ASSERT(false && "a form of the table");
    return false;
}

const char *config_form_text(enum config_form form)
{
    static const char *const texts[] = {
#define FORM_TEXT(symbol, text) [FORM_##symbol] = text,
        CONFIG_FORMS(FORM_TEXT)
#undef FORM_TEXT
    };
    ASSERT((size_t)form < ARRAY_SIZE(texts));
    return texts[form];
}
