#include "sync_int.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "drain.h"
#include "image.h"
#include "image_fill.h"
#include "link.h"
#include "log.h"
#include "ofd.h"
#include "remote.h"
#include "rules.h"
#include "state.h"
#include "util.h"

/* How often stores into mappings are looked for, and how much of the time that may take at most. */
#define LOOK_NS UINT64_C(1000000000)
#define LOOK_SHARE 20

static size_t active;
static bool looking; /* the thread is there */

bool sync_active(void)
{
	return active;
}

bool sync_decides(const struct ofd *o)
{
	return o->image && o->image->sync && o->image->filled;
}

static void stop(struct image *i)
{
	active--;
	free(i->sync->pages);
	free(i->sync);
	i->sync = NULL;
}

static int start(struct image *i)
{
	int rc;

	if (i->sync)
		return 0;
	i->sync = xcalloc(1, sizeof(*i->sync));
	i->sync->ahead = i->sync->unseen = UINT64_MAX;
	i->fresh = false; /* from now on tasks write it */
	active++;
	rc = synced_begin(i);
	if (rc)
		stop(i);
	return rc;
}

/* What is in a file that is open for writing only, a second handle reads. */
static int fill_unreadable(struct call *c, struct ofd *o)
{
	uint64_t size;
	int rc = remote_size(c, o, &size);

	/* With what tasks have appended, and was not brought yet, it is not empty any more; nor perhaps after a wait for who fills it now, or sends. */
	if (!rc && !size && !o->image->sync && !o->image->filling && !o->node->writers)
		return image_fill_from(c, o, "", 0, true);
	return rc ? rc : image_fill_unreadable(c, o);
}

static bool appends_only(const struct ofd *o)
{
	return (o->flags & (O_APPEND | O_ACCMODE)) == (O_APPEND | O_WRONLY);
}

static int prepare(struct call *c, struct ofd *o)
{
	uint64_t size;

	if ((o->flags & O_ACCMODE) == O_RDWR)
		return image_fill(c, o);
	if (!appends_only(o))
		return fill_unreadable(c, o);
	/* What is behind the file's size is brought to its end, and nobody needs to know what is before. */
	int rc = remote_size(c, o, &size);
	return rc || o->image->sync ? rc : image_resize(o->image, size);
}

int sync_native(struct call *c, struct ofd *o)
{
	int rc = prepare(c, o);

	rc = rc ? rc : start(o->image);
	if (rc)
		return rc;
	o->image->sync->writers++;
	o->image->sync->anywhere |= !appends_only(o);
	o->writes = true;
	drain_watch(o->image);
	/* A program that finds it open for reading, too, may map it, and of that nobody tells. */
	return (o->flags & O_ACCMODE) == O_RDWR ? sync_mapped(c, o) : 0;
}

static void *look_thread(void *arg);

int sync_mapped(struct call *c, struct ofd *o)
{
	pthread_t thread;
	int rc = image_fill(c, o);

	if (rc || o->mapped)
		return rc;
	rc = start(o->image);
	if (rc)
		return rc;
	o->image->sync->writers++;
	o->image->sync->mapped++;
	o->image->sync->anywhere = true;
	o->mapped = true;
	if (!looking && pthread_create(&thread, NULL, look_thread, NULL) == 0)
		looking = true;
	return looking ? 0 : -EAGAIN;
}

void sync_drop(struct ofd *o)
{
	struct sync *s = o->image ? o->image->sync : NULL;

	if (!s)
		return;
	s->writers -= o->writes + o->mapped;
	s->mapped -= o->mapped;
	if (!s->writers)
		stop(o->image);
}

void sync_touched(struct image *i)
{
	if (i->sync)
		i->sync->dirty = true;
}

void sync_closed(struct ofd *o)
{
	if (!o->writes && !o->mapped)
		return;
	struct sync *s = o->image->sync;
	s->dirty = s->closed = true;
	s->unseen = s->ahead;
}

/* ---- bringing ---- */

static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;

static unsigned awaiting; /* threads that wait for a flush */
static unsigned locked, cutting;

bool sync_is_awaited(void)
{
	return awaiting;
}

static void await_flush(void)
{
	awaiting++;
	bring_hurry();
	state_wait(&idle);
	awaiting--;
}

void sync_lock(struct image *i)
{
	while (i && (i->busy || cutting))
		await_flush();
	if (!i)
		return;
	i->busy = true;
	locked++;
}

void sync_unlock(struct image *i)
{
	if (!i)
		return;
	i->busy = false;
	locked--;
	pthread_cond_broadcast(&idle);
}

void sync_hold(void)
{
	cutting++;
	while (locked)
		await_flush();
}

void sync_release(void)
{
	cutting--;
	pthread_cond_broadcast(&idle);
}

void sync_resize(struct image *i, uint64_t size)
{
	if (image_resize(i, size) < 0)
		image_lost(i);
}

void sync_follow_size(struct image *i, uint64_t size)
{
	if (!i || !i->sync || image_follows(i))
		return;
	struct ofd *o = ofd_ref(i->node->ofds); /* the image goes with its last one */
	sync_lock(i);
	/* What tasks have appended and was not brought yet stays. */
	if (i->sync && !image_follows(i) && !sync_has_grown(i))
		sync_resize(i, size);
	sync_unlock(i);
	ofd_unref(o);
}

