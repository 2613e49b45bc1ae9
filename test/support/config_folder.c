/* test/support/config_folder.c — see config_folder.h. */
#include "test/support/config_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { PATH_BYTES = 128, DOCUMENT_BYTES = 2048 };

static char dir[] = "/tmp/hawser-test-XXXXXX";

struct recipe {
    const char *name; /* of the files: name.crt, name.key */
    bool ca;
    const char *usage, *key_usage; /* the first one extended */
    int from_s, to_s;              /* seconds from now */
};

const char *folder_path(const char *name)
{
    static char paths[8][PATH_BYTES];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, PATH_BYTES, "%s/%s", dir, name);
    return path;
}

static FILE *create(const char *name, mode_t mode)
{
    unlink(folder_path(name));
    FILE *file = fopen(folder_path(name), "w");
    assert_non_null(file);
    assert_int_equal(fchmod(fileno(file), mode), 0);
    return file;
}

void folder_put(const char *name, const char *text, mode_t mode)
{
    FILE *file = create(name, mode);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* Self-signed: whether a chain builds is not judged here. */
static void make(const struct recipe *recipe)
{
    char file_name[64];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    assert_non_null(key);
    assert_non_null(certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), recipe->from_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), recipe->to_s);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)recipe->name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_set_pubkey(certificate, key);
    add_extension(certificate, NID_basic_constraints, recipe->ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (recipe->usage)
        add_extension(certificate, NID_ext_key_usage, recipe->usage);
    if (recipe->key_usage)
        add_extension(certificate, NID_key_usage, recipe->key_usage);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    snprintf(file_name, sizeof(file_name), "%s.crt", recipe->name);
    FILE *file = create(file_name, 0644);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    fclose(file);
    snprintf(file_name, sizeof(file_name), "%s.key", recipe->name);
    file = create(file_name, 0600);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    snprintf(file_name, sizeof(file_name), "%s-locked.key", recipe->name);
    file = create(file_name, 0600);
    assert_int_equal(PEM_write_PKCS8PrivateKey(file, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL), 1);
    fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void copy(const char *from, const char *to, mode_t mode)
{
    char bytes[8192];
    FILE *in = fopen(folder_path(from), "r");
    assert_non_null(in);
    size_t len = fread(bytes, 1, sizeof(bytes) - 1, in);
    fclose(in);
    bytes[len] = '\0';
    folder_put(to, bytes, mode);
}

int folder_set_up(void **state)
{
    static const struct recipe recipes[] = {
        {"ca",      true,  NULL,         NULL,                                -DAY,       365 * DAY},
        {"old-ca",  true,  NULL,         NULL,                                -365 * DAY, -DAY     },
        {"server",  false, "serverAuth", NULL,                                -DAY,       90 * DAY },
        {"soon-ca", true,  NULL,         NULL,                                -DAY,       3 * DAY  },
        {"client",  false, "clientAuth", NULL,                                -DAY,       90 * DAY },
        {"expired", false, NULL,         NULL,                                -90 * DAY,  -DAY     },
        {"future",  false, NULL,         NULL,                                DAY,        90 * DAY },
        {"soon",    false, NULL,         NULL,                                -DAY,       3 * DAY  },
        {"shy-ca",  true,  NULL,         "critical,digitalSignature,cRLSign", -DAY,       90 * DAY },
    };
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    for (size_t i = 0; i < ARRAY_SIZE(recipes); i++)
        make(&recipes[i]);
    copy("server.key", "open.key", 0644);
    copy("server.key", "group.key", 0640);
    copy("ca.key", "open-ca.key", 0644);
    copy("ca.key", "group-ca.key", 0640);
    folder_put("empty", "", 0600);
    folder_put("garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0600);
    folder_put("token", "abc.def-ghi_jkl\n", 0600);
    folder_put("open-token", "abc\n", 0604);
    folder_put("two-tokens", "abc\ndef\n", 0600);
    return mkdir(folder_path("directory"), 0700);
}

int folder_tear_down(void **state)
{
    char command[PATH_BYTES];
    (void)state;
    snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command);
}

void folder_expand(const char *text, char *ret_text, size_t size)
{
    size_t n = 0;
    for (; *text && n + sizeof(dir) < size; text++)
        if (*text == '@')
            n += (size_t)snprintf(ret_text + n, size - n, "%s", dir);
        else
            ret_text[n++] = *text;
    ret_text[n] = '\0';
}

struct config *folder_load(const char *document, struct config_error *error)
{
    char text[DOCUMENT_BYTES];
    struct config *config = NULL;
    folder_expand(document, text, sizeof(text));
    int rc = config_load_buffer("f", text, strlen(text), CONFIG_DEFAULT, &config, error);
    assert_true(rc == CONFIG_OK || rc == CONFIG_INVALID);
    return config;
}

static const char *last_line(struct config **config, const struct config_error *error,
                             char text[CONFIG_ERROR_MAX])
{
    struct config *c = *config;
    snprintf(text, CONFIG_ERROR_MAX, "%s", !c ? error->text : c->warning_count ? c->warnings[0] : "good");
    config_free(config);
    return text;
}

void folder_expect_line(const char *document, const char *line)
{
    struct config_error error;
    char expected[CONFIG_ERROR_MAX], found[CONFIG_ERROR_MAX];
    struct config *config = folder_load(document, &error);
    folder_expand(line, expected, sizeof(expected));
    last_line(&config, &error, found);
    if (strncmp(found, expected, strlen(expected)) != 0)
        fail_msg("%s\n gave %s\n not  %s", document, found, expected);
}
