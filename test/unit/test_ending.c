/* test/unit/test_ending.c — the table of endings is complete and sane. */
#include "io/ending.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "io/attributes.h"
#include "io/counters.h"

static void every_row_is_complete(void **state)
{
    (void)state;
    for (int e = 0; e < ENDING_COUNT; e++) {
        const char *name = ending_name((enum ending)e), *text = ending_text((enum ending)e);
        assert_non_null(name);
        assert_non_null(text);
        assert_true(strlen(name) > 0 && strlen(text) > 0 && strlen(text) < 80);
        for (const char *c = name; *c; c++)
            assert_true(islower((unsigned char)*c) || *c == '_');
        for (const char *c = text; *c; c++)
            assert_true(*c >= ' ' && *c < 0x7f && *c != '"' && *c != '\\'); /* goes into reason phrases */
        assert_true(text[strlen(text) - 1] != '.');
        for (int other = 0; other < e; other++) {
            assert_string_not_equal(name, ending_name((enum ending)other));
            assert_string_not_equal(text, ending_text((enum ending)other));
        }
    }
}

static void a_status_fits_whose_doing_it_was(void **state)
{
    (void)state;
    for (int e = 0; e < ENDING_COUNT; e++) {
        int status = ending_status((enum ending)e);
        switch (ending_whose((enum ending)e)) {
        case ENDING_BY_NOBODY: assert_int_equal(status, 0); break;
        case ENDING_BY_CLIENT: assert_true(status == 0 || (status >= 400 && status < 500)); break;
        case ENDING_BY_BACKEND: assert_true(status == 502 || status == 503 || status == 504); break;
        case ENDING_BY_HAWSER: assert_true(status == 0 || status == 500 || status == 503); break;
        }
    }
}

static void every_ending_has_a_counter(void **state)
{
    (void)state;
    assert_true(ENDING_COUNT <= (int)ARRAY_SIZE(((struct counters *)0)->endings));
}

static void errno_is_translated(void **state)
{
    (void)state;
    static const struct {
        int err;
        enum ending dialling, later;
    } rows[] = {
        {0,             ENDING_DONE,            ENDING_DONE       },
        {ECONNREFUSED,  ENDING_REFUSED,         ENDING_REFUSED    },
        {ENOENT,        ENDING_UNREACHABLE,     ENDING_UNREACHABLE},
        {EHOSTUNREACH,  ENDING_UNREACHABLE,     ENDING_UNREACHABLE},
        {ENETUNREACH,   ENDING_UNREACHABLE,     ENDING_UNREACHABLE},
        {EAFNOSUPPORT,  ENDING_UNREACHABLE,     ENDING_UNREACHABLE},
        {EINVAL,        ENDING_UNREACHABLE,     ENDING_INTERNAL   },
        {EACCES,        ENDING_FILTERED,        ENDING_FILTERED   },
        {EPERM,         ENDING_FILTERED,        ENDING_FILTERED   },
        {ETIMEDOUT,     ENDING_CONNECT_TIMEOUT, ENDING_PEER_LOST  },
        {ECONNRESET,    ENDING_REFUSED,         ENDING_PEER_RESET },
        {EPIPE,         ENDING_REFUSED,         ENDING_PEER_RESET },
        {EADDRNOTAVAIL, ENDING_NO_SOURCE,       ENDING_NO_SOURCE  },
        {EMFILE,        ENDING_DESCRIPTORS,     ENDING_DESCRIPTORS},
        {ENFILE,        ENDING_DESCRIPTORS,     ENDING_DESCRIPTORS},
        {ENOMEM,        ENDING_LIMIT,           ENDING_LIMIT      },
        {ECANCELED,     ENDING_CANCELLED,       ENDING_CANCELLED  },
        {EBADF,         ENDING_INTERNAL,        ENDING_INTERNAL   },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(ending_from_errno(rows[i].err, true), rows[i].dialling);
        assert_int_equal(ending_from_errno(rows[i].err, false), rows[i].later);
    }
    for (int err = 0; err < 200; err++)
        assert_in_range(ending_from_errno(err, err & 1), 0, ENDING_COUNT - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_complete),
        cmocka_unit_test(a_status_fits_whose_doing_it_was),
        cmocka_unit_test(every_ending_has_a_counter),
        cmocka_unit_test(errno_is_translated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
