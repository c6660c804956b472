/*
 * Remote open files. An ofd stands for one open file description in the tracees and its handle at the
 * agent; a node for one remote inode that is open, whatever the number of ofds on it. All functions
 * want the state lock held.
 */
#ifndef TRACER_OFD_H
#define TRACER_OFD_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "pages.h"
#include "remotefs.pb.h"

struct mount;
struct call;
struct image;

struct node {
	struct node *next; /* hash chain */
	int refs;          /* one per ofd */
	bool apart;        /* all of them are lost: it is not found any more */
	const struct mount *mount;
	uint32_t dev_major, dev_minor;
	uint64_t ino;
	rfs_Attr attr;
	bool attr_valid;   /* the agent has promised to tell of changes, and has told of none … */
	bool size_valid;   /* … but perhaps of its names, and so of what is not its bytes */
	uint64_t version;  /* node_clock() of the last change seen: our own writes and the agent's pushes */
	uint64_t own_version; /* grows with our own writes only */
	uint64_t cuts;	      /* … and those of them that made the file shorter or longer by its size */
	int writers;       /* own changes on their way to the agent, with somebody who waits for the reply … */
	unsigned behind;   /* … and without (behind.h) … */
	uint64_t behind_version; /* … VERSION when the last of those was sent */
	bool refreshing;   /* the refresh thread has it queued … */
	uint64_t refresh_ns; /* … not before this, now_ns() */
	struct image *image; /* of a file that is not a directory; NULL before its first placeholder */
	struct ofd *ofds;

	struct pages pages; /* what is known of its bytes */
	unsigned misses;    /* reads here and there of what was not known … */
	uint64_t missed_ns; /* … and how long they took */
	struct ofd *whole;  /* all of it is being fetched, through this … */
	uint64_t whole_at;  /* … from here on */
	unsigned whole_times; /* grows by 2 each time that is begun */

	uint8_t *back;  /* of a FIFO: bytes that were taken from it and that nobody read */
	size_t back_len;
};

enum ofd_io {
	OFD_EMULATED, /* we answer every call on it */
	OFD_NATIVE,   /* its placeholder holds the file's bytes and the kernel works on that */
};

/* How one description is read through: see syscalls/readahead.h. */
struct readahead {
	uint64_t start, next; /* one read behind the other, from START up to NEXT */
	uint64_t asked;	      /* asked for up to here … */
	unsigned drops;	      /* … unless the node's pages were dropped since: their count then */
	size_t window;	      /* how far ahead of the reader; 0: he did not read on yet */
	uint64_t took_ns, quickest_ns; /* how long replies took that were waited for: the last one, the quickest */
};

struct ofd {
	struct ofd *next_of_node;
	int refs;                /* one for the placeholder's life, one per user */
	const struct mount *mount;
	struct node *node;
	uint64_t handle;
	char *path;        /* in the target's eyes, when it was opened */
	char *merged;      /* in an overlay's lower layer: its path in the merged tree, if PATH does not tell it, or NULL */
	uint64_t lower_handle; /* … and in the upper layer, of what was open in the lower one before: that, or 0 */
	bool path_stale;   /* a directory above it was, or may have been, renamed: ask the agent */
	unsigned moves;	   /* counts how often */
	int flags;         /* open(2) flags; O_APPEND follows F_SETFL */
	enum ofd_io io;
	uint32_t coherent; /* rfs_Coherent bits */

	struct channel *channel; /* of a FIFO or device; NULL for what has a size */
	struct shadow *shadow;   /* a FIFO's placeholder */

	struct image *image; /* what its placeholder is a description of; NULL before there is one */
	uint64_t tag;        /* which of the image's descriptions: see placeholder.h */
	struct ofd *next_gone; /* among those whose last copy is gone */
	bool gone;           /* its last copy is … */
	bool left;           /* … but for who has it, a directory, as the cwd */
	bool locked;         /* calls have locked through it, or tried to, … */
	unsigned lock_calls; /* … and so many are at it */
	bool writes;         /* tasks write it natively: a low descriptor … */
	bool mapped;         /* … or shared mappings of it, which may still be there */

