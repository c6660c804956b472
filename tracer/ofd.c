#include "ofd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "behind.h"
#include "call.h"
#include "channel.h"
#include "image.h"
#include "locks.h"
#include "overlay.h"
#include "placeholder.h"
#include "rules.h"
#include "shadow.h"
#include "state.h"
#include "sync.h"
#include "task.h"
#include "util.h"

int FD_BASE, FD_TOP, FD_SPARE;

/*
 * What an emulated number stands for. Numbers are handed out once and go with forks, so they tell the file
 * without a look at the task; until a task closes its own, or puts another file there (dup2).
 */
struct slot {
	struct ofd *ofd;
	bool taken;
	bool doubtful; /* not in every task any more: ask the kernel what is there */
};

static struct slot *slots;
static int next_number;
static size_t low_count;
static pthread_cond_t pos_free = PTHREAD_COND_INITIALIZER;

void fd_range_init(unsigned long hard_limit)
{
	/* A power of two, so that one masked comparison in the filter finds the whole range. */
	FD_BASE = 16384;
	while ((unsigned long)FD_BASE >= hard_limit && FD_BASE > 8)
		FD_BASE /= 2;
	FD_TOP = hard_limit < 2ul * (unsigned long)FD_BASE ? (int)hard_limit : 2 * FD_BASE;
	free(slots);
	slots = xcalloc((size_t)(FD_TOP - FD_BASE), sizeof(*slots));
	next_number = FD_BASE;
}

void fd_range_none(unsigned long soft_limit)
{
	FD_BASE = FD_TOP = INT_MAX;
	FD_SPARE = soft_limit < INT_MAX ? (int)soft_limit - 1 : INT_MAX - 1;
}

struct ofd *ofd_new(const struct mount *m, uint64_t handle, const char *path, int flags, const rfs_Attr *attr)
{
	struct ofd *o = xcalloc(1, sizeof(*o));

	o->refs = 1;
	o->mount = m;
	o->handle = handle;
	o->path = xstrdup(path);
	o->flags = flags;
	o->node = node_get(m, attr);
	o->next_of_node = o->node->ofds;
	o->node->ofds = o;
	return o;
}

void ofd_switch(struct ofd *o, const struct mount *m, uint64_t handle, const char *path, uint32_t coherent)
{
	o->lower_handle = o->handle;
	o->mount = m;
	o->handle = handle;
	o->coherent = coherent;
	o->told = false;
	o->path_stale = false;
	free(o->path);
	o->path = xstrdup(path);
	free(o->merged);
	o->merged = NULL;
}

void ofd_moved(struct ofd *o)
{
	o->path_stale = true;
	o->moves++;
}

void ofd_rename(struct ofd *o, const char *path)
{
	free(o->path);
	o->path = xstrdup(path);
	o->path_stale = false;
}

int ofd_to_program(const struct ofd *o, const char *path, char *out, size_t len)
{
	return o->merged ? path_join(o->mount->at[1] ? o->mount->at : "", *o->merged ? o->merged : "/", out, len) :
			   path_to_program(o->mount, path, out, len);
}

void ofd_show(const struct ofd *o, char path[PATH_MAX])
{
	if (ofd_to_program(o, o->path, path, PATH_MAX) < 0)
		snprintf(path, PATH_MAX, "%s", o->path);
}

struct ofd *ofd_ref(struct ofd *o)
{
	o->refs++;
	return o;
}

static void ofd_forget_numbers(const struct ofd *o)
{
	for (int i = 0; i < FD_TOP - FD_BASE; i++)
		if (slots[i].ofd == o)
			slots[i] = (struct slot){ .ofd = NULL };
}

/* Nobody has O open any more: it is closed at the agent, one way, behind all that was sent. */
static void ofd_end(struct ofd *o)
{
	rfs_Request req = { .which_op = rfs_Request_close_tag, .op.close.handle = o->handle };
	rfs_Request lower = { .which_op = rfs_Request_close_tag, .op.close.handle = o->lower_handle };
	struct ofd **p;

	locks_ofd_gone(o);
	low_count -= o->low;
	for (p = &o->node->ofds; *p != o; p = &(*p)->next_of_node)
		;
	*p = o->next_of_node;
	node_end_promise(o);
	node_distrust(o->node);
	if (o->numbered)
		ofd_forget_numbers(o);
	if (!o->released)
		call_send(o->mount, &req);
	if (o->lower_handle)
		call_send(o->mount->overlay->lower, &lower);
	sync_drop(o);
	if (o->image && o->image->sole)
		placeholder_free(o->image);
	o->node->behind -= o->behind;
	node_put(o->node);
	o->node = NULL;
	if (o->channel)
		channel_unref(o->channel);
	shadow_free(o);
}

static void ofd_free(struct ofd *o)
{
	behind_gone(o);
	free(o->list);
	free(o->snap);
	free(o->merged);
	free(o->path);
	free(o);
}

void ofd_unref(struct ofd *o)
{
	o->refs--;
	/* Replies that are still to come may have an error to tell; nothing else is asked of O. */
	if (o->node && o->refs == (int)o->behind)
		ofd_end(o);
	if (!o->refs)
		ofd_free(o);
}

void ofd_closed(struct ofd *o)
{
	o->gone = true;
	/* Else its handle is closed at once, and with that what it has locked. */
	if (o->refs > (int)o->behind + 1)
		locks_leave(o);
	ofd_unref(o);
}

static int take_number(struct ofd *o)
{
	for (int tried = 0; tried < FD_TOP - FD_BASE; tried++) {
		int fd = next_number;

		next_number = next_number + 1 < FD_TOP ? next_number + 1 : FD_BASE;
		if (!slots[fd - FD_BASE].taken) {
			slots[fd - FD_BASE] = (struct slot){ .ofd = o, .taken = true };
			return fd;
		}
	}
	return -EMFILE;
}

