/* Record locks on remote files. */
#ifndef SYSCALLS_LOCK_H
#define SYSCALLS_LOCK_H

struct call;
struct ofd;

/* Performs fcntl's lock COMMAND (C's third argument points to the struct flock) on O. Result or negative errno. */
long lock_fcntl(struct call *c, struct ofd *o, int command);

#endif
