#include "notes.h"

#include <stdarg.h>
#include <stdio.h>

static char kept[NOTES][NOTE_BYTES];
static int count;

void note(const char *format, ...) {
    char text[NOTE_BYTES];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    fprintf(stderr, "%s\n", text);
    if (count < NOTES) snprintf(kept[count++], sizeof kept[0], "%s", text);
}

const char *note_kept(int i) { return i >= 0 && i < count ? kept[i] : 0; }
