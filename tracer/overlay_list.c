#include "overlay_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache.h"
#include "call.h"
#include "frame.h"
#include "ofd.h"
#include "overlay.h"
#include "rules.h"
#include "upper.h"
#include "util.h"

#define LIST_SIZE (1u << 20)

struct item {
	struct item *next; /* of the same hash */
	rfs_Entry entry;
	int64_t at;        /* where it stands: what the entry before it has as its cookie */
	bool gone;         /* a whiteout */
	bool listed;
};

/* What is to be listed. */
struct line {
	rfs_Entry entry;
	int64_t at;
	bool added; /* the lower layer has no such name */
	bool both;  /* both layers have it */
};

struct merge {
	struct item **items, **hash; /* of the upper layer */
	size_t count, room;
	size_t buckets;
	struct line *lines;
	size_t line_count, line_room;
	int64_t at;       /* of the next entry of the layer that is read */
	bool invented;    /* places that mean something in this list only */
	uint8_t *out;
	size_t len, size;
};

/* ---- reading one layer ---- */

struct bytes { uint8_t *data; size_t len; };

/* Appends the entries of HANDLE at M from its start. */
static int fetch(struct call *c, const struct mount *m, uint64_t handle, struct bytes *all)
{
	int64_t cookie = 0;

	for (;;) {
		rfs_Request req = { .which_op = rfs_Request_list_tag,
				    .op.list = { .handle = handle, .cookie = cookie, .size = LIST_SIZE } };
		struct link_reply rep;
		int rc = call_rpc(c, m, &req, NULL, 0, &rep);

		if (rc)
			return rc;
		bool ends = rep.msg.which_op != rfs_Reply_list_tag || rep.msg.op.list.complete || !rep.payload_len;
		all->data = xrealloc(all->data, all->len + rep.payload_len + 1);
		if (rep.payload_len)
			memcpy(all->data + all->len, rep.payload, rep.payload_len);
		pb_istream_t in = pb_istream_from_buffer(all->data + all->len, rep.payload_len);
		rfs_Entry e = rfs_Entry_init_zero;
		while (in.bytes_left && pb_decode_ex(&in, rfs_Entry_fields, &e, PB_DECODE_DELIMITED))
			cookie = e.cookie;
		all->len += rep.payload_len;
		link_reply_free(&rep);
		if (ends)
			return 0;
	}
}

