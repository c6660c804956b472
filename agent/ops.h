/*
 * The handlers, one per request. Each reads op->req, fills op->reply and perhaps op->out, and returns 0 or
 * the negative errno that goes into the reply.
 */
#ifndef AGENT_OPS_H
#define AGENT_OPS_H

#include "agent.h"

struct handle;
struct place;
struct stat;

/* open.c */
int op_open(struct op *op);
int op_fetch(struct op *op);

/* A Fetch of WHERE (PRESENT: the message had one) with SIZE: puts it into the reply. 0 or a negative errno. */
int fetch_where(struct op *op, bool present, const rfs_Where *where, uint32_t size);

/* open(2)'s flags of the wire as the agent uses them. */
int open_flags(uint32_t wire);

/*
 * FD, opened with FLAGS, is the file of op->opening from here on, whatever the result; ST is its. op->reply, an OpenReply,
 * tells of it. PENDING: a FIFO whose other end is to be waited for. 0 or a negative errno.
 */
int open_take(struct op *op, int fd, int flags, const struct stat *st, bool pending);

/* H is to have no file after all. */
void open_undo(struct op *op, struct handle *h);

/* Ends the wait of those who name op->opening, which is gone if its open FAILED. */
void open_done(struct op *op, bool failed);

/* reopen.c */
int op_reopen(struct op *op);

/*
 * moved.c: OP has made the name LAST in DIR, of something that had another one: the client is told new tickets of what it has open of
 * that or, of a directory, below it.
 */
void moved_tell(struct op *op, int dir, const char *last);

/* close.c */
int op_close(struct op *op);
int op_release(struct op *op);

/* file.c */
int op_read(struct op *op);
int op_write(struct op *op);
int op_truncate(struct op *op);
int op_truncate_refuse(struct op *op);
int op_sync(struct op *op);
int op_sync_range(struct op *op);
int op_syncfs(struct op *op);
int op_seek(struct op *op);

/* Reads up to SIZE bytes at OFFSET of FD, with preadv2(2)'s FLAGS, into op->out. 0 or a negative errno; END: the end was reached. */
int file_read(struct op *op, int fd, uint64_t offset, uint32_t size, int flags, bool *end);

/* write(2) on a handle that cannot be written to: what is left of it under a read-only root. */
int op_write_refuse(struct op *op);

/* digest.c */
int op_digest(struct op *op);

/* process.c */
int op_environment(struct op *op);

/* dir.c */
int op_list(struct op *op);

/* Lists H from COOKIE into op->out, at most SIZE bytes. 0 or a negative errno; END: nothing is left. */
int dir_list(struct op *op, struct handle *h, int64_t cookie, uint32_t size, bool *end);

/* stat.c */
int op_stat(struct op *op);

/* A Stat of WHERE (PRESENT: the message had one): puts it into the reply. 0 or a negative errno. */
int stat_where(struct op *op, bool present, const rfs_Where *where, bool nofollow, bool no_links);

int op_access(struct op *op);
int op_readlink(struct op *op);
int op_path(struct op *op);

/*
 * Opens P with FLAGS, MODE and RESOLVE and finds out what may be promised about the name: *COHERENT gets
 * rfs_Coherent_NAME (also when the result is -ENOENT) or 0. The caller adds to that for the open file, and
 * takes NAME away with stat_unpromise where the attributes forbid it.
 */
int stat_open(struct op *op, const struct place *p, int flags, mode_t mode, uint64_t resolve,
	      uint32_t *coherent);

/* Whether ATTR (of a name that is promised) can change without its directory's watch noticing. */
bool stat_escapes(const rfs_Attr *attr);

/* name.c */
int op_mkdir(struct op *op);
int op_mkdir_refuse(struct op *op);
int op_unlink(struct op *op);
int op_unlink_refuse(struct op *op);
int op_rename(struct op *op);
int op_rename_refuse(struct op *op);

int op_link(struct op *op);
int op_link_refuse(struct op *op);
int op_symlink(struct op *op);
int op_symlink_refuse(struct op *op);
int op_mknod(struct op *op);
int op_mknod_refuse(struct op *op);

/* meta.c */
int op_chmod(struct op *op);
int op_chown(struct op *op);
int op_utimes(struct op *op);
int op_meta_refuse(struct op *op);
int op_allocate(struct op *op);
int op_allocate_refuse(struct op *op);
int op_statfs(struct op *op);

/* xattr.c */
int op_getxattr(struct op *op);
int op_listxattr(struct op *op);
int op_setxattr(struct op *op);
int op_removexattr(struct op *op);
/* copy.c */
int op_copy_range(struct op *op);
int op_clone(struct op *op);
int op_dedupe(struct op *op);
int op_copy_refuse(struct op *op);
int op_dedupe_refuse(struct op *op);

/*
 * filename_create of fs/namei.c on a read-only mount: what is wrong with WHERE, -EEXIST, or -EROFS. A name that ends in
 * a slash is only good for a directory (DIR).
 */
int create_refuse(struct op *op, bool present, const rfs_Where *where, bool dir);

/* flow.c */
int op_start(struct op *op);
int op_receive(struct op *op);
int op_send(struct op *op);
int op_control(struct op *op);

/* socket.c */
int op_connect(struct op *op);
int op_bind(struct op *op);
int op_bind_refuse(struct op *op);
int op_accept(struct op *op);

/* observe.c */
int op_watch(struct op *op);
int op_unwatch(struct op *op);

/* ioctl.c */
int op_ioctl(struct op *op);
int op_ioctl_set(struct op *op);

/* fhandle.c */
int op_name_to_handle(struct op *op);
int op_handle_to_name(struct op *op);

/* lock.c */
int op_lock(struct op *op);
int op_flock(struct op *op);
int op_lock_release(struct op *op);
struct locks *locks_new(void);

/* Puts the owners of the journal, another process's, into A's empty locks; its handles are there. 0 or -ENOMEM. */
int locks_restore(struct agent *a);

/* H is being closed: drops the locks of every owner that has locked through H, and through no other handle that is still open. */
void locks_forget(struct agent *a, const struct handle *h);

/* Unlocks what H's own open file has locked, in any way. */
void lock_release_file(struct agent *a, const struct handle *h);

/* lock_wait.c */
int op_lock_wait(struct op *op);
int op_lock_cancel(struct op *op);

/* The wait TICKET has ended: the lock is held, or why not (a positive errno). Any thread. */
typedef void lock_end_fn(void *arg, uint64_t ticket, int error);

/* END is called with ARG for every wait from now on. */
void locks_start(struct locks *l, lock_end_fn *end, void *arg);

/* Goes on with the waits of the journal, after locks_restore and locks_start. */
void lock_waits_restore(struct agent *a);

/* umask.c: the calling thread's umask for one creation; MODE as it is to be given to the system call. */
mode_t umask_for(uint32_t mode, uint32_t umask);

/* Gives the calling thread a umask of its own. */
void umask_own(void);

#endif
