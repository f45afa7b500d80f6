#include "slots.h"

#include "capture.h"
#include "notes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".tudor"

static void *memory(size_t bytes) {
    void *const found = aligned_alloc(64, (bytes + 64) / 64 * 64);
    return found ? memset(found, 0, bytes) : 0;
}

/* Read, not mapped: a card that is taken out, or a file that is cut short meanwhile, must not stop the sound. */
char *read_whole(const char *path, size_t *bytes) {
    struct stat about;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    char *data = 0;
    const int failed = fstat(file, &about);
    if (!failed && S_ISDIR(about.st_mode)) {
        errno = EISDIR; /* some file systems say so only where a folder holds something */
    } else if (!failed && (data = memory((size_t)about.st_size + 1)) != 0) {
        size_t have = 0;
        ssize_t got = 1;
        while (have < (size_t)about.st_size && (got = read(file, data + have, (size_t)about.st_size - have)) > 0)
            have += (size_t)got;
        if (have < (size_t)about.st_size) {
            if (got == 0) errno = EIO;
            free(data);
            data = 0;
        }
        if (data) *bytes = have;
    }
    const int error = errno;
    close(file);
    errno = error;
    return data;
}

static int is_model(const struct dirent *entry) {
    const size_t length = strlen(entry->d_name), end = sizeof SUFFIX - 1;
    /* Computers leave files such as "._a.tudor" beside the ones that they copy. */
    return entry->d_name[0] != '.' && length > end && !strcasecmp(entry->d_name + length - end, SUFFIX);
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    const int order = strcasecmp((*a)->d_name, (*b)->d_name);
    return order ? order : strcmp((*a)->d_name, (*b)->d_name);
}

/* 0, or a sentence. The file's memory stays with the slot for as long as the program runs. */
static const char *load(tudor_module *m, uint32_t slot, const char *folder, const char *file) {
    static module_complaint why;
    char path[512], name[MODULE_NAME];
    module_need need;
    size_t bytes = 0, map_bytes = 0;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    snprintf(name, sizeof name, "%.*s", (int)(strlen(file) - sizeof SUFFIX + 1), file);
    char *const data = read_whole(path, &bytes);
    if (!data) return strerror(errno);
    snprintf(path + strlen(path) - sizeof SUFFIX + 1, sizeof SUFFIX, ".map");
    char *const map = read_whole(path, &map_bytes);
    why = (module_complaint){0};
    if (!map && errno != ENOENT) { /* a mapping that is there is meant: no other is played instead */
        snprintf(why.text, sizeof why.text, "its mapping %.100s: %s", strrchr(path, '/') + 1, strerror(errno));
        free(data);
        return why.text;
    }
    void *fast = 0, *bulk = 0;
    int error = module_measure(m, data, bytes, map, map_bytes, &need, &why);
    if (!error) {
        fast = memory(need.fast_bytes);
        bulk = memory(need.bulk_bytes);
        if (!fast || !bulk) snprintf(why.text, sizeof why.text, "there is no memory for it");
        error = !fast || !bulk ? MODULE_ERROR_MEMORY
                               : module_load(m, slot, name, data, bytes, map, map_bytes, fast, need.fast_bytes, bulk,
                                             need.bulk_bytes, &why);
    }
    free(map);
    if (!error) {
        const size_t more = capture_bytes(m, slot);
        void *const beside = more ? memory(more) : 0;
        if (more && (!beside || capture_open(m, slot, beside, more))) note("%.60s: there is no memory to capture", file);
        return 0;
    }
    free(data);
    free(fast);
    free(bulk);
    return why.text;
}

int slots_load(tudor_module *m, const char *folder) {
    struct dirent **names = 0;
    const int count = scandir(folder, &names, is_model, by_name);
    uint32_t slot = 0;
    if (count < 0) note("models: %s: %s", folder, strerror(errno));
    if (count == 0) note("models: %s holds no .tudor file; put one there", folder);
    for (int i = 0; i < count; i++) {
        const char *const why = slot == MODULE_SLOTS ? "all slots are taken" : load(m, slot, folder, names[i]->d_name);
        if (why)
            note("%.60s is skipped: %.120s", names[i]->d_name, why);
        else
            slot++;
        free(names[i]);
    }
    free(names);
    return (int)slot;
}