static struct ofd *writer_of(const struct node *n)
{
	for (struct ofd *o = n->ofds; o; o = o->next_of_node)
		if (o->writes || o->mapped)
			return o;
	return NULL;
}

/* An error is told once: by the next call that can, or by the message at the last close. */
static int take_error(struct sync *s)
{
	int error = s->error;

	s->error = 0;
	return error;
}

void sync_failed(struct image *i, int error)
{
	if (!i->sync->error)
		i->sync->error = error;
}

/* What nobody is left to be told by a call. */
static void tell_error(struct ofd *o, void *arg)
{
	char path[PATH_MAX];
	struct sync *s = o->image ? o->image->sync : NULL;

	/* A file's flights at the end are several, and each may say so. */
	if (!s || !s->error || s->told)
		return;
	s->told = bring_parts();
	ofd_show(o, path);
	log_error("%s: what was written could not be stored there: %s", path, strerror(-take_error(s)));
}

static int flush(struct call *c, struct image *i, uint64_t off, uint64_t len, enum bring_where where)
{
	struct ofd *o = ofd_ref(writer_of(i->node));

	sync_lock(i);
	int rc = bring_changes(c, o, off, len, where);
	sync_failed(i, rc);
	sync_unlock(i);
	ofd_unref(o);
	return rc;
}

int sync_anywhere(struct call *c, struct ofd *o)
{
	if (!o->writes)
		return 0;
	int rc = o->image->filled ? 0 : flush(c, o->image, 0, UINT64_MAX, BRING_ALL);

	rc = rc || o->image->filled ? rc : fill_unreadable(c, o);
	if (!rc && o->image->sync)
		o->image->sync->anywhere = true;
	return rc;
}

int sync_push(struct call *c, struct image *i)
{
	return flush(c, i, 0, UINT64_MAX, BRING_ALL);
}

int sync_flush(struct call *c, struct image *i, uint64_t off, uint64_t len)
{
	if (!i || !i->sync)
		return 0;
	struct ofd *o = ofd_ref(writer_of(i->node));
	flush(c, i, off, len, BRING_ALL);
	int rc = take_error(i->sync);
	ofd_unref(o);
	return rc;
}

static void find_told(struct ofd *o, void *arg)
{
	struct image **found = arg;

	if (!*found && o->image && o->image->sync && o->image->sync->dirty)
		*found = o->image;
}

static void find_bringing(struct ofd *o, void *arg)
{
	*(bool *)arg |= o->image && o->image->sync && o->image->sync->bringing;
}

static void bring_told(struct call *c, struct image *i)
{
	struct ofd *o = ofd_ref(writer_of(i->node));
	struct sync *s = i->sync;
	bool closed = s->closed;
	enum bring_where where = s->whole ? BRING_ALL : closed ? BRING_CLOSED : BRING_GROWN;

	s->dirty = s->closed = s->whole = false;
	s->bringing++;
	flush(c, i, 0, UINT64_MAX, where);
	s->bringing--;
	pthread_cond_broadcast(&idle);
	if (closed)
		tell_error(o, NULL);
	ofd_unref(o);
}

void sync_run(struct call *c)
{
	while (active) {
		struct image *i = NULL;
		bool bringing = false;

		ofd_each(find_told, &i);
		if (i) {
			bring_told(c, i);
			continue;
		}
		/* What another thread has begun to bring is to be there, too, and told of if it failed. */
		ofd_each(find_bringing, &bringing);
		if (!bringing)
			return;
		await_flush();
	}
}

void sync_land(void)
{
	bring_land();
	ofd_each(tell_error, NULL);
}

static void mark_whole(struct ofd *o, void *arg)
{
	const struct mount *m = arg;

	if (o->image && o->image->sync && (!m || o->mount == m))
		o->image->sync->dirty = o->image->sync->whole = true;
}

void sync_all(struct call *c, const struct mount *m)
{
	ofd_each(mark_whole, (void *)m);
	sync_run(c);
}

/* ---- stores into mappings ---- */

static void find_due(struct ofd *o, void *arg)
{
	struct image **found = arg;

	if (!*found && o->image && o->image->sync && o->image->sync->mapped && o->image->sync->due_ns <= now_ns() &&
	    !o->mount->closing)
		*found = o->image;
}

static void look_once(struct image *i)
{
	struct ofd *o = ofd_ref(writer_of(i->node));
	uint64_t start_ns = now_ns(), spent;

	flush(NULL, i, 0, UINT64_MAX, BRING_ALL);
	spent = now_ns() - start_ns;
	i->sync->due_ns = now_ns() + (spent * LOOK_SHARE > LOOK_NS ? spent * LOOK_SHARE : LOOK_NS);
	ofd_unref(o);
}

/* Those at the target who do not wait for an msync see what is stored here about a second later. */
static void *look_thread(void *arg)
{
	for (;;) {
		struct image *i = NULL;

		usleep(LOOK_NS / 4000);
		state_lock();
		for (ofd_each(find_due, &i); i; i = NULL, ofd_each(find_due, &i))
			look_once(i);
		state_unlock();
	}
	return arg;
}
