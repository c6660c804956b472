/* Positions in remote directories. All want the state lock held. */
#ifndef SYSCALLS_DIR_H
#define SYSCALLS_DIR_H

#include <stdint.h>

struct call;
struct ofd;

/* lseek(2) of the directory O, which is descriptor 0 of C's arguments. The position, or -EINVAL. */
long dir_seek(struct call *c, struct ofd *o, int64_t off, int whence);

/* Goes to where a native lseek has been since then: O's list_cookie is its position now. */
void dir_find_position(struct call *c, struct ofd *o, int fd);

#endif