static void mark_used(const struct task *t, void *used)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)t->tid);
	DIR *dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		int fd = atoi(e->d_name);

		if (fd >= FD_BASE && fd < FD_TOP)
			((bool *)used)[fd - FD_BASE] = true;
	}
	if (dir)
		closedir(dir);
}

/*
 * A number is not free before its file is closed for good, so a program that keeps a file and dups and
 * closes it again and again uses them up. Only then is it worth asking which are open anywhere.
 */
static void reclaim_numbers(void)
{
	CLEANUP_FREE bool *used = xcalloc((size_t)(FD_TOP - FD_BASE), sizeof(*used));

	task_lock();
	task_each(mark_used, used);
	task_unlock();
	for (int i = 0; i < FD_TOP - FD_BASE; i++)
		if (!used[i] && (slots[i].ofd || slots[i].doubtful))
			slots[i] = (struct slot){ .ofd = NULL };
}

int ofd_reserve_number(struct ofd *o)
{
	int fd = take_number(o);

	if (fd < 0) {
		reclaim_numbers();
		fd = take_number(o);
	}
	if (fd >= 0 && o)
		o->numbered = true;
	return fd;
}

void ofd_release_number(int fd)
{
	if (fd_all_trapped())
		return;
	slots[fd - FD_BASE] = (struct slot){ .ofd = NULL };
}

void ofd_set_number(int number, struct ofd *o)
{
	slots[number - FD_BASE] = (struct slot){ .ofd = o, .taken = true };
	o->numbered = true;
}

void ofd_doubt_number(int fd, bool replaced)
{
	struct slot *s = &slots[fd - FD_BASE];

	s->taken = s->doubtful = true;
	if (replaced)
		s->ofd = NULL;
}

void ofd_doubt_closed(pid_t tid)
{
	const struct task task = { .tid = tid };
	CLEANUP_FREE bool *open = NULL;

	for (int i = 0; i < FD_TOP - FD_BASE; i++) {
		if (!slots[i].ofd || slots[i].doubtful)
			continue;
		if (!open) {
			open = xcalloc((size_t)(FD_TOP - FD_BASE), sizeof(*open));
			mark_used(&task, open);
		}
		slots[i].doubtful = !open[i];
	}
}

void ofd_doubt_range(unsigned first, unsigned last)
{
	for (unsigned fd = first > (unsigned)FD_BASE ? first : (unsigned)FD_BASE; fd <= last && fd < (unsigned)FD_TOP; fd++)
		if (slots[fd - (unsigned)FD_BASE].ofd)
			ofd_doubt_number((int)fd, false);
}

struct ofd *ofd_by_link(const char *link, const char *text)
{
	const struct image *i = placeholder_image(text);

	return i ? placeholder_owner(i, link) : NULL;
}

struct ofd *ofd_by_proc(const char *link)
{
	char text[PATH_MAX];
	ssize_t n = readlink(link, text, sizeof(text) - 1);

	if (n < 0)
		return NULL;
	text[n] = '\0';
	return ofd_by_link(link, text);
}

struct ofd *ofd_by_fd(pid_t tid, int fd)
{
	char link[64];

	if (fd >= FD_BASE && fd < FD_TOP) {
		const struct slot *s = &slots[fd - FD_BASE];

		if (!s->doubtful)
			return s->ofd;
	} else if (fd < 0 || !low_count) {
		return NULL;
	}
	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)tid, fd);
	return ofd_by_proc(link);
}

struct ofd *ofd_by_cwd(pid_t tid)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/%d/cwd", (int)tid);
	return ofd_by_proc(link);
}

struct users { pid_t closing; const struct ofd *ofd; int count; };

static void count_fd(pid_t tid, int fd, const char *link, void *arg)
{
	struct users *u = arg;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)tid, fd);
	u->count += ofd_by_link(path, link) == u->ofd;
}

static void count_task(const struct task *t, void *arg)
{
	struct users *u = arg;

	u->count += S_ISDIR(u->ofd->node->attr.mode) && ofd_by_cwd(t->tid) == u->ofd;
	if (t->tid == u->closing || !task_share_fds(t->tid, u->closing))
		task_each_fd(t->tid, count_fd, u);
}

bool ofd_is_last(pid_t tid, const struct ofd *o)
{
	struct users u = { .closing = tid, .ofd = o };

	if (image_follows(o->image)) /* mapped perhaps, or written natively */
		return false;
	task_lock();
	task_each(count_task, &u);
	task_unlock();
	return u.count == 1;
}

struct find { const struct mount *mount; uint64_t handle; struct ofd *found; };

static void match_handle(struct ofd *o, void *arg)
{
	struct find *f = arg;

	if (o->mount == f->mount && o->handle == f->handle)
		f->found = o;
}

struct ofd *ofd_by_handle(const struct mount *m, uint64_t handle)
{
	struct find f = { .mount = m, .handle = handle };

	ofd_each(match_handle, &f);
	return f.found;
}

void ofd_mark_low(struct ofd *o)
{
	low_count += !o->low;
	o->low = true;
}

void ofd_lock_pos(struct call *c, struct ofd *o)
{
	ofd_lock_unknown_pos(o);
	behind_settle_pos(c, o);
}

void ofd_lock_unknown_pos(struct ofd *o)
{
	while (o->pos_busy)
		state_wait(&pos_free);
	o->pos_busy = true;
}

void ofd_unlock_pos(struct ofd *o)
{
	o->pos_busy = false;
	pthread_cond_broadcast(&pos_free);
}
