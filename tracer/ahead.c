#include "ahead.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cache.h"
#include "call.h"
#include "link.h"
#include "listing.h"
#include "order.h"
#include "rules.h"
#include "state.h"
#include "util.h"
#include "watch.h"

#define READERS 64
#define WINDOW_FIRST 16u
#define WINDOW_MAX 256u
#define BYTES_MAX (8u << 20) /* of one stream: on their way, or unused */
#define IN_FLIGHT_MAX 64     /* requests of all streams: what is really wanted waits behind them */
#define TRUST_AT_ONCE 8      /* so much luck, and the first sign of a directory being read is enough … */
#define TRUST_STAKE 4	     /* … which costs this, where each guess that was right brings 1 */
#define TRUST_MAX 64

enum kind { FILES, DIRECTORIES, KINDS, ITSELF = KINDS };

/* The entries of one kind in one directory. */
struct stream {
	bool begun;
	size_t at, left;   /* which name is the next, and how many there are to come; behind the last is the first */
	char *last;	   /* the name that was used last */
	unsigned opened;   /* by programs … */
	unsigned used;	   /* … and how many of these had come ahead */
	unsigned out;	   /* came or are on their way, and nobody has used them */
	size_t bytes;	   /* of these */
	unsigned window;   /* how large OUT may get */
};

/* A directory that is being read through. */
struct reader {
	const struct mount *mount; /* NULL: free */
	char *dir;
	uint64_t serial; /* to tell it from another one in its place */
	uint64_t stamp;
	unsigned asked; /* the agent about names in it, by programs */
	bool wanted;    /* its own listing was fetched, or cannot be had whole */
	struct order order;
	struct stream stream[KINDS];
};

struct fetch {
	const struct mount *mount;
	char *path;
	uint64_t since;
	struct reader *reader;
	uint64_t serial;
	enum kind kind;
};

static struct reader readers[READERS];
static uint64_t clock_now;
static unsigned in_flight;
/* How well guesses did lately, of both kinds. */
static int trust[KINDS];
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;

/* ---- readers ---- */

static struct reader *reader_of(const struct mount *m, const char *dir)
{
	struct reader *r, *oldest = readers;

	for (r = readers; r < readers + READERS; r++) {
		if (r->mount == m && !strcmp(r->dir, dir)) {
			r->stamp = ++clock_now;
			return r;
		}
		if (r->stamp < oldest->stamp)
			oldest = r;
	}
	free(oldest->dir);
	order_free(&oldest->order);
	for (int k = 0; k < KINDS; k++)
		free(oldest->stream[k].last);
	*oldest = (struct reader){ .mount = m, .dir = xstrdup(dir), .serial = ++clock_now, .stamp = clock_now };
	return oldest;
}

/* ---- fetching ---- */

static void go_on(struct reader *r, enum kind kind);

bool ahead_is_whole(const rfs_OpenReply *r, size_t len)
{
	return S_ISDIR(r->attr.mode) ? r->complete : r->complete || (len && len == r->attr.size);
}

static void keep(const struct fetch *f, struct link_reply *rep)
{
	const rfs_OpenReply *r = &rep->msg.op.open;

	if (rep->msg.which_op != rfs_Reply_open_tag || !r->has_attr || !(r->coherent & rfs_Coherent_NAME))
		return;
	cache_put(f->mount, f->path, &r->attr, f->since);
	if (!ahead_is_whole(r, rep->payload_len))
		return;
	bool search = S_ISDIR(r->attr.mode) && listing_learn(f->mount, f->path, rep->payload, rep->payload_len, f->since);
	uint8_t *bytes = rep->payload ? rep->payload : xcalloc(1, 1);
	rep->payload = NULL;
	cache_put_bytes(f->mount, f->path, &r->attr, bytes, rep->payload_len, f->since);
	cache_mark(f->mount, f->path, CACHE_AHEAD | (r->quiet ? CACHE_QUIET : 0) | (search ? CACHE_SEARCH : 0), true);
}

static void fetched(struct link_reply *rep, int rc, void *arg)
{
	struct fetch *f = arg;
	struct reader *r = f->reader;

	in_flight--;
	cache_mark(f->mount, f->path, CACHE_COMING, false);
	if (!rc)
		keep(f, rep);
	pthread_cond_broadcast(&arrived);
	if (r->serial == f->serial && r->mount == f->mount)
		go_on(r, f->kind);
	free(f->path);
	free(f);
}

