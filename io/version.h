/* io/version.h — the library's version as text. Any thread. */
#pragma once

#include "include/hawser/hawser.h" /* declared where embedding programs see it */
