/* tools/kubelet-sim/content.h — plausible bodies: metrics, pods, stats. Any thread. */
#pragma once
#include <stdint.h>

#include "tools/kubelet-sim/text.h"

struct sim;

void content_metrics(const struct sim *, uint32_t node, struct text *);
void content_metrics_cadvisor(const struct sim *, uint32_t node, struct text *);
void content_metrics_resource(const struct sim *, uint32_t node, struct text *);
void content_pods(const struct sim *, uint32_t node, struct text *);
void content_stats(const struct sim *, uint32_t node, struct text *);
void content_configz(const struct sim *, uint32_t node, struct text *);