static bool fetch(struct reader *r, enum kind kind, const char *path)
{
	rfs_Request req = { .which_op = rfs_Request_fetch_tag, .op.fetch = { .has_where = true, .size = AHEAD_SIZE } };
	struct fetch *f = xcalloc(1, sizeof(*f));

	*f = (struct fetch){ .mount = r->mount, .path = xstrdup(path), .since = cache_now(), .reader = r, .serial = r->serial, .kind = kind };
	req.op.fetch.where.path.size = strlen(path);
	memcpy(req.op.fetch.where.path.bytes, path, req.op.fetch.where.path.size);
	/* A program that watches who opens what would see it. */
	if (watch_sees_use(r->mount) || call_start(NULL, r->mount, &req, NULL, 0, fetched, f)) {
		free(f->path);
		free(f);
		return false;
	}
	in_flight++;
	cache_mark(r->mount, path, CACHE_COMING, true);
	return true;
}

/* A program that opens PATH would come to this mount with it. */
static bool is_remote(const struct mount *m, const char *path)
{
	char shown[PATH_MAX];

	if (path_to_program(m, path, shown, sizeof(shown)))
		return false;
	const struct decision *d = rules_decide(shown, false, false);
	return d->verdict == VERDICT_REMOTE && d->mount == m && !d->path;
}

/* Whether PATH is of KIND and worth being fetched; ATTR is what is known of it. */
static bool is_wanted(const struct mount *m, const char *path, enum kind kind, rfs_Attr *attr)
{
	size_t len;

	if (cache_find(m, path, attr) <= 0 || cache_marked(m, path, CACHE_COMING))
		return false;
	if (kind == FILES ? !S_ISREG(attr->mode) || attr->size > AHEAD_SIZE : !S_ISDIR(attr->mode))
		return false;
	return !cache_bytes(m, path, attr, &len) && is_remote(m, path);
}

static void fill(struct reader *r, enum kind kind)
{
	struct stream *s = &r->stream[kind];
	char path[PATH_MAX];
	rfs_Attr attr;

	/* Not what is opened: the program goes by another order, or reads some of them only. */
	if (!s->begun || s->opened > 2 * s->used + WINDOW_FIRST)
		return;
	while (s->left && s->out < s->window && s->bytes < BYTES_MAX && in_flight < IN_FLIGHT_MAX) {
		const char *name = r->order.name[s->at];

		s->at = (s->at + 1) % r->order.count;
		s->left--;
		if (path_join(r->dir, name, path, sizeof(path)))
			continue;
		if (!is_wanted(r->mount, path, kind, &attr))
			continue;
		if (!fetch(r, kind, path))
			return;
		s->out++;
		s->bytes += kind == FILES ? attr.size : 0;
	}
}

/* Begins S behind the name NOW (NULL: with the first one); BEFORE is what was used before that, or NULL. */
static void begin(struct reader *r, struct stream *s, const char *before, const char *now)
{
	rfs_Attr attr;
	size_t len;
	const uint8_t *list = cache_bytes(r->mount, r->dir, &attr, &len);

	if (s->begun || !list)
		return;
	s->begun = true;
	/* The other kind may have made it. */
	s->at = 0;
	if (!r->order.name)
		s->at = order_make(&r->order, list, len, before, now);
	s->left = r->order.count;
}

static void go_on(struct reader *r, enum kind kind)
{
	for (int k = 0; k < KINDS; k++) {
		if (kind == ITSELF && r->stream[k].opened > 1)
			begin(r, &r->stream[k], NULL, r->stream[k].last);
		if (kind == ITSELF || k == (int)kind)
			fill(r, k);
	}
}

/* ---- guessing ---- */

void ahead_listed(const struct mount *m, const char *path)
{
	rfs_Attr attr;
	size_t len;

	if (!cache_bytes(m, path, &attr, &len))
		return;
	struct reader *r = NULL;
	for (int k = 0; k < KINDS; k++) {
		if (trust[k] < TRUST_AT_ONCE)
			continue;
		r = r ? r : reader_of(m, path);
		if (!r->stream[k].begun) {
			trust[k] -= TRUST_STAKE;
			r->stream[k].window = WINDOW_MAX / 4;
			begin(r, &r->stream[k], NULL, NULL);
		}
		fill(r, k);
	}
}

