#include "watch.h"

#include <errno.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"
#include "carrier.h"
#include "link.h"
#include "log.h"
#include "place.h"
#include "rules.h"
#include "state.h"
#include "task.h"
#include "upper.h"
#include "util.h"
#include "watch_int.h"

/* How often it is asked whether anybody has an instance, and for how long nobody must have it: it may be on its
 * way through a socket, or in a child that has not been seen yet. */
#define CHECK_NS UINT64_C(1000000000)
#define MISSING_NS UINT64_C(200000000)
/* With more than these nobody is waited for: a user has 128, and a program may open and close them in a loop. */
#define INSTANCES_MANY 16
/* So many events may wait for an answer: what a queue of the kernel's takes. */
#define EARLY_MAX 16384

static struct instance *instances;
static unsigned instance_count;
static uint64_t last_number;

/* ---- instances ---- */

static bool is_gone(const struct instance *i, uint64_t now)
{
	return i->missing_since && !i->adding &&
	       (now - i->missing_since >= MISSING_NS || instance_count > INSTANCES_MANY);
}

/* Tells every agent that I has ended, those that never knew it as well; they do not answer. */
static void unwatch_all(const struct instance *i)
{
	rfs_Request req = { .which_op = rfs_Request_unwatch_tag, .op.unwatch.instance = i->number };
	size_t count;
	struct mount *const *mounts = rules_mounts(&count);

	for (size_t n = 0; n < count; n++)
		call_send(mounts[n], &req);
}

static void drop_early(struct instance *i)
{
	for (struct early *e; (e = i->early);) {
		i->early = e->next;
		free(e);
	}
}

static void watch_free(const struct instance *i, struct watch **at);

static void instance_free(struct instance **at)
{
	struct instance *i = *at;

	*at = i->next;
	unwatch_all(i);
	while (i->watches)
		watch_free(i, &i->watches);
	drop_early(i);
	close_fd(&i->fd);
	free(i);
	instance_count--;
}

void watch_collect(void)
{
	uint64_t now = now_ns();

	for (struct instance **at = &instances; *at;) {
		instance_look(*at, now);
		if (is_gone(*at, now))
			instance_free(at);
		else
			at = &(*at)->next;
	}
}

bool watch_any(void)
{
	return instances;
}

static bool any_watch(const struct mount *m, uint32_t mask, bool directory)
{
	for (const struct instance *i = instances; i; i = i->next)
		for (const struct watch *w = i->watches; w; w = w->next)
			if ((w->mount == m || w->below.mount == m) && w->mask & mask && w->carrier.directory == directory)
				return true;
	return false;
}

bool watch_sees_use(const struct mount *m)
{
	return any_watch(m, IN_ACCESS | IN_CLOSE, true) || any_watch(m, IN_ACCESS | IN_CLOSE, false);
}

bool watch_sees_close(const struct mount *m, bool directory)
{
	return watch_sees_use(m) || any_watch(m, IN_ALL_EVENTS, directory);
}

static struct instance *instance_find(struct call *c, int fd)
{
	struct instance *i = instances;

	while (i && !instance_is(i, c->tid, fd))
		i = i->next;
	return i;
}

/* The instance that FD is in C's task, made if it was not known; -EINVAL when it is something else. */
static int instance_get(struct call *c, int fd, struct instance **out)
{
	struct instance *i = instance_find(c, fd);

	if (!i) {
		int own = call_get_fd(c, fd);

		if (own < 0)
			return own;
		i = xcalloc(1, sizeof(*i));
		i->fd = own;
		i->number = ++last_number;
		i->next = instances;
		instances = i;
		instance_count++;
	}
	i->holder = c->tid;
	i->holder_fd = fd;
	*out = i;
	return 0;
}

/* I may be of no more use: nothing remote is watched by it. */
static void instance_put(struct instance *i)
{
	struct instance **at = &instances;

	if (i->watches || i->adding)
		return;
	while (*at != i)
		at = &(*at)->next;
	instance_free(at);
}

/* ---- events ---- */

static struct watch **watch_find(struct instance *i, const struct mount *m, int remote_wd)
{
	struct watch **w = &i->watches;

	while (*w && ((*w)->mount != m || (*w)->remote_wd != remote_wd) &&
	       ((*w)->below.mount != m || (*w)->below.wd != remote_wd))
		w = &(*w)->next;
	return w;
}

struct watch *watch_known(uint64_t number, const struct mount *m, int remote_wd)
{
	struct instance *i = instances;

	while (i && i->number != number)
		i = i->next;
	return i ? *watch_find(i, m, remote_wd) : NULL;
}

static void watch_free(const struct instance *i, struct watch **at)
{
	struct watch *w = *at;

	*at = w->next;
	below_end(w, i->number);
	carrier_end(&w->carrier);
	free(w);
}

