/* broker/kube/lease_name.c — see lease_name.h. */
#include "broker/kube/lease_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 253, LABEL_MAX_BYTES = 317 /* prefix, slash and name; a value has 63 */ };

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

bool lease_name_is_valid(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++) {
        bool edge = i == 0 || i + 1 == len || name[i - 1] == '.' || name[i + 1] == '.';
        if (!is_lower_alnum(name[i]) && (edge || (name[i] != '-' && name[i] != '.')))
            return false;
    }
    return len > 0 && len <= NAME_MAX_BYTES;
}

static bool is_label_text(const char *text, size_t len, bool is_name)
{
    if (len == 0)
        return !is_name;
    if (!is_alnum(text[0]) || !is_alnum(text[len - 1]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(text[i]) && !strchr(is_name ? "-_./" : "-_.", text[i]))
            return false;
    return len <= LABEL_MAX_BYTES;
}

json_t *lease_labels(const char *text)
{
    json_t *labels = json_object();
    while (labels) {
        size_t len = strcspn(text, ","), name = strcspn(text, "=");
        char key[LABEL_MAX_BYTES + 1];
        if (name >= len || !is_label_text(text, name, true) ||
            !is_label_text(text + name + 1, len - name - 1, false))
            break;
        snprintf(key, sizeof(key), "%.*s", (int)name, text);
        if (json_object_set_new(labels, key, json_stringn(text + name + 1, len - name - 1)) != 0)
            break;
        if (!text[len])
            return labels;
        text += len + 1;
    }
    json_decref(labels);
    return NULL;
}

size_t lease_query_encode(const char *text, char *ret, size_t size)
{
    size_t n = 0;
    for (; *text; text++) {
        bool plain = is_alnum(*text) || strchr("-._~", *text);
        char encoded[4];
        int len = snprintf(encoded, sizeof(encoded), plain ? "%c" : "%%%02X", (unsigned char)*text);
        for (int i = 0; i < len; i++, n++)
            if (n + 1 < size)
                ret[n] = encoded[i];
    }
    if (size > 0)
        ret[n < size ? n : size - 1] = '\0';
    return n;
}
