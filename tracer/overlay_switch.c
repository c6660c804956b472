/* Open files of an overlay: which layer they are open in, and by which name. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "call.h"
#include "frame.h"
#include "log.h"
#include "ofd.h"
#include "overlay.h"
#include "overlay_int.h"
#include "overlay_list.h"
#include "rules.h"
#include "util.h"

/* Opens PATH of the upper layer once more for O, which goes on with that. */
static int switch_one(struct call *c, struct overlay *ov, struct ofd *o, const char *path, rfs_OpenReply *opened)
{
	rfs_Request req = { .which_op = rfs_Request_open_tag,
			    .op.open = { .has_where = true, .flags = (uint32_t)(o->flags | O_NOFOLLOW) } };
	char name[PATH_MAX];
	struct link_reply rep;

	snprintf(name, sizeof(name), OVERLAY_UPPER "%s", path);
	BYTES_PUT(req.op.open.where.path, name);
	req.op.open.handle = link_new_handle(ov->upper->link);
	int rc = call_rpc(c, ov->upper, &req, NULL, 0, &rep);
	if (!rc && (rep.msg.which_op != rfs_Reply_open_tag || !rep.msg.op.open.has_attr))
		rc = -EPROTO;
	if (!rc) {
		*opened = rep.msg.op.open;
		ofd_switch(o, ov->upper, req.op.open.handle, name, opened->coherent);
	} else {
		log_error("%s: is open, and cannot be opened again in the overlay: %s; what is written to it is not seen by who has it open",
			  path, strerror(-rc));
	}
	link_reply_free(&rep);
	return rc;
}

/* References to all of N's ofds in *LIST. How many. */
static size_t collect(struct node *n, struct ofd ***list)
{
	size_t count = 0;

	*list = NULL;
	for (struct ofd *o = n->ofds; o; o = o->next_of_node) {
		*list = xrealloc(*list, (count + 1) * sizeof(**list));
		(*list)[count++] = ofd_ref(o);
	}
	return count;
}

void overlay_switch(struct call *c, struct overlay *ov, const rfs_Attr *attr, const char *path)
{
	struct node *n = node_find(ov->lower, attr);
	CLEANUP_FREE struct ofd **list = NULL;
	rfs_OpenReply opened = rfs_OpenReply_init_zero;
	bool any = false;

	if (!n)
		return;
	size_t count = collect(n, &list);
	for (size_t i = 0; i < count; i++)
		if (list[i]->mount == ov->lower && !switch_one(c, ov, list[i], path, &opened))
			any = true;
	if (any) {
		node_switch(n, ov->upper);
		node_set_attr(n, &opened.attr, false);
	}
	/* A listing that goes on is of the same entries at the same offsets. */
	for (size_t i = 0; i < count; i++) {
		if (S_ISDIR(n->attr.mode) && list[i]->mount == ov->upper && list[i]->list_cookie)
			overlay_list_keep(c, list[i]);
		ofd_unref(list[i]);
	}
}

/* PATH of the target's, as the merged tree names it where nothing was renamed. */
static int below_sub(const struct mount *m, const char *path, char *out)
{
	size_t n = m->sub[1] ? strlen(m->sub) : 0;

	if (strncmp(path, m->sub, n) || (path[n] != '/' && path[n]))
		return -ENOENT;
	strcpy(out, path[n] == '/' && !path[n + 1] ? "" : path + n);
	return 0;
}

static int ask_path(struct call *c, struct ofd *o, char *out)
{
	rfs_Request req = { .which_op = rfs_Request_path_tag, .op.path.handle = o->handle };
	char path[PATH_MAX];
	struct link_reply rep;
	const struct mount *m = o->mount;
	int rc = call_rpc(c, m, &req, NULL, 0, &rep);

	if (rc)
		return rc;
	snprintf(path, sizeof(path), "%.*s", (int)rep.payload_len, rep.payload ? (const char *)rep.payload : "");
	link_reply_free(&rep);
	return below_sub(m, path, out);
}

int overlay_name(struct call *c, struct ofd *o, char *path)
{
	if (o->merged) {
		strcpy(path, o->merged);
		return 0;
	}
	/* Of a file the path is what it was opened by, and links may be in it. */
	if (!o->path_stale && (S_ISDIR(o->node->attr.mode) || o->mount->is_upper))
		return below_sub(o->mount, o->path, path);
	ofd_ref(o);
	int rc = ask_path(c, o, path);
	ofd_unref(o);
	return rc;
}

struct files { struct overlay *ov; struct ofd **list; size_t count; };

static void add_lower(struct ofd *o, void *arg)
{
	struct files *f = arg;

	if (o->mount != f->ov->lower)
		return;
	f->list = xrealloc(f->list, (f->count + 1) * sizeof(*f->list));
	f->list[f->count++] = ofd_ref(o);
}

void overlay_moved(struct call *c, struct overlay *ov, const char *from, const char *to)
{
	struct files f = { .ov = ov };
	char path[PATH_MAX], now[PATH_MAX];

	ofd_each(add_lower, &f);
	for (size_t i = 0; i < f.count; i++) {
		struct ofd *o = f.list[i];

		if (!overlay_name(c, o, path) && path_within(*path ? path : "/", from) &&
		    snprintf(now, sizeof(now), "%s%s", to, path + strlen(from)) < (int)sizeof(now)) {
			free(o->merged);
			o->merged = xstrdup(now);
		}
		ofd_unref(o);
	}
	free(f.list);
}

int overlay_bring_ofd(struct call *c, struct ofd *o)
{
	struct overlay *ov = o->mount->overlay;
	char path[PATH_MAX], lower[PATH_MAX];
	rfs_Attr attr;

	if (!ov || o->mount->is_upper)
		return 0;
	ofd_ref(o);
	overlay_own(c);
	int rc = o->mount->is_upper ? 0 : overlay_name(c, o, path);
	if (!rc && !o->mount->is_upper) {
		rc = overlay_lower_of(c, ov, path, lower, &attr);
		if (!rc && (attr.ino != o->node->ino || attr.dev_major != o->node->dev_major || attr.dev_minor != o->node->dev_minor))
			rc = -ESTALE;
		rc = rc ? rc : overlay_bring(c, ov, path);
		rc = rc ? rc : o->mount->is_upper ? 0 : -ESTALE;
	}
	if (rc == -ENOENT)
		rc = -ESTALE; /* the target has removed it: there is nothing that a copy could be put in the place of */
	ofd_unref(o);
	return rc;
}
