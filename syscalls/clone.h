/* Shared extents: FICLONE, FICLONERANGE, FIDEDUPERANGE. Wants the state lock held. */
#ifndef SYSCALLS_CLONE_H
#define SYSCALLS_CLONE_H

struct call;

/* Does the ioctl REQUEST, one of these, that C is, on a remote descriptor that is not O_PATH. Its result, or CALL_CONTINUE. */
long clone_ioctl(struct call *c, unsigned request);

#endif
