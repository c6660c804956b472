/* One file, wherever it is: how two differ, and how one is made like another. Plain system calls; no state of the tracer. */
#ifndef TRACER_INODE_H
#define TRACER_INODE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* A name in an open directory and what it names; symlinks are themselves. */
struct inode_at {
	int dir;
	const char *name;
	struct stat st;
};

/*
 * What a file's mode keeps from its owner, the owner gives himself for the moment: INODE_RIGHTS(VAR, AT, WANTED) has us, where AT (st is
 * filled in, and is not changed) is ours, use it with the rights WANTED (S_IRUSR and others) until the end of the block. VAR is any new name.
 */
struct inode_rights {
	const struct inode_at *at; /* what gets MODE again, or NULL */
	mode_t mode;
};

struct inode_rights inode_rights_take(const struct inode_at *at, mode_t wanted);
void inode_rights_back(struct inode_rights *r);

#define INODE_RIGHTS(var, at, wanted) \
	__attribute__((cleanup(inode_rights_back), unused)) struct inode_rights var = inode_rights_take(at, wanted)

/* Fills in AT->st. 0 or a negative errno. */
int inode_look(struct inode_at *at);

/*
 * Tells in TEXT (at most LEN bytes, always terminated) in what IS differs from WAS, as "size 3 -> 5, mode 644 -> 600".
 * Both have the same type. Owners count only for root, since nobody else's copies keep them; times of directories do not count.
 * Returns a set of INODE_ bits, 0 when they are equal, or a negative errno, e.g. of a file that cannot be read.
 */
int inode_compare(const struct inode_at *was, const struct inode_at *is, char *text, size_t len);

#define INODE_CONTENT 1 /* bytes, a link's text, a device's number */
#define INODE_META 2    /* mode, owner, extended attributes, a file's time of modification */

/*
 * Makes NAME in DIR, which must not be there, a copy of FROM, which is no directory: content with its holes, extended attributes,
 * owner, mode and times, and has it on the disk. OWNER tells whose it is to be; NULL: whose it comes to be is right, unless root can
 * give it FROM's. 0 or a negative errno; then NAME may be there.
 */
int inode_copy(const struct inode_at *from, int dir, const char *name, const struct stat *owner);

/* Gives TO, of the same type, FROM's mode, owner (root), extended attributes and, if TIMES, its times. 0 or a negative errno. */
int inode_copy_meta(const struct inode_at *from, const struct inode_at *to, bool times);

/* Whoever makes files that are not root's cannot give them away: MADE, the owner of a new one, is then what LIKE's is to be. */
void inode_keep_owner(struct inode_at *like, const struct stat *made);

/* Removes NAME of DIR with all that is below it. 0, also when it is not there, or a negative errno. */
int inode_remove(int dir, const char *name);

/* Opens the directory NAME of DIR for reading. A descriptor or a negative errno. */
int inode_open_dir(int dir, const char *name);

#endif