/* A name as the agent sent it: "" for what cannot be one. */
static void copy_name(char *out, const uint8_t *bytes, size_t len)
{
	if (len > NAME_MAX || memchr(bytes, 0, len))
		len = 0;
	memcpy(out, bytes, len);
	out[len] = '\0';
}

static void tell_lost(const struct mount *m, int rc)
{
	static bool told;

	if (told)
		return;
	told = true;
	log_error("%s: an inotify event could not be passed on (%s); there may be more: %s", mount_tag(m), strerror(-rc),
		  rc == -EINVAL ? "the agent sent what is no event" : "is there room in /dev/shm?");
}

static void lost_events(struct instance *i, const struct mount *m)
{
	int rc = carrier_overflow(i->fd);

	if (rc < 0)
		tell_lost(m, rc);
}

/* False: E is about a watch that is not known, or no longer. */
static bool replay(struct instance *i, const struct mount *m, const rfs_Event *e)
{
	struct watch **w = watch_find(i, m, e->wd), **to = e->to_wd ? watch_find(i, m, e->to_wd) : NULL;
	char name[NAME_MAX + 1], to_name[NAME_MAX + 1];
	struct carried at = { .name = name }, other = { .name = to_name };
	struct watch *no_watch = NULL;
	uint32_t mask = e->mask;
	int rc;

	copy_name(name, e->name.bytes, e->name.size);
	copy_name(to_name, e->to_name.bytes, e->to_name.size);
	if (*w && m == (*w)->below.mount && mask & (IN_IGNORED | IN_UNMOUNT)) {
		below_forget(*w);
		return true;
	}
	if (*w && below_hides(*w, m, name)) {
		if (!to || !*to)
			return true;
		w = &no_watch;
	}
	if (to && *to && below_hides(*to, m, to_name)) {
		to = NULL;
		if (!*w)
			return true;
	}
	/* Of a move, what is left when one of the two watches has been removed meanwhile. */
	if (!*w && to && *to) {
		w = to;
		strcpy(name, to_name);
		mask = (mask & ~IN_MOVED_FROM) | IN_MOVED_TO;
		to = NULL;
	}
	if (!*w)
		return false;
	if (mask & (IN_IGNORED | IN_UNMOUNT)) {
		watch_free(i, w);
		return true;
	}
	at.carrier = &(*w)->carrier;
	other.carrier = to && *to ? &(*to)->carrier : NULL;
	rc = carrier_event(&at, &other, mask, mask & IN_ISDIR);
	if (rc < 0)
		tell_lost(m, rc);
	for (w = &i->watches; *w;)
		if ((*w)->carrier.wd)
			w = &(*w)->next;
		else
			watch_free(i, w);
	return true;
}

static void keep_early(struct instance *i, const struct mount *m, const rfs_Event *event)
{
	struct early **end = &i->early, *e;

	if (i->early_count == EARLY_MAX) {
		lost_events(i, m);
		return;
	}
	e = xcalloc(1, sizeof(*e));
	e->mount = m;
	e->event = *event;
	while (*end)
		end = &(*end)->next;
	*end = e;
	i->early_count++;
}

static bool is_known(struct instance *i, const struct mount *m, const rfs_Event *e)
{
	return *watch_find(i, m, e->wd) && (!e->to_wd || *watch_find(i, m, e->to_wd));
}

/* The events that have waited for an answer, as far as it has come. */
static void replay_early(struct instance *i)
{
	for (struct early **at = &i->early, *e; (e = *at);)
		if (!i->adding || is_known(i, e->mount, &e->event)) {
			*at = e->next;
			i->early_count--;
			replay(i, e->mount, &e->event);
			free(e);
		} else {
			at = &e->next;
		}
}

/* Whether E is about what an overlay's upper layer has for itself. */
static bool is_own(const rfs_Event *e)
{
	char name[NAME_MAX + 1];

	snprintf(name, sizeof(name), "%.*s", e->name.size <= NAME_MAX ? (int)e->name.size : 0, (const char *)e->name.bytes);
	return upper_is_reserved(name);
}

void watch_receive(const struct mount *m, const rfs_Event *e)
{
	struct instance **at = &instances;
	uint64_t now = now_ns();

	if (m->is_upper && is_own(e))
		return;
	while (*at && (*at)->number != e->instance)
		at = &(*at)->next;
	struct instance *i = *at;
	if (!i)
		return;
	if (now - i->checked >= CHECK_NS || i->missing_since)
		instance_look(i, now);
	if (is_gone(i, now)) {
		instance_free(at);
		return;
	}
	if (e->mask & IN_Q_OVERFLOW)
		lost_events(i, m);
	else if (i->adding && !is_known(i, m, e))
		keep_early(i, m, e);
	else
		replay(i, m, e);
	instance_put(i);
}