static int fetch_path(struct call *c, const struct mount *m, const char *path, struct bytes *all)
{
	rfs_Request req = { .which_op = rfs_Request_open_tag,
			    .op.open = { .has_where = true, .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW } };
	struct link_reply rep;

	BYTES_PUT(req.op.open.where.path, path);
	req.op.open.handle = link_new_handle(m->link);
	int rc = call_rpc(c, m, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	link_reply_free(&rep);
	rc = fetch(c, m, req.op.open.handle, all);
	const rfs_Request closing = { .which_op = rfs_Request_close_tag, .op.close.handle = req.op.open.handle };
	call_send(m, &closing);
	return rc;
}

/* Calls TAKE for each entry of ALL. False when one is none. */
static bool each_entry(const struct bytes *all, void (*take)(struct merge *g, const rfs_Entry *e), struct merge *g)
{
	pb_istream_t in = pb_istream_from_buffer(all->data, all->len);

	while (in.bytes_left) {
		rfs_Entry e = rfs_Entry_init_zero;

		if (!pb_decode_ex(&in, rfs_Entry_fields, &e, PB_DECODE_DELIMITED) || !e.name.size || e.name.size > NAME_MAX)
			return false;
		take(g, &e);
	}
	return true;
}

/* ---- the names of the upper layer ---- */

static size_t hash_of(const pb_byte_t *name, size_t n)
{
	size_t h = 5381;

	while (n--)
		h = h * 33 + *name++;
	return h;
}

static struct item **slot(const struct merge *g, const rfs_Entry *e)
{
	struct item **s = &g->hash[hash_of(e->name.bytes, e->name.size) % g->buckets];

	while (*s && ((*s)->entry.name.size != e->name.size || memcmp((*s)->entry.name.bytes, e->name.bytes, e->name.size)))
		s = &(*s)->next;
	return s;
}

static void rehash(struct merge *g, size_t buckets)
{
	free(g->hash);
	g->hash = xcalloc(buckets, sizeof(*g->hash));
	g->buckets = buckets;
	for (size_t i = 0; i < g->count; i++) {
		g->items[i]->next = NULL;
		*slot(g, &g->items[i]->entry) = g->items[i];
	}
}

static struct item *add(struct merge *g, const rfs_Entry *e)
{
	if (g->count == g->room) {
		g->room = g->room ? 2 * g->room : 64;
		g->items = xrealloc(g->items, g->room * sizeof(*g->items));
		rehash(g, 2 * g->room);
	}
	struct item *i = xcalloc(1, sizeof(*i));
	i->entry = *e;
	*slot(g, e) = i;
	g->items[g->count++] = i;
	return i;
}

static void take_upper(struct merge *g, const rfs_Entry *e)
{
	char name[NAME_MAX + 1];

	snprintf(name, sizeof(name), "%.*s", (int)e->name.size, (const char *)e->name.bytes);
	if (!upper_is_reserved(name) && !*slot(g, e))
		add(g, e)->at = g->at;
	g->at = e->cookie;
}

static void take_gone(struct merge *g, int dir)
{
	UPPER_RIGHTS(dir);
	int fd = openat(dir, UPPER_GONE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	for (struct dirent *e; d && (e = readdir(d));) {
		rfs_Entry entry = { .name.size = (pb_size_t)strlen(e->d_name) };

		memcpy(entry.name.bytes, e->d_name, entry.name.size);
		if (!*slot(g, &entry))
			add(g, &entry)->gone = true;
	}
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}

/* ---- the merged list ---- */

static void emit(struct merge *g, const rfs_Entry *e)
{
	if (g->size - g->len < rfs_Entry_size + 16) {
		g->size = g->size ? 2 * g->size : 16384;
		g->out = xrealloc(g->out, g->size);
	}
	pb_ostream_t out = pb_ostream_from_buffer(g->out + g->len, g->size - g->len);
	if (pb_encode_ex(&out, rfs_Entry_fields, e, PB_ENCODE_DELIMITED))
		g->len += out.bytes_written;
}

static void add_line(struct merge *g, const rfs_Entry *e, int64_t at, bool added)
{
	if (g->line_count == g->line_room) {
		g->line_room = g->line_room ? 2 * g->line_room : 64;
		g->lines = xrealloc(g->lines, g->line_room * sizeof(*g->lines));
	}
	g->lines[g->line_count++] = (struct line){ .entry = *e, .at = at, .added = added };
}

static void take_lower(struct merge *g, const rfs_Entry *e)
{
	struct item *i = *slot(g, e);
	int64_t at = g->at;

	g->at = e->cookie;
	if (i && i->gone)
		return;
	if (i)
		i->listed = true;
	add_line(g, i ? &i->entry : e, at, false);
	g->lines[g->line_count - 1].both = i;
}

static int compare_lines(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->added - y->added;
}

/* Gives what the lower layer has not places of their own behind the rest. */
static void append_added(struct merge *g, const int64_t *taken, size_t count)
{
	size_t next = 0;
	int64_t at = 0;

	/* Free numbers: one that is TAKEN, ascending, is a place that a reader of the lower layer may go on from. */
	for (size_t i = 0; i < g->line_count; i++) {
		if (!g->lines[i].added)
			continue;
		for (at++; next < count && taken[next] <= at; next++)
			at += taken[next] == at;
		g->lines[i].at = at;
	}
}

/*
 * The first entry of each layer stands at 0, wherever that is: nothing before it tells. What is first in the upper layer is before all of the
 * lower one's that the upper one has as well.
 */
static void part_first(struct merge *g)
{
	struct line *l = g->lines, first;

	if (g->line_count < 2 || l[0].at || l[1].at || (g->line_count > 2 && l[2].at <= 1))
		return;
	if (l[0].both) {
		first = l[1];
		l[1] = l[0];
		l[0] = first;
	}
	l[1].at = 1;
}

static bool any_shared(const struct merge *g)
{
	for (size_t i = 1; i < g->line_count; i++)
		if (g->lines[i].at == g->lines[i - 1].at)
			return true;
	return false;
}

/* The last place of all: END, or where the upper layer says that it ends. */
static int64_t last_place(const struct merge *g, size_t upper_count, int64_t end)
{
	int64_t upper = upper_count ? g->items[upper_count - 1]->entry.cookie : 0;

	return end > upper ? end : upper;
}

/* Lines in order, those of both layers and then (ADDED last) the others: each leads to the next one. */
static void emit_lines(struct merge *g, bool added_last, int64_t end)
{
	struct line *before = NULL;

	for (int added = 0; added < (added_last ? 2 : 1); added++)
		for (size_t i = 0; i < g->line_count; i++) {
			struct line *l = &g->lines[i];

			if (added_last && l->added != added)
				continue;
			if (before) {
				before->entry.cookie = l->at;
				emit(g, &before->entry);
			}
			before = l;
		}
	if (before) {
		before->entry.cookie = end;
		emit(g, &before->entry);
	}
}

/*
 * Both layers in one order: by the places that their file systems give the names, which is what a copy in one of them would have, as far
 * as the two have the same idea of it. END is behind the last entry of the lower layer, 0 without one.
 */
static void put_in_order(struct merge *g, size_t upper_count, int64_t end)
{
	CLEANUP_FREE int64_t *taken = NULL;
	size_t count = 0;

	for (size_t i = 0; i < g->count; i++)
		if (!g->items[i]->gone && !g->items[i]->listed)
			add_line(g, &g->items[i]->entry, g->items[i]->at, true);
	if (g->line_count)
		qsort(g->lines, g->line_count, sizeof(*g->lines), compare_lines);
	part_first(g);
	if (!any_shared(g)) {
		emit_lines(g, false, last_place(g, upper_count, end));
		return;
	}
	g->invented = true;
	taken = xcalloc(g->line_count + 1, sizeof(*taken));
	for (size_t i = 0; i < g->line_count; i++)
		if (!g->lines[i].added)
			taken[count++] = g->lines[i].at;
	taken[count++] = end;
	append_added(g, taken, count);
	emit_lines(g, true, end);
}

static void merge_free(struct merge *g)
{
	for (size_t i = 0; i < g->count; i++)
		free(g->items[i]);
	free(g->items);
	free(g->hash);
	free(g->lines);
}

/* What came with the names answers the stats that follow; then they are as the program sees them. */
static void learn(struct overlay *ov, const struct mount *m, const char *dir, struct bytes *all, uint64_t since)
{
	struct merge g = { .out = NULL };
	pb_istream_t in = pb_istream_from_buffer(all->data, all->len);
	rfs_Entry e = rfs_Entry_init_zero;
	char name[NAME_MAX + 1], path[PATH_MAX];

	while (in.bytes_left && pb_decode_ex(&in, rfs_Entry_fields, &e, PB_DECODE_DELIMITED)) {
		snprintf(name, sizeof(name), "%.*s", e.name.size <= NAME_MAX ? (int)e.name.size : 0, (const char *)e.name.bytes);
		if (e.has_attr && m->is_upper)
			overlay_attr(ov, &e.attr);
		if (m->is_upper)
			e.ino = e.has_attr ? e.attr.ino : overlay_ino(ov, e.ino);
		if (e.has_attr && !path_join(dir, name, path, sizeof(path)))
			cache_put(m, path, &e.attr, since);
		e.has_attr = false;
		emit(&g, &e);
		e = (rfs_Entry)rfs_Entry_init_zero;
	}
	free(all->data);
	*all = (struct bytes){ g.out, g.len };
}

static int merge_layers(struct call *c, struct overlay *ov, const char *path, struct merge *g, struct bytes *upper, struct bytes *lower)
{
	char below[PATH_MAX];
	uint64_t since = cache_now();
	CLEANUP_FD int dir = upper_walk(ov->top, path);
	int rc = dir < 0 ? dir : upper_from(dir, below);

	if (rc > 0) {
		/* One that the target has removed since has nothing in it. */
		rc = fetch_path(c, ov->lower, below, lower);
		rc = rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP ? 0 : rc;
		learn(ov, ov->lower, below, lower, since);
	}
	if (rc < 0)
		return rc;
	rehash(g, 64);
	if (!each_entry(upper, take_upper, g))
		return -EPROTO;
	size_t upper_count = g->count;
	take_gone(g, dir);
	g->at = 0;
	if (!each_entry(lower, take_lower, g))
		return -EPROTO;
	int64_t end = g->at;
	put_in_order(g, upper_count, end);
	return 0;
}

static int snapshot(struct call *c, struct ofd *o)
{
	struct overlay *ov = o->mount->overlay;
	struct bytes upper = { NULL, 0 }, lower = { NULL, 0 };
	struct merge g = { .out = NULL };
	char path[PATH_MAX], dir[PATH_MAX + sizeof(OVERLAY_UPPER)];
	uint64_t since = cache_now();
	int rc = overlay_name(c, o, path);

	rc = rc ? rc : fetch(c, o->mount, o->handle, &upper);
	if (!rc) {
		snprintf(dir, sizeof(dir), OVERLAY_UPPER "%s", path);
		learn(ov, ov->upper, dir, &upper, since);
		rc = merge_layers(c, ov, path, &g, &upper, &lower);
	}
	if (!rc) {
		free(o->snap);
		o->snap = g.out ? g.out : xcalloc(1, 1);
		o->snap_len = g.len;
		o->snap_stays = g.invented;
	} else {
		free(g.out);
	}
	merge_free(&g);
	free(upper.data);
	free(lower.data);
	return rc;
}

/* Where in O's snapshot what follows its cookie begins. */
static size_t position(const struct ofd *o)
{
	pb_istream_t in = pb_istream_from_buffer(o->snap, o->snap_len);
	rfs_Entry e = rfs_Entry_init_zero;


	/* Places ascend, unless they are invented. What stood there may be gone: then what is behind. */
	while (o->list_cookie && in.bytes_left && pb_decode_ex(&in, rfs_Entry_fields, &e, PB_DECODE_DELIMITED))
		if (o->snap_stays ? e.cookie == o->list_cookie : e.cookie >= o->list_cookie)
			return o->snap_len - in.bytes_left;
	return o->list_cookie ? o->snap_len : 0;
}

int overlay_list(struct call *c, struct ofd *o)
{
	int rc = !o->list_cookie || !o->snap || !o->snap_stays ? snapshot(c, o) : 0;

	if (rc)
		return rc;
	size_t at = position(o);
	free(o->list);
	o->list_len = o->snap_len - at;
	o->list = xcalloc(1, o->list_len + 1);
	memcpy(o->list, o->snap + at, o->list_len);
	o->list_at = 0;
	o->list_complete = o->list_known = true;
	o->list_since = cache_now();
	return 0;
}

void overlay_list_keep(struct call *c, struct ofd *o)
{
	snapshot(c, o);
	o->list_known = false;
}

int overlay_list_any(struct call *c, struct overlay *ov, const char *path)
{
	struct bytes upper = { NULL, 0 }, lower = { NULL, 0 };
	struct merge g = { .out = NULL };
	CLEANUP_FD int dir = upper_walk(ov->top, path);
	int rc = dir < 0 ? dir : upper_is_bare(dir);

	if (rc == 1) {
		rc = merge_layers(c, ov, path, &g, &upper, &lower);
		pb_istream_t in = pb_istream_from_buffer(g.out, g.len);
		rfs_Entry e = rfs_Entry_init_zero;
		while (!rc && in.bytes_left && pb_decode_ex(&in, rfs_Entry_fields, &e, PB_DECODE_DELIMITED))
			rc = !(e.name.size == 1 && e.name.bytes[0] == '.') && !(e.name.size == 2 && !memcmp(e.name.bytes, "..", 2));
	} else if (!rc) {
		rc = 1;
	}
	free(g.out);
	merge_free(&g);
	free(upper.data);
	free(lower.data);
	return rc;
}
