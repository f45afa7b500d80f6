/* The models folder: each .tudor file with its mapping goes into a slot; what is broken is skipped and named. */
#ifndef TUDOR_PI_SLOTS_H
#define TUDOR_PI_SLOTS_H

#include "module.h"

/* Loads up to MODULE_SLOTS files in the order of their names; how many play. */
int slots_load(tudor_module *m, const char *folder);

/* A whole file in memory that models may lie in (aligned, a zero behind it); null: errno says why. To be freed. */
char *read_whole(const char *path, size_t *bytes);

#endif
