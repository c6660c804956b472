/*
 * The upper layer of an overlay on disk. DIR has
 *
 *     info     lines: "remotefs-trace overlay 1", the target's name, the root's path there; whoever uses DIR has a flock on it
 *     inodes   what copies were at the target: see inomap.h
 *     work/    what is being copied, and not yet there
 *     index/   the copies of files that have several names at the target, by "MAJOR:MINOR:INO" there
 *     upper/   the layer: a tree of ordinary files with ordinary attributes
 *
 * What is in a directory of upper/ hides what is at the same name in the directory below it at the target. Which that
 * is, UPPER_FROM in it tells, a symbolic link whose text is the path at the target; without it there is none. In UPPER_GONE,
 * a directory, stands a name for each that is at the target and was removed here. So nothing has to be done to a whiteout
 * when its name is used again, a renamed directory takes what is below it along, and one that was made here is opaque.
 */
#ifndef TRACER_UPPER_H
#define TRACER_UPPER_H

#include <stdbool.h>
#include <stddef.h>

#define UPPER_INFO_HEAD "remotefs-trace overlay 1"
#define UPPER_FROM ".wh..wh.from"
#define UPPER_GONE ".wh..wh.gone"

/*
 * The modes in upper/ are the program's. Who is not root is held to them as the files' owner, too, whatever we have to do there ourselves:
 * UPPER_RIGHTS(DIR), DIR being any descriptor of a directory that stays open, has us read, search and change it until the end of the block.
 */
struct upper_rights {
	int dir;
	unsigned mode; /* to be given back */
	bool given;
};

struct upper_rights upper_rights_take(int dir);
void upper_rights_back(struct upper_rights *r);

#define UPPER_RIGHTS(dir) __attribute__((cleanup(upper_rights_back), unused)) struct upper_rights rights_of_ours = upper_rights_take(dir)

/* Whether NAME is one of these two, which no program sees. */
bool upper_is_reserved(const char *name);

/*
 * Makes DIR, where needed, an overlay of TARGET whose tree is at FROM there, and takes its lock. The descriptor of DIR,
 * which holds it, or a negative errno with one clause in ERR: -EBUSY (in use), -EINVAL (another target's, or none of ours).
 */
int upper_open(const char *dir, const char *target, const char *from, char *err, size_t err_len);

/* Opens (O_PATH) the directory NAME of DIR, or PATH, "/" or "/a/b", below TOP, following no link. A descriptor or a negative errno. */
int upper_enter(int dir, const char *name);
int upper_walk(int top, const char *path);

/* What DIR, a directory of upper/, is a copy of: 1 with the path in TEXT (PATH_MAX bytes), 0: of nothing. Negative errno. */
int upper_from(int dir, char *text);

/* Makes DIR, which is new, a copy of TEXT. 0 or a negative errno. */
int upper_mark(int dir, const char *text);

/* Whether NAME was removed from what is below DIR; upper_hide says so (0, also when it was said before), upper_show takes it back. */
bool upper_is_gone(int dir, const char *name);
int upper_hide(int dir, const char *name);
int upper_show(int dir, const char *name);

/* Whether nothing but reserved names is in DIR. A negative errno when it cannot be read. */
int upper_is_bare(int dir);

/* Takes the reserved names out of DIR, in an order that never shows what was gone. 0 or a negative errno. */
int upper_strip(int dir);

#endif
