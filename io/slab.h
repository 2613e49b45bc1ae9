/* io/slab.h — fixed-size objects of one worker: taken and given back without malloc, bounded.
 *
 * Memory grows by chunks up to `objects_max` and is given back to the system only by slab_fini(). Freed
 * objects are poisoned in sanitized builds. Owner worker only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "io/attributes.h"

struct slab {
    const char *name;
    size_t object_size;
    uint32_t objects_max, objects, used;
    void *free_list;
    void *chunks;
};

void slab_init(struct slab *, const char *name, size_t object_size, uint32_t objects_max);
void slab_fini(struct slab *);
/* Asserts that every object came home. */
MUST_USE void *slab_take(struct slab *);
/* Zeroed object, or NULL when objects_max are out or memory is refused. */
void slab_give(struct slab *, void *object);