static bool is_told_by(const struct instance *i, const struct mount *m)
{
	const struct watch *w = i->watches;

	while (w && w->mount != m && w->below.mount != m)
		w = w->next;
	return w;
}

void watch_missed(const struct mount *m)
{
	for (struct instance *i = instances; i; i = i->next)
		if (is_told_by(i, m))
			lost_events(i, m);
}

/* ---- calls ---- */

/* The watch that the agent knows by REP's number: the one there is, or a new one. Its number here. */
static int watch_take(struct instance *i, const struct mount *m, const rfs_WatchReply *rep, uint32_t mask)
{
	struct watch *w = *watch_find(i, m, rep->wd);

	if (w) {
		/* IN_MASK_ADD leaves what was said before; all else replaces it. */
		w->mask = mask | (mask & IN_MASK_ADD ? w->mask : 0);
		w->carrier.oneshot = w->mask & IN_ONESHOT;
		return w->carrier.wd;
	}
	w = xcalloc(1, sizeof(*w));
	int rc = carrier_make(&w->carrier, i->fd, rep->directory);
	if (rc < 0) {
		free(w);
		return rc;
	}
	w->mount = m;
	w->remote_wd = rep->wd;
	w->mask = mask;
	w->carrier.oneshot = mask & IN_ONESHOT;
	w->next = i->watches;
	i->watches = w;
	return rc;
}

static int ask_unwatch(struct call *c, const struct mount *m, uint64_t number, int remote_wd)
{
	rfs_Request req = { .which_op = rfs_Request_unwatch_tag, .op.unwatch = { .instance = number, .wd = remote_wd } };
	struct link_reply rep;
	int rc = call_rpc(c, m, &req, NULL, 0, &rep);

	link_reply_free(&rep);
	return rc;
}

static long ask_watch(struct call *c, struct instance *i, const struct place *p, uint32_t mask)
{
	rfs_Request req = { .which_op = rfs_Request_watch_tag };
	struct link_reply rep;

	req.op.watch.has_where = true;
	place_where(p, &req.op.watch.where);
	req.op.watch.instance = i->number;
	req.op.watch.mask = mask;
	int rc = call_rpc(c, p->mount, &req, NULL, 0, &rep);
	if (!rc && (rep.msg.which_op != rfs_Reply_watch_tag || rep.msg.op.watch.wd <= 0))
		rc = -EPROTO;
	if (!rc) {
		rc = watch_take(i, p->mount, &rep.msg.op.watch, mask);
		if (rc < 0)
			ask_unwatch(c, p->mount, i->number, rep.msg.op.watch.wd);
	}
	link_reply_free(&rep);
	return rc;
}

/* Without kcmp(2) (CONFIG_KCMP, and no filter of a container's) an instance cannot be known again. */
static bool can_compare(void)
{
	static bool told;
	bool can = syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, 0, 0) == 0;

	if (!can && !told)
		log_error("remote paths cannot be watched here, because the kernel refuses kcmp(2): %s", strerror(errno));
	told |= !can;
	return can;
}

static struct watch *watch_by_carrier(struct instance *i, int wd)
{
	struct watch *w = i->watches;

	while (w && w->carrier.wd != wd)
		w = w->next;
	return w;
}

long watch_add(struct call *c, int fd, const struct place *p, uint32_t mask)
{
	struct instance *i;

	if (!can_compare())
		return call_unsupported(c, p->mount);
	long rc = instance_get(c, fd, &i);
	if (rc < 0)
		return rc;
	i->adding++;
	rc = ask_watch(c, i, p, mask);
	if (rc >= 0 && p->mount->is_upper)
		below_listen(c, watch_by_carrier(i, (int)rc), i->number, p);
	i->adding--;
	replay_early(i);
	instance_put(i);
	return rc;
}

long watch_remove(struct call *c, int fd, int wd)
{
	struct instance *i = instances ? instance_find(c, fd) : NULL;
	struct watch *w = i ? watch_by_carrier(i, wd) : NULL;

	if (!w)
		return CALL_CONTINUE;
	const struct mount *m = w->mount;
	int remote_wd = w->remote_wd;
	const struct mount *below = w->below.mount;
	int below_wd = w->below.wd;
	uint64_t number = i->number;
	below_forget(w);
	watch_free(i, watch_find(i, m, remote_wd));
	instance_put(i);
	/* Afterwards, lest a watch of the same place that is added next is the one that is being removed. */
	ask_unwatch(c, m, number, remote_wd);
	if (below)
		ask_unwatch(c, below, number, below_wd);
	return 0;
}
