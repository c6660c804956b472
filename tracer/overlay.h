/*
 * Overlay mode: what the program writes stays here. An overlay is two mounts at one place, the lower one (the target,
 * which nothing may change) and the upper one, a directory here with an agent of its own. This is what decides which of
 * the two a path leads to, and what brings files from the lower one to the upper one before they change. All that works on
 * a mount and a path, or on an open file, works on either and knows nothing of it. All functions want the state lock.
 */
#ifndef TRACER_OVERLAY_H
#define TRACER_OVERLAY_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "link.h"

struct call;
struct inomap;
struct mount;
struct ofd;
struct place;

/* Where the layer is in the upper agent's eyes: beside it are places that no path of the program leads to. */
#define OVERLAY_UPPER "/upper"

struct overlay {
	struct mount *lower, *upper; /* set when its agent is there */
	char *dir;        /* see upper.h */
	bool temporary;   /* removed at the end */
	int dir_fd, top, work, index;
	bool dirty;       /* something is in the upper layer */
	bool root_known;
	rfs_Attr root;    /* of the lower tree: both layers are on its device */
	struct inomap *inodes;
	unsigned serial;  /* names in work/ */
};

enum overlay_where {
	OVERLAY_NOTHING, /* no such name; the directory it would be in is there */
	OVERLAY_IN_UPPER,
	OVERLAY_IN_LOWER,
};

/* What a path leads to in the merged tree. */
struct overlay_found {
	enum overlay_where where;
	bool in_upper_dir;      /* the directory it is in, or would be in, is in the upper layer */
	bool outside;           /* LOWER, with what is left of the text behind it, is a place of the target's that is not in the mount */
	bool slash;             /* a directory was demanded */
	const char *dot;        /* "/." or "/..": what PATH stands before, and no name is looked at; else "" */
	unsigned mode;
	char path[PATH_MAX];    /* in the merged tree: "" (its root), "/a/b" */
	char lower[PATH_MAX];   /* OVERLAY_IN_LOWER: its path at the target, else what would be, or "" */
	rfs_Attr attr;          /* OVERLAY_IN_LOWER */
};

/* Makes an overlay of LOWER in DIR (NULL: a temporary one). NULL with one clause in ERR. Before the run; UPPER is added by the caller. */
struct overlay *overlay_new(struct mount *lower, const char *target, const char *dir, char *err, size_t err_len);

/* Ends them all: what is temporary is removed. When the agents have gone. */
void overlay_finish(void);

/* Whether A and B are the same tree in the program's eyes. */
bool overlay_same(const struct mount *a, const struct mount *b);

/*
 * Names and copies are looked at by many calls at once (share) or changed by one (own), from here to the call's end or to
 * overlay_leave. overlay_own of a call that shares gives that up first: what it has seen may be different then.
 */
void overlay_share(struct call *c);
void overlay_own(struct call *c);
void overlay_leave(struct call *c);

/*
 * Makes P, whose mount is part of an overlay, a place in the right layer, for what PLACE_ FLAGS intend. 0 or a negative
 * errno that the call must answer.
 */
long overlay_place(struct call *c, struct place *p, int flags);

/*
 * Finds what TEXT, relative to the directory BASE of the merged tree, leads to. The kernel's errors; -ENOENT only
 * when a directory on the way is missing. FLAGS: PLACE_.
 */
int overlay_find(struct call *c, struct overlay *ov, const char *base, const char *text, int flags, struct overlay_found *f);

/* Lstat of PATH of the lower layer: 0, a negative errno, -ELOOP for a link on the way. */
int overlay_lower_attr(struct call *c, struct overlay *ov, const char *path, rfs_Attr *attr);

/* Lstat of the lower layer's name that PATH of the merged tree has, or would have if nothing hid it from above; gone ones are -ENOENT. LOWER gets its path. */
int overlay_lower_of(struct call *c, struct overlay *ov, const char *path, char *lower, rfs_Attr *attr);

/* Brings PATH of the merged tree, and the directories it is in, to the upper layer, if it is not there. The call owns. 0 or a negative errno. */
int overlay_bring(struct call *c, struct overlay *ov, const char *path);

/* The same for the directory PATH; an O_PATH descriptor of it. */
int overlay_bring_dir(struct call *c, struct overlay *ov, const char *path);

/* Brings O's file to the upper layer: O is open there from then on. Owns. 0 or a negative errno. */
int overlay_bring_ofd(struct call *c, struct ofd *o);

/* O's path in the merged tree. 0, or -ENOENT when it has none any more. */
int overlay_name(struct call *c, struct ofd *o, char *path);

/* The files that are open in the lower layer below FROM in the merged tree are below TO now. */
void overlay_moved(struct call *c, struct overlay *ov, const char *from, const char *to);

/* Both layers look like one file system: REP, of M, with the attributes that the program sees. */
void overlay_translate(const struct mount *m, struct link_reply *rep);
void overlay_attr(struct overlay *ov, rfs_Attr *attr);

/* The number that the upper layer's inode INO has in the program's eyes. */
uint64_t overlay_ino(const struct overlay *ov, uint64_t ino);

/* BY links more are seen of the inode FD than the kernel counts. */
void overlay_count_links(struct overlay *ov, int fd, int by);

#endif
