/* bench/load/self_check.h — the generator proves its arithmetic before anyone believes its figures. */
#pragma once

int self_check(void);
/* 0 when every property holds; otherwise the number of failures, each printed to stderr. */
