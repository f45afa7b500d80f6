#include "alsa_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

const char *alsa_load(struct alsa_api *api) {
    static char why[120];
    void *const library = dlopen("libasound.so.2", RTLD_NOW | RTLD_GLOBAL);
    if (!library) return "libasound.so.2 is not installed; on Debian: apt install libasound2";
#define FIND(name) \
    void *const found_##name = dlsym(library, #name); \
    if (!found_##name) { \
        snprintf(why, sizeof why, "libasound.so.2 has no %s; a newer libasound2 is needed", #name); \
        return why; \
    } \
    memcpy(&api->name, &found_##name, sizeof found_##name); /* ISO C knows no cast from object to function */
    ALSA_FUNCTIONS(FIND)
#undef FIND
    return 0;
}
