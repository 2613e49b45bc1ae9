/* tools/must_use.h — a result that may not be dropped. */
#pragma once

#ifndef MUST_USE
#define MUST_USE __attribute__((warn_unused_result))
#endif
