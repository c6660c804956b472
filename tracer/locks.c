#include "locks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "call.h"
#include "ranges.h"
#include "rules.h"
#include "state.h"
#include "task.h"
#include "util.h"
#include "worker.h"

/* The kernel's MAX_DEADLK_ITERATIONS: a longer chain is not looked at. */
#define CHAIN_MAX 10

/* A descriptor whose close ends the hold. The handle tells it from a later one with the same number. */
struct hold_fd {
	int fd;
	uint64_t handle;
};

/*
 * What one owner has locked of one file. In the kernel's order: by when the owner began to. A process's stays, perhaps without
 * ranges, until the process closes the file: of what two of its threads ask for at once replies do not tell the order.
 */
struct hold {
	struct hold *next;
	struct node *node;
	uint64_t owner;
	struct ranges ranges;
	struct hold_fd *fds;
	size_t fd_count;
};

static struct hold *holds;
static struct lock_waiter *waiters;
static uint64_t last_ticket;
static pthread_cond_t looked = PTHREAD_COND_INITIALIZER; /* a waiter has looked at its call, or has gone */
static atomic_uint hold_count;
static atomic_bool check_queued;

/* Handles are counted up from 1, and so are descriptor tables. */
#define OWNER_FILE (UINT64_C(1) << 63)

uint64_t locks_file_owner(const struct ofd *o)
{
	return OWNER_FILE | o->handle;
}

bool locks_is_file(uint64_t owner)
{
	return owner & OWNER_FILE;
}

uint64_t locks_owner(pid_t tid)
{
	task_lock();
	uint64_t files = task_files(tid);
	task_unlock();
	return files;
}

static struct hold **hold_slot(const struct node *n, uint64_t owner)
{
	struct hold **p = &holds;

	while (*p && ((*p)->node != n || (*p)->owner != owner))
		p = &(*p)->next;
	return p;
}

static void hold_free(struct hold **p)
{
	struct hold *h = *p;

	*p = h->next;
	free(h->ranges.list);
	free(h->fds);
	free(h);
	atomic_fetch_sub(&hold_count, 1);
}

/* One way: whatever is asked of the agent after this finds the locks gone. */
static void hold_release(struct hold **p)
{
	const struct node *n = (*p)->node;
	rfs_Request req = { .which_op = rfs_Request_lock_release_tag,
			    .op.lock_release = { .owner = (*p)->owner, .handle = n->ofds->handle } };

	/* An open file's go with its handle. */
	if (!locks_is_file((*p)->owner))
		call_send(n->mount, &req);
	hold_free(p);
}

static void note_fd(struct hold *h, int fd, const struct ofd *o)
{
	/* fs/open.c, filp_flush(): the close of an O_PATH descriptor leaves locks alone. */
	if (o->flags & O_PATH)
		return;
	for (size_t i = 0; i < h->fd_count; i++)
		if (h->fds[i].fd == fd && h->fds[i].handle == o->handle)
			return;
	h->fds = xrealloc(h->fds, (h->fd_count + 1) * sizeof(*h->fds));
	h->fds[h->fd_count++] = (struct hold_fd){ .fd = fd, .handle = o->handle };
}

/* The ofd that FD is in TID now, asked of the kernel. NULL also when there is no such descriptor. */
static struct ofd *look(pid_t tid, const char *fd, bool *there)
{
	char link[64], text[PATH_MAX];

	snprintf(link, sizeof(link), "/proc/%d/fd/%s", (int)tid, fd);
	ssize_t n = readlink(link, text, sizeof(text) - 1);
	*there = n >= 0;
	if (n < 0)
		return NULL;
	text[n] = '\0';
	return ofd_by_link(link, text);
}

/* Calls VISIT for each descriptor of TID that is one of ours. */
static void each_fd(pid_t tid, void (*visit)(int fd, struct ofd *o, void *arg), void *arg)
{
	char path[64];
	bool there;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)tid);
	DIR *dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		struct ofd *o = *e->d_name == '.' ? NULL : look(tid, e->d_name, &there);

		if (o)
			visit(atoi(e->d_name), o, arg);
	}
	if (dir)
		closedir(dir);
}

static void note_if_held(int fd, struct ofd *o, void *arg)
{
	struct hold *h = *hold_slot(o->node, *(uint64_t *)arg);

	if (h)
		note_fd(h, fd, o);
}

