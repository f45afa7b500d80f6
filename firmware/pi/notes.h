/* What the builder should know: said on standard error, and kept for the status. */
#ifndef TUDOR_PI_NOTES_H
#define TUDOR_PI_NOTES_H

#define NOTES 24
#define NOTE_BYTES 200

__attribute__((format(printf, 1, 2))) void note(const char *format, ...);
/* The i-th note since the start; null: there is none. For the thread that notes. */
const char *note_kept(int i);

#endif
