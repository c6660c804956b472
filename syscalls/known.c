#include "known.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ahead.h"
#include "cache.h"
#include "call.h"
#include "image.h"
#include "link.h"
#include "listing.h"
#include "ofd.h"
#include "place.h"
#include "push.h"
#include "remote.h"
#include "rules.h"
#include "state.h"
#include "util.h"
#include "watch.h"

/* Others say more than "to read". */
#define FLAGS (O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_DIRECTORY | O_NOATIME | 0100000 /* O_LARGEFILE */)

static bool is_by_path(int flags)
{
	return flags & O_PATH && !(flags & ~(O_PATH | O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY));
}

/* So many are on their way at most. */
#define OPENING_MAX 256

static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;

static bool may_be_known(const struct place *p, int flags, const rfs_Open *op)
{
	return (!(flags & ~FLAGS) || (is_by_path(flags) && !p->mount->overlay)) && !op->resolve && *p->key && !watch_sees_use(p->mount) && !p->mount->is_upper;
}

/* Whether P's text demands a name in the directory that it is (chdir does), which needs a right to search that nothing tells of. */
static bool must_ask(const struct place *p, const rfs_Attr *attr)
{
	const char *slash = strrchr(p->path, '/'), *name = slash ? slash + 1 : p->path;

	return !strcmp(name, "..") || (!strcmp(name, ".") && (attr->mode & 0111) != 0111);
}

/* A program that opens what is known may be quicker than the agent. */
static void make_room(struct call *c, const struct mount *m)
{
	if (m->opening < OPENING_MAX)
		return;
	link_count_wait(m->link);
	c->round_trips++;
	while (m->opening >= OPENING_MAX) {
		mount_waits(m, 1);
		state_wait(&answered);
		mount_waits(m, -1);
	}
}

/* A mount is constant to its users, but for what is ours. */
static void count_opening(const struct mount *m, int by)
{
	((struct mount *)m)->opening += (unsigned)by;
	pthread_cond_broadcast(&answered);
}

/* The bytes of the file that P is, if it can be opened with FLAGS, and nobody has it open in a way that makes it another. */
static const uint8_t *find_bytes(const struct place *p, int flags, rfs_Attr *attr, size_t *len)
{
	const uint8_t *bytes = cache_bytes(p->mount, p->key, attr, len);

	if (!bytes || (!S_ISDIR(attr->mode) && flags & O_DIRECTORY))
		return NULL;
	if (flags & O_NOATIME && !cache_marked(p->mount, p->key, CACHE_QUIET))
		return NULL;
	const struct node *n = node_find(p->mount, attr);
	for (const struct ofd *o = n ? n->ofds : NULL; o; o = o->next_of_node)
		if ((o->flags & O_ACCMODE) != O_RDONLY || o->mapped || o->writes)
			return NULL;
	return n && n->image && n->image->sync ? NULL : bytes;
}

/* Numbers are given out again at once. */
static bool same_file(const rfs_Attr *a, const rfs_Attr *b)
{
	return a->ino == b->ino && a->dev_major == b->dev_major && a->dev_minor == b->dev_minor && a->btime_sec == b->btime_sec &&
	       a->btime_nsec == b->btime_nsec;
}

/* DIR is what the path begins at: it must not be closed before the agent has looked. */
struct known { const struct mount *mount; struct ofd *ofd, *dir; uint64_t handle; rfs_Attr attr; };

/* What the agent says of an open that the program has had the result of. */
static void opened(struct link_reply *rep, int rc, void *arg)
{
	struct known *k = arg;
	struct ofd *o = k->ofd;
	const rfs_OpenReply *r = &rep->msg.op.open;
	bool good = !rc && rep->msg.which_op == rfs_Reply_open_tag && r->has_attr && same_file(&r->attr, &k->attr);

	count_opening(k->mount, -1);
	o->opening = false;
	if (o->handle == k->handle) { /* else it was copied up */
		o->coherent = good ? r->coherent : 0;
		o->lost = !good;
		if (good && (o->doubted || !cache_same(&r->attr, &k->attr))) {
			push_stale(o->node);
			o->list_known = false;
		}
		node_distrust(o->node);
	}
	ofd_unref(o);
	ofd_unrefp(&k->dir);
	free(k);
}

static uint8_t *copy_of(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = xcalloc(1, len + 1);

	if (len)
		memcpy(copy, bytes, len);
	return copy;
}

static void give_bytes(struct ofd *o, const uint8_t *bytes, size_t len)
{
	struct node *n = o->node;

	if (S_ISDIR(n->attr.mode)) {
		o->list = copy_of(bytes, len);
		o->list_len = len;
		o->list_complete = o->list_known = o->list_learned = true;
	} else if (!n->pages.count && !n->pages.end_known) {
		pages_put(&n->pages, 0, copy_of(bytes, len), len);
		pages_set_end(&n->pages, len);
	}
}

struct ofd *known_open(struct call *c, const struct place *p, int flags, rfs_Request *req)
{
	rfs_Attr attr;
	size_t len;

	if (!may_be_known(p, flags, &req->op.open))
		return NULL;
	ahead_await(c, p->mount, p->key);
	make_room(c, p->mount);
	const uint8_t *bytes = is_by_path(flags) ? NULL : find_bytes(p, flags, &attr, &len);
	/* No word comes by an O_PATH descriptor of a file. */
	if (is_by_path(flags) ? cache_find(p->mount, p->key, &attr) <= 0 || !S_ISDIR(attr.mode) : !bytes)
		return NULL;
	if (must_ask(p, &attr))
		return NULL;
	struct known *k = xcalloc(1, sizeof(*k));
	*k = (struct known){ .mount = p->mount, .handle = req->op.open.handle, .attr = attr };
	req->op.open.prefetch = 0;
	req->ordered = true; /* what is asked next may remove it */
	k->ofd = ofd_new(p->mount, k->handle, p->key, flags & ~O_NOCTTY, &attr);
	k->ofd->opening = true;
	k->ofd->coherent = rfs_Coherent_NAME | rfs_Coherent_HANDLE;
	if (!k->ofd->node->attr_valid)
		node_set_attr(k->ofd->node, &attr, true);
	if (bytes)
		give_bytes(k->ofd, bytes, len);
	if (call_start(c, p->mount, req, NULL, 0, opened, k)) {
		k->ofd->released = true; /* the agent never heard of it */
		ofd_unref(k->ofd);
		free(k);
		return NULL;
	}
	count_opening(p->mount, 1);
	k->dir = p->dir ? ofd_ref(p->dir) : NULL;
	return ofd_ref(k->ofd);
}

bool known_keep(const struct place *p, int flags, const struct link_reply *rep, uint64_t since)
{
	const rfs_OpenReply *r = &rep->msg.op.open;

	if (!*p->key || !ahead_is_whole(r, rep->payload_len) || !(r->coherent & rfs_Coherent_NAME) || watch_sees_use(p->mount) || p->mount->is_upper)
		return false;
	bool search = S_ISDIR(r->attr.mode) && listing_learn(p->mount, p->key, rep->payload, rep->payload_len, since);
	cache_put_bytes(p->mount, p->key, &r->attr, copy_of(rep->payload, rep->payload_len), rep->payload_len, since);
	cache_mark(p->mount, p->key, (search ? CACHE_SEARCH : 0) | (flags & O_NOATIME ? CACHE_QUIET : 0), true);
	return true;
}