static bool any_untrapped(const struct node *n)
{
	for (const struct ofd *o = n->ofds; o; o = o->next_of_node)
		if (o->low)
			return true;
	return false;
}

static struct hold **hold_to_end(struct hold **p)
{
	struct hold *h = *p;

	*p = h->next;
	h->next = NULL;
	while (*p)
		p = &(*p)->next;
	*p = h;
	return p;
}

void locks_set(struct ofd *o, const struct lock_want *w, pid_t tid, pid_t pid, int fd)
{
	struct hold **slot = hold_slot(o->node, w->owner);
	uint64_t owner = w->owner;

	if (!*slot && w->type == F_UNLCK)
		return;
	if (*slot && !(*slot)->ranges.count)
		slot = hold_to_end(slot);
	if (!*slot) {
		*slot = xcalloc(1, sizeof(**slot));
		atomic_fetch_add(&hold_count, 1);
		(*slot)->node = o->node;
		(*slot)->owner = w->owner;
		if (!locks_is_file(owner) && any_untrapped(o->node))
			each_fd(tid, note_if_held, &owner);
	}
	note_fd(*slot, fd, o);
	ranges_set(&(*slot)->ranges, &(struct range){ .type = w->type, .from = w->from, .to = w->to,
						      .pid = locks_is_file(owner) ? -1 : pid });
	if (!(*slot)->ranges.count && locks_is_file(owner))
		hold_free(slot);
}

pid_t locks_holder(const struct node *n, uint64_t owner, short type, uint64_t from, uint64_t to)
{
	pid_t pid = 0;

	for (const struct hold *h = holds; h && !pid; h = h->next)
		if (h->node == n && h->owner != owner)
			pid = ranges_pid(&h->ranges, type, from, to);
	return pid;
}

/* ---- who waits for whom ---- */

static bool waits_for(const struct node *n, const struct lock_want *w, uint64_t owner, int depth);

/* Whether OWNER waits, directly or not, for a lock of TARGET's. */
static bool chain_reaches(uint64_t owner, uint64_t target, int depth)
{
	/* fs/locks.c, posix_locks_deadlock(): open files wait for nobody. */
	for (const struct lock_waiter *w = locks_is_file(owner) ? NULL : waiters; w; w = w->next)
		if (w->want.owner == owner && !w->done && waits_for(w->node, &w->want, target, depth))
			return true;
	return false;
}

static bool waits_for(const struct node *n, const struct lock_want *w, uint64_t target, int depth)
{
	if (depth > CHAIN_MAX)
		return false;
	for (const struct hold *h = holds; h; h = h->next)
		if (h->node == n && h->owner != w->owner && ranges_conflict(&h->ranges, w->type, w->from, w->to) &&
		    (h->owner == target || chain_reaches(h->owner, target, depth + 1)))
			return true;
	return false;
}

bool locks_deadlock(const struct node *n, const struct lock_want *w)
{
	return w->owner && !locks_is_file(w->owner) && waits_for(n, w, w->owner, 0);
}

/* ---- the ends of locks ---- */

bool locks_held(pid_t tid, const struct ofd *o)
{
	return holds && *hold_slot(o->node, locks_owner(tid));
}

void locks_closing(pid_t tid, const struct ofd *o)
{
	struct hold **slot = holds && !(o->flags & O_PATH) ? hold_slot(o->node, locks_owner(tid)) : NULL;

	if (slot && *slot)
		hold_release(slot);
}

struct closing { pid_t tid; unsigned first, last; };

static void close_one(int fd, struct ofd *o, void *arg)
{
	const struct closing *r = arg;

	if ((unsigned)fd >= r->first && (unsigned)fd <= r->last)
		locks_closing(r->tid, o);
}

void locks_closing_range(pid_t tid, unsigned first, unsigned last)
{
	struct closing range = { .tid = tid, .first = first, .last = last };

	if (holds)
		each_fd(tid, close_one, &range);
}

struct search { const struct hold *hold; bool seen, gone; };

/* Looks at the hold's descriptors through T, if that is one of its owner's tasks. */
static void search_task(const struct task *t, void *arg)
{
	struct search *s = arg;
	const struct hold *h = s->hold;

	if (t->files != h->owner || s->seen || (t->files_left && task_files(t->tid) != h->owner))
		return;
	for (size_t i = 0; i < h->fd_count && !s->gone; i++) {
		char fd[16];
		bool there;

		snprintf(fd, sizeof(fd), "%d", h->fds[i].fd);
		const struct ofd *o = look(t->tid, fd, &there);
		s->gone = !there || !o || o->handle != h->fds[i].handle;
	}
	/* One that is on its way out may have lost its table in the middle of this; the next one has it. */
	s->seen = !s->gone || call_has_fds(t->tid);
	s->gone &= s->seen;
}

