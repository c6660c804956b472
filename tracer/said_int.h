/* Between child.c, which starts children, and said.c, which listens to them. */
#ifndef TRACER_SAID_INT_H
#define TRACER_SAID_INT_H

struct said;

/* Listens to FD, which it owns, on a thread of its own, until its end. Never NULL. */
struct said *said_new(int fd);

/* Nobody asks any more; what is still said is dropped. */
void said_free(struct said *s);

#endif
