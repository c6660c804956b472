/* Path resolution below a directory for kernels (or seccomp profiles) without openat2(2). */
#ifndef AGENT_WALK_H
#define AGENT_WALK_H

#include <stdint.h>
#include <sys/types.h>

struct root;

/*
 * Opens PATH as openat2(BASE, PATH, {FLAGS, MODE, RESOLVE}) would, one component at a time. RESOLVE must
 * have RESOLVE_IN_ROOT or RESOLVE_BENEATH. With a VIEW (BASE is its root) absolute links are followed as the program
 * means them, which openat2 cannot. A descriptor or a negative errno of openat2(2).
 */
int walk_open(int base, const char *path, int flags, mode_t mode, uint64_t resolve, const struct root *view);

#endif