	struct readahead readahead;
	bool told;         /* the agent told of a change, and will tell of no other before the next read through HANDLE */
	uint64_t pos;      /* file offset while OFD_EMULATED */
	bool pos_busy;     /* a call that uses pos is waiting for the agent */
	unsigned behind;       /* changes through it that are sent, and not answered yet … */
	unsigned behind_moves; /* … and those of them whose replies tell where POS is */
	int behind_error;      /* why the first of those that failed did, and nobody was told yet, … */
	uint64_t behind_lost;  /* … and how many bytes they came to */
	bool numbered;     /* numbers stand, or stood, for it */
	bool low;          /* ofd_mark_low */
	bool released;     /* the agent has closed the handle already */
	bool opening;      /* it was known what it is; what the agent says of its Open is still to come … */
	bool doubted;      /* … and it has told of a change meanwhile */
	bool lost;         /* … and it found no such file any more: what was known of it is all there is */
	int unmade;        /* it was to be made, and why it was not (a negative errno) */
	bool dead;         /* the agent ended, and the next one did not find it again: ESTALE for ever */

	/* A directory being read. */
	uint8_t *list;     /* Entry messages */
	size_t list_len, list_at;
	int64_t list_cookie; /* where the next one starts */
	bool list_known;     /* LIST is what starts at the cookie before list_cookie … */
	bool list_complete;  /* … and ends the directory */
	bool list_old;	     /* names changed while it came: it is for none but the call that asked */
	uint64_t list_since; /* when it was asked for: cache_now() */
	bool list_learned;   /* the cache has been told of its entries before */
	uint8_t *snap;       /* of an overlay's: all entries, as they were when the reader began */
	size_t snap_len;
	bool snap_stays;     /* its offsets would mean other entries in a new one */
};

/* The emulated descriptors are FD_BASE <= fd < FD_TOP; set once by fd_range_init. */
extern int FD_BASE, FD_TOP;

/* The number for what a program needs for good and knows nothing of, where there is no such range. */
extern int FD_SPARE;

/* Without such a range descriptors have the numbers that the kernel chooses, and calls on any of them are trapped. */
static inline bool fd_all_trapped(void)
{
	return FD_BASE == FD_TOP;
}

/* Chooses the range from the hard RLIMIT_NOFILE, in descriptors. */
void fd_range_init(unsigned long hard_limit);

/* There is to be no range. SOFT_LIMIT is the program's RLIMIT_NOFILE. */
void fd_range_none(unsigned long soft_limit);

/* Makes an ofd for HANDLE of M with an initial reference; takes ATTR's node. FLAGS are open(2)'s. */
struct ofd *ofd_new(const struct mount *m, uint64_t handle, const char *path, int flags, const rfs_Attr *attr);

struct ofd *ofd_ref(struct ofd *o);

/*
 * Drops a reference. The last one, but for those of changes sent behind, closes the handle at the agent (one way): then O has no
 * node any more; the very last one frees the ofd.
 */
void ofd_unref(struct ofd *o);

/*
 * The last copy of O is gone: drops the reference for the placeholder's life. What was locked through O is free from here on, though
 * others may work with its handle still.
 */
void ofd_closed(struct ofd *o);

/* O's path may be another one now; it is PATH, as the agent says. */
void ofd_moved(struct ofd *o);
void ofd_rename(struct ofd *o, const char *path);

static inline void ofd_unrefp(struct ofd **o)
{
	if (*o)
		ofd_unref(*o);
}
#define CLEANUP_OFD __attribute__((cleanup(ofd_unrefp)))

/* Reserves a descriptor number for O (NULL: for a file not known yet, see ofd_set_number). The number, or -EMFILE when the range is full. */
int ofd_reserve_number(struct ofd *o);

/* Gives FD, which was reserved, back. */
void ofd_release_number(int fd);

/* Points NUMBER, reserved before, at O. */
void ofd_set_number(int number, struct ofd *o);

/*
 * Some task closed its FD (an emulated number), or with REPLACED is about to put another file there. What
 * it is in a task is asked of the kernel from now on.
 */
void ofd_doubt_number(int fd, bool replaced);

/* TID may have closed any of its emulated numbers (execve, close_range): those it has not got any more are in doubt. */
void ofd_doubt_closed(pid_t tid);

/* The same for every number from FIRST to LAST that stands for something. */
void ofd_doubt_range(unsigned first, unsigned last);

/*
 * The ofd behind descriptor FD of task TID: by number in the emulated range, by placeholder below.
 * NULL for local ones. No reference is taken.
 */
