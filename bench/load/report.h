/* bench/load/report.h — a run as one JSON object on stdout. */
#pragma once

struct load_options;
struct load_result;

void report_print(const struct load_options *, const struct load_result *);
