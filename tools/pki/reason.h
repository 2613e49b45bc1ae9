/* tools/pki/reason.h — how the files of this folder leave the text that mint_reason() shows. Per thread. */
#pragma once
#include "tools/pki/mint.h"

__attribute__((format(printf, 2, 3))) enum mint_result mint_fail(enum mint_result, const char *format, ...);
enum mint_result mint_fail_crypto(const char *what);
/* MINT_CRYPTO, with the newest error of libcrypto's queue. */