static void note_use(struct stream *s, enum kind kind, bool ahead, const rfs_Attr *attr)
{
	size_t size = kind == FILES ? attr->size : 0;

	s->opened++;
	/* Who opens more and more may go by another order than the listing's. */
	unsigned window = s->opened < 4 ? WINDOW_FIRST << s->opened : WINDOW_MAX;
	if (s->window < window)
		s->window = window;
	if (!ahead)
		return;
	s->used++;
	s->out -= s->out > 0;
	s->bytes -= size < s->bytes ? size : s->bytes;
	trust[kind] += trust[kind] < TRUST_MAX;
}

static bool has_listing(const struct reader *r)
{
	rfs_Attr attr;
	size_t len;

	return cache_bytes(r->mount, r->dir, &attr, &len);
}

/* One name in R's directory may be all that a program wants to know of it; after the second one it is worth its listing. */
static void want_listing(struct reader *r)
{
	unsigned enough = trust[DIRECTORIES] >= TRUST_AT_ONCE ? 1 : 2;

	if (r->wanted || r->asked < enough || in_flight >= IN_FLIGHT_MAX || !is_remote(r->mount, r->dir))
		return;
	r->wanted = true;
	fetch(r, ITSELF, r->dir);
}

/* Something in DIR had to be asked about; the first time that is so, something in the directory above is in use. */
static void ask_in(const struct mount *m, const char *dir)
{
	char at[PATH_MAX], above[PATH_MAX];
	struct reader *r;

	strcpy(at, dir);
	do {
		r = reader_of(m, at);
		if (has_listing(r))
			break;
		r->asked++;
		want_listing(r);
		if (r->asked > 1 || !path_parent(at, above))
			break;
		strcpy(at, above);
	} while (true);
}

static void note_last(struct stream *s, const char *name)
{
	if (s->begun)
		return;
	free(s->last);
	s->last = xstrdup(name);
}

static void use(const struct mount *m, const char *path, enum kind kind)
{
	bool ahead = cache_mark(m, path, CACHE_AHEAD, false);
	char dir[PATH_MAX];
	rfs_Attr own = { 0 };

	if (m->is_upper || !path_parent(path, dir))
		return;
	struct reader *r = reader_of(m, dir);
	struct stream *s = &r->stream[kind];
	cache_find(m, path, &own);
	note_use(s, kind, ahead, &own);
	if (!has_listing(r)) {
		note_last(s, strrchr(path, '/') + 1);
		ask_in(m, dir);
		return;
	}
	const char *name = strrchr(path, '/') + 1;
	if (s->opened > 1 || trust[kind] >= TRUST_AT_ONCE)
		begin(r, s, s->last, name);
	fill(r, kind);
	note_last(s, name);
}

void ahead_opened(const struct mount *m, const char *path, bool directory)
{
	use(m, path, directory ? DIRECTORIES : FILES);
}

void ahead_looked(const struct mount *m, const char *path)
{
	char dir[PATH_MAX];

	if (path_parent(path, dir) && cache_marked(m, dir, CACHE_AHEAD))
		use(m, dir, DIRECTORIES);
}

void ahead_asked(const struct mount *m, const char *path)
{
	char dir[PATH_MAX];

	if (m->is_upper || !path_parent(path, dir))
		return;
	if (!reader_of(m, dir)->asked)
		use(m, dir, DIRECTORIES);
	ask_in(m, dir);
}

bool ahead_await_listing(struct call *c, const struct mount *m, const char *path)
{
	char dir[PATH_MAX];

	return path_parent(path, dir) && ahead_await(c, m, dir);
}

bool ahead_await(struct call *c, const struct mount *m, const char *path)
{
	if (!cache_marked(m, path, CACHE_COMING))
		return false;
	link_count_wait(m->link);
	c->round_trips++;
	while (cache_marked(m, path, CACHE_COMING))
		state_wait(&arrived);
	return true;
}