static bool hold_stands(const struct hold *h)
{
	struct search s = { .hold = h };

	if (locks_is_file(h->owner))
		return true;
	task_lock();
	task_each(search_task, &s);
	task_unlock();
	return s.seen && !s.gone;
}

void locks_verify(const struct node *n)
{
	for (struct hold **p = &holds; *p;) {
		if ((n && (*p)->node != n) || hold_stands(*p))
			p = &(*p)->next;
		else
			hold_release(p);
	}
}

static void check(struct job *job)
{
	atomic_store(&check_queued, false);
	state_lock();
	locks_verify(NULL);
	state_unlock();
}

void locks_check_soon(void)
{
	static struct job job = { .run = check };

	if (atomic_load(&hold_count) && !atomic_exchange(&check_queued, true))
		worker_submit(&job);
}

void locks_note_all(pid_t tid)
{
	uint64_t owner = holds ? locks_owner(tid) : 0;

	for (const struct hold *h = holds; h; h = h->next)
		if (h->owner == owner) {
			each_fd(tid, note_if_held, &owner);
			return;
		}
}

void locks_unshare(pid_t tid)
{
	task_lock();
	task_unshared(tid);
	task_unlock();
}

void locks_ofd_gone(const struct ofd *o)
{
	bool last = o->node->ofds == o && !o->next_of_node;

	for (struct hold **p = &holds; *p;) {
		if ((*p)->node == o->node && (last || (*p)->owner == locks_file_owner(o) || !hold_stands(*p)))
			hold_release(p);
		else
			p = &(*p)->next;
	}
}

void locks_begin(struct ofd *o)
{
	ofd_ref(o);
	o->locked = true;
	o->lock_calls++;
}

void locks_end(struct ofd *o)
{
	o->lock_calls--;
	if (o->gone || o->left)
		locks_leave(o);
	ofd_unref(o);
}

void locks_leave(struct ofd *o)
{
	rfs_Request req = { .which_op = rfs_Request_lock_release_tag, .op.lock_release.handle = o->handle };

	/* A call that waits for a lock keeps the open file, for the kernel as well. */
	if (!o->locked || o->lock_calls || o->released)
		return;
	call_send(o->mount, &req);
	o->locked = false;
	struct hold **slot = hold_slot(o->node, locks_file_owner(o));
	if (*slot)
		hold_free(slot);
}

void locks_opened(pid_t tid, const struct ofd *o, int fd)
{
	struct hold *h = holds ? *hold_slot(o->node, locks_owner(tid)) : NULL;

	if (h)
		note_fd(h, fd, o);
}

/* ---- waits ---- */

void locks_wait_begin(struct lock_waiter *w)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&w->cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
	w->ticket = ++last_ticket;
	w->next = waiters;
	waiters = w;
}

void locks_wait_end(struct lock_waiter *w)
{
	struct lock_waiter **p = &waiters;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	pthread_cond_destroy(&w->cond);
	pthread_cond_broadcast(&looked);
}

void locks_wait_some(struct lock_waiter *w, long ns)
{
	uint64_t until = now_ns() + (uint64_t)ns;
	struct timespec t = { .tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000) };

	pthread_cond_broadcast(&looked);
	while (!w->done && !w->hurry && pthread_cond_timedwait(&w->cond, &state_mutex, &t) != ETIMEDOUT)
		;
	w->hurry = false;
}

void locks_expel(const struct node *n)
{
	struct lock_waiter *w = waiters;

	while (w) {
		if (w->node != n || !call_interrupted(w->call)) {
			w = w->next;
			continue;
		}
		w->hurry = true;
		pthread_cond_signal(&w->cond);
		state_wait(&looked);
		w = waiters;
	}
}

void locks_wait_ended(const struct mount *m, uint64_t ticket, int error)
{
	for (struct lock_waiter *w = waiters; w; w = w->next)
		if (w->ticket == ticket && w->mount == m) {
			w->done = true;
			w->error = error;
			pthread_cond_signal(&w->cond);
		}
}
