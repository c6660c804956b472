#include "behind_int.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cache.h"
#include "call.h"
#include "image.h"
#include "link.h"
#include "log.h"
#include "ofd.h"
#include "rules.h"
#include "state.h"
#include "util.h"
#include "watch.h"

/* What a request costs in memory also without a payload. */
#define REQUEST_COST (4u << 10)
/* At the end of the run an agent may be silent for so long. */
#define SILENCE_NS UINT64_C(30000000000)

static enum behind_mode mode;
static pthread_cond_t concluded = PTHREAD_COND_INITIALIZER;

void behind_set_mode(enum behind_mode m)
{
	mode = m;
}

/* Whether no other link leads to M's target: what is sent on one is not in order with what is sent on another. */
static bool is_only_way(const struct mount *m)
{
	size_t count;
	struct mount *const *mounts = rules_mounts(&count);

	for (size_t i = 0; i < count; i++)
		if (mounts[i]->link != m->link && !strcmp(mounts[i]->tag, m->tag))
			return false;
	return true;
}

/* Local disks need no help, and an overlay's other parts look at its upper layer without asking the agent. */
static bool may_send(const struct mount *m)
{
	return mode != BEHIND_NEVER && !m->is_upper && link_agent(m->link)->orders && !watch_any() && is_only_way(m);
}

bool behind_may_names(const struct mount *m, enum behind_mode least)
{
	return (mode == BEHIND_FSYNC || mode == least) && may_send(m);
}

bool behind_may(const struct ofd *o)
{
	const struct image *i = o->node->image;
	int access = o->flags & O_ACCMODE;

	if (o->io != OFD_EMULATED || o->channel || !S_ISREG(o->node->attr.mode) || (access != O_WRONLY && access != O_RDWR) ||
	    o->flags & (O_PATH | O_SYNC | O_DSYNC | O_DIRECT))
		return false;
	/* Files of pseudo file systems, where a write does something and may fail for what is in it, come without the promise. */
	if (!(o->coherent & rfs_Coherent_HANDLE))
		return false;
	return !(i && (i->sync || image_follows(i))) && may_send(o->mount);
}

/* What C, or nobody, waits for is a round trip. */
static void count_wait(struct call *c, const struct mount *m)
{
	link_count_wait(m->link);
	if (c)
		c->round_trips++;
}

static void wait_some(const struct mount *m)
{
	mount_waits(m, 1);
	state_wait(&concluded);
	mount_waits(m, -1);
}

static void make_room(struct call *c, const struct mount *m, size_t cost)
{
	if (m->behind && m->behind + cost > BEHIND_MAX) {
		behind_release(m);
		count_wait(c, m);
	}
	while (m->behind && m->behind + cost > BEHIND_MAX)
		wait_some(m);
}

/* ---- replies ---- */

static void note_error(struct ofd *o, int error, size_t lost)
{
	if (!o->behind_error)
		o->behind_error = error;
	o->behind_lost += lost;
}

/* The attributes in a reply are the file's if no other change is on its way, and none was heard of since. */
static void take_attr(struct node *n, const struct late *l)
{
	if (!n->behind && l->has_attr && n->version == n->behind_version && l->o->coherent & rfs_Coherent_HANDLE)
		node_set_attr(n, &l->attr, true);
}

void behind_conclude(struct late *l)
{
	struct ofd *o = l->o;

	o->behind--;
	o->behind_moves -= l->moves;
	behind_own(l->mount)->behind -= l->cost;
	if (l->error)
		note_error(o, l->error, l->lost);
	if (l->moves && l->has_end)
		o->pos = l->end;
	if (o->node) {
		o->node->behind--;
		take_attr(o->node, l);
	}
	ofd_unref(o);
	free(l->data);
	free(l);
	pthread_cond_broadcast(&concluded);
}

static void take_write(struct late *l, const rfs_WriteReply *w)
{
	l->has_end = true;
	l->end = w->offset;
	l->has_attr = w->has_attr;
	l->attr = w->attr;
	if (w->written < l->len)
		l->error = w->stopped && w->stopped <= EHWPOISON ? -(int)w->stopped : -EIO;
	l->lost = l->len - w->written;
}

static void take_reply(struct link_reply *rep, int rc, void *arg)
{
	struct late *l = arg;

	bool wrote = l->reply == rfs_Reply_write_tag;

	if (!rc && (rep->msg.which_op != l->reply || (wrote && rep->msg.op.write.written > l->len)))
		rc = -EPROTO;
	l->error = rc;
	l->lost = rc ? l->len : 0;
	if (!rc && wrote) {
		take_write(l, &rep->msg.op.write);
	} else if (!rc && l->made) {
		l->has_attr = rep->msg.op.open.has_attr;
		l->attr = rep->msg.op.open.attr;
	} else if (!rc) {
		l->has_attr = rep->msg.op.stat.has_attr;
		l->attr = rep->msg.op.stat.attr;
	}
	if (l->made)
		l->made(l->o, &rep->msg.op.open, rc);
	l->answered = true;
	if (l->sent)
		behind_conclude(l);
}

/* ---- requests ---- */

static struct late *late_new(struct ofd *o, const rfs_Request *req, size_t len, bool moves)
{
	struct late *l = xcalloc(1, sizeof(*l));

	*l = (struct late){ .o = ofd_ref(o), .mount = o->mount, .req = *req, .len = len, .cost = len + REQUEST_COST, .moves = moves };
	l->reply = req->which_op == rfs_Request_write_tag ? rfs_Reply_write_tag :
		   req->which_op == rfs_Request_open_tag  ? rfs_Reply_open_tag :
							    rfs_Reply_stat_tag;
	l->req.ordered = true;
	o->behind++;
	o->node->behind++;
	o->behind_moves += moves;
	behind_own(l->mount)->behind += l->cost;
	return l;
}