struct ofd *ofd_by_fd(pid_t tid, int fd);

/* The remote directory that is TID's cwd; NULL when it is local. No reference is taken. */
struct ofd *ofd_by_cwd(pid_t tid);

/* The ofd that LINK, of /proc/PID/fd or /proc/PID/cwd and with TEXT in it, stands for, or NULL. No reference is taken. */
struct ofd *ofd_by_link(const char *link, const char *text);

/* The ofd that LINK, a path of /proc such as "/proc/1/cwd", stands for, or NULL. No reference is taken. */
struct ofd *ofd_by_proc(const char *link);

/* The ofd whose handle on M is HANDLE, or NULL. */
struct ofd *ofd_by_handle(const struct mount *m, uint64_t handle);

/*
 * Whether a close of one descriptor by task TID is the last there is of O: nobody has another one, a mapping, or O as
 * its cwd. Looks at every task.
 */
bool ofd_is_last(pid_t tid, const struct ofd *o);

/* Called for each ofd by ofd_each. */
typedef void ofd_visitor(struct ofd *o, void *arg);
void ofd_each(ofd_visitor *visit, void *arg);

/* O is open below FD_BASE from now on. While no ofd is, low descriptors are known to be local. */
void ofd_mark_low(struct ofd *o);

/* Takes (gives back) the right to use O's offset, as the kernel's f_pos lock; waits for another call. */
void ofd_lock_pos(struct call *c, struct ofd *o);
void ofd_lock_unknown_pos(struct ofd *o); /* though appends on their way will move it */
void ofd_unlock_pos(struct ofd *o);

/* Whether what was opened with FLAGS can be read. Access mode 3 can be neither read nor written. */
static inline bool ofd_flags_read(int flags)
{
	return ((flags & O_ACCMODE) == O_RDONLY || (flags & O_ACCMODE) == O_RDWR) && !(flags & O_PATH);
}

/* The node that ATTR describes, with one more reference, for an ofd; and the end of that. */
struct node *node_get(const struct mount *m, const rfs_Attr *attr);
void node_put(struct node *n);

/* N's file, of which nothing was known but that it will be there, is the one that ATTR describes. False: there is another node of that. */
bool node_identify(struct node *n, const rfs_Attr *attr);

/*
 * O, which is not among its node's any more, takes the agent's word to tell of changes with it. Another handle's stands if
 * nothing was told by it that it was not read after.
 */
void node_end_promise(const struct ofd *o);

/* The node that ATTR describes, or NULL when no file of it is open. */
struct node *node_find(const struct mount *m, const rfs_Attr *attr);

/*
 * One of N's ofds went, or is lost: where no handle is open on the file any more, another one may get its inode number.
 */
void node_distrust(struct node *n);

/* N and what is open of it is on M from here on; see overlay_switch. */
void node_switch(struct node *n, const struct mount *m);

/* O is HANDLE of M from here on, and called PATH there. Its old handle is closed with it: calls may be on their way to that. */
void ofd_switch(struct ofd *o, const struct mount *m, uint64_t handle, const char *path, uint32_t coherent);

/* PATH, which is O's in the target's eyes, in the program's eyes. 0; -ENOENT, -ENAMETOOLONG. */
int ofd_to_program(const struct ofd *o, const char *path, char *out, size_t len);

/* O's own path for a message: in the program's eyes, or the target's where there is no such. */
void ofd_show(const struct ofd *o, char path[PATH_MAX]);

/* What changed: ATTR of the node as the target has it now (NULL: unknown from here on). */
void node_set_attr(struct node *n, const rfs_Attr *attr, bool valid);

/*
 * A name in M was made, moved or removed by us: link counts and times of what is open may have changed, of
 * the directory, and of the file by whatever name it is open; and what is still to be read of a listing. The agent's
 * word would come a moment late. NAME is absolute and normalised in the target's eyes, or "" when it is not known.
 */
void node_names_changed(const struct mount *m, const char *name);

/* Forgets the node's bytes and attributes, and the cache's view of the inode. */
void node_changed(struct node *n);

/* The same, but of its bytes only LEN from OFF. */
void node_written(struct node *n, uint64_t off, uint64_t len);

/* How many changes of any node were seen so far: what was asked for before a node's version is older than that change. */
uint64_t node_clock(void);

#endif
