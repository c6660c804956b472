/* One line on the terminal about what is being waited for, while that takes long. */
#ifndef TRACER_PROGRESS_H
#define TRACER_PROGRESS_H

/* From now on this is being done; it is shown when it takes over half a second. One thread at a time. */
void progress_begin(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* To be called at least every 100 ms while it is being done. */
void progress_tick(void);

/* It is done: a line that was shown goes. */
void progress_end(void);

#endif