/* What was known of O's file, or was asked for before now, is older than the change. */
static void outdate(struct ofd *o)
{
	struct node *n = o->node;

	n->own_version++;
	node_changed(n);
	cache_forget(o->mount, o->path, false);
	n->behind_version = n->version;
}

int behind_send_late(struct call *c, struct late *l, const void *data)
{
	struct node *n = l->o->node;

	behind_own(l->mount)->behind_ns = now_ns();
	n->writers++;
	int rc = call_start(c, l->mount, &l->req, data, l->len, take_reply, l);
	n->writers--;
	l->sent = true;
	return rc;
}

/* What C wrote goes with what is held, or is held from now on. */
static void kept(struct call *c, struct ofd *o, size_t len)
{
	c->bytes_out += len;
	outdate(o);
}

int behind_send(struct call *c, struct ofd *o, const rfs_Request *req, const void *data, size_t len, bool moves)
{
	if (behind_join(o, req, data, len, moves)) {
		kept(c, o, len);
		return 0;
	}
	make_room(c, o->mount, len + REQUEST_COST);
	if (!behind_may(o)) /* any more: that may have been a wait */
		return -EAGAIN;
	struct late *l = late_new(o, req, len, moves);
	if (behind_may_hold(l)) {
		behind_hold(l, data);
		kept(c, o, len);
		return 0;
	}
	int rc = behind_send_late(c, l, data);
	outdate(o);
	if (rc || l->answered)
		behind_conclude(l);
	return rc;
}

void behind_room(struct call *c, const struct mount *m)
{
	make_room(c, m, REQUEST_COST);
}

int behind_open(struct call *c, struct ofd *o, const rfs_Request *req, behind_made *made)
{
	struct late *l = late_new(o, req, 0, false);

	l->made = made;
	int rc = behind_send_late(c, l, NULL);
	outdate(o);
	if (rc)
		behind_conclude(l);
	return rc;
}

/* A change of a name on its way. */
struct asked {
	const struct mount *mount;
	size_t cost;
	call_then *then;
	void *arg;
};

static void answered(struct link_reply *rep, int rc, void *arg)
{
	struct asked *a = arg;

	a->then(rep, rc, a->arg);
	behind_own(a->mount)->behind -= a->cost;
	free(a);
	pthread_cond_broadcast(&concluded);
}

int behind_ask(struct call *c, const struct mount *m, const rfs_Request *req, const void *data, size_t len, call_then *then, void *arg)
{
	struct asked *a = xcalloc(1, sizeof(*a));

	*a = (struct asked){ m, len + REQUEST_COST, then, arg };
	behind_own(m)->behind += a->cost;
	int rc = call_start(c, m, req, data, len, answered, a);
	if (rc) {
		behind_own(m)->behind -= a->cost;
		free(a);
	}
	return rc;
}

/* ---- whoever asks ---- */

void behind_settle_pos(struct call *c, struct ofd *o)
{
	behind_release(o->mount);
	if (o->behind_moves)
		count_wait(c, o->mount);
	while (o->behind_moves)
		wait_some(o->mount);
}

static void settle(struct call *c, struct ofd *o)
{
	behind_release(o->mount);
	if (o->behind)
		count_wait(c, o->mount);
	while (o->behind)
		wait_some(o->mount);
}

int behind_error(struct call *c, struct ofd *o)
{
	int error;

	if (!o->behind_error)
		return 0;
	ofd_ref(o);
	settle(c, o);
	error = o->behind_error;
	o->behind_error = 0;
	o->behind_lost = 0;
	ofd_unref(o);
	return error;
}

int behind_close(struct call *c, struct ofd *o)
{
	int error;

	ofd_ref(o);
	if (mode == BEHIND_CLOSE)
		settle(c, o);
	/* Where it cannot be told, it stays for the line on standard error. */
	error = call_can_replace(c) ? behind_error(c, o) : 0;
	ofd_unref(o);
	return error;
}

void behind_gone(struct ofd *o)
{
	char path[PATH_MAX];

	if (!o->behind_error)
		return;
	ofd_show(o, path);
	if (o->unmade)
		log_error("%s was not made%s: %s (no call of the program's was left to tell it)", path,
			  o->behind_lost ? ", and what was written to it is lost" : "", strerror(-o->behind_error));
	else if (o->behind_lost)
		log_error("%" PRIu64 " bytes written to %s were lost: %s (no call of the program's was left to tell it)",
			  o->behind_lost, path, strerror(-o->behind_error));
	else
		log_error("%s: its mode, owner or times were not changed: %s (no call of the program's was left to tell it)",
			  path, strerror(-o->behind_error));
	o->behind_error = 0;
}

static void tell(struct ofd *o, void *arg)
{
	behind_gone(o);
}

/* All replies of M, as long as they come. */
static void await_all(const struct mount *m)
{
	uint64_t since = now_ns();

	behind_release(m);
	for (size_t seen = m->behind; m->behind && now_ns() - since < SILENCE_NS; seen = m->behind) {
		state_wait_ms(&concluded, 100);
		since = m->behind == seen ? since : now_ns();
	}
	if (m->behind)
		log_error("%s: about %zu bytes that were sent last may be lost: the agent has not answered for %d s", m->tag,
			  m->behind, (int)(SILENCE_NS / 1000000000));
}

void behind_finish(void)
{
	size_t count;
	struct mount *const *mounts = rules_mounts(&count);

	for (size_t i = 0; i < count; i++)
		await_all(mounts[i]);
	ofd_each(tell, NULL);
}
