/* Remote inodes that are open. */
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "image.h"
#include "log.h"
#include "ofd.h"
#include "placeholder.h"
#include "rules.h"
#include "util.h"

#define BUCKETS 1024

static struct node *nodes[BUCKETS];

static struct node **node_slot(const struct mount *m, const rfs_Attr *a)
{
	size_t h = (a->ino * 31 + a->dev_minor * 7 + a->dev_major + (uintptr_t)m / 64) % BUCKETS;
	struct node **slot = &nodes[h];

	while (*slot && !((*slot)->ino == a->ino && (*slot)->dev_minor == a->dev_minor &&
			  (*slot)->dev_major == a->dev_major && (*slot)->mount == m))
		slot = &(*slot)->next;
	return slot;
}

struct node *node_find(const struct mount *m, const rfs_Attr *attr)
{
	return *node_slot(m, attr);
}

struct node *node_get(const struct mount *m, const rfs_Attr *a)
{
	struct node **slot = node_slot(m, a);

	if (!*slot) {
		*slot = xcalloc(1, sizeof(**slot));
		(*slot)->mount = m;
		(*slot)->ino = a->ino;
		(*slot)->dev_major = a->dev_major;
		(*slot)->dev_minor = a->dev_minor;
	}
	(*slot)->refs++;
	return *slot;
}

void node_put(struct node *n)
{
	rfs_Attr key = { .ino = n->ino, .dev_major = n->dev_major, .dev_minor = n->dev_minor };

	if (--n->refs)
		return;
	if (!n->apart)
		*node_slot(n->mount, &key) = n->next;
	if (n->image)
		placeholder_free(n->image);
	if (n->back_len)
		log_error("%zu bytes that were read ahead from a remote FIFO were not read by the program, and are lost: redirect it to one reader",
			  n->back_len);
	free(n->back);
	pages_free(&n->pages);
	free(n);
}

bool node_identify(struct node *n, const rfs_Attr *attr)
{
	const rfs_Attr key = { .ino = n->ino, .dev_major = n->dev_major, .dev_minor = n->dev_minor };
	struct node **to = node_slot(n->mount, attr);

	if (*to)
		return false;
	if (!n->apart)
		*node_slot(n->mount, &key) = n->next;
	n->apart = false;
	n->ino = attr->ino;
	n->dev_major = attr->dev_major;
	n->dev_minor = attr->dev_minor;
	n->next = NULL;
	/* The chain that it was in may be that one. */
	*node_slot(n->mount, attr) = n;
	return true;
}

void node_switch(struct node *n, const struct mount *m)
{
	rfs_Attr key = { .ino = n->ino, .dev_major = n->dev_major, .dev_minor = n->dev_minor };

	if (!n->apart)
		*node_slot(n->mount, &key) = n->next;
	pages_drop_all(&n->pages);
	n->whole = NULL;
	n->mount = m;
	if (n->apart)
		return;
	n->next = NULL;
	*node_slot(m, &key) = n;
}

void node_set_attr(struct node *n, const rfs_Attr *attr, bool valid)
{
	if (attr)
		n->attr = *attr;
	n->attr_valid = n->size_valid = attr && valid && !n->behind;
}

static uint64_t changes;

uint64_t node_clock(void)
{
	return changes;
}

void node_written(struct node *n, uint64_t off, uint64_t len)
{
	n->version = ++changes;
	n->attr_valid = n->size_valid = false;
	pages_drop(&n->pages, off, len);
	cache_forget_inode(n->mount, n->dev_major, n->dev_minor, n->ino);
}

void node_changed(struct node *n)
{
	node_written(n, 0, UINT64_MAX);
	pages_drop_all(&n->pages);
	n->misses = 0;
	n->missed_ns = 0;
	n->whole = NULL;
}

/* True when NAME is in the directory DIR. */
static bool is_in(const char *dir, const char *name)
{
	size_t n = (size_t)(strrchr(name, '/') - name);

	return n ? strlen(dir) == n && !memcmp(dir, name, n) : !strcmp(dir, "/");
}

void node_names_changed(const struct mount *m, const char *name)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct node *n = nodes[i]; n; n = n->next) {
			if (n->mount != m)
				continue;
			n->attr_valid = false;
			for (struct ofd *o = n->ofds; o; o = o->next_of_node)
				if (!*name || o->path_stale || is_in(o->path, name))
					o->list_known = false;
		}
}

void node_distrust(struct node *n)
{
	rfs_Attr key = { .ino = n->ino, .dev_major = n->dev_major, .dev_minor = n->dev_minor };
	const struct ofd *o = n->ofds;

	while (o && (o->lost || o->dead))
		o = o->next_of_node;
	if (o || !n->ofds || n->apart)
		return;
	*node_slot(n->mount, &key) = n->next;
	n->next = NULL;
	n->apart = true;
}

void node_end_promise(const struct ofd *o)
{
	struct node *n = o->node;
	const struct ofd *other = n->ofds;

	if (n->whole == o)
		n->whole = NULL;
	while (other && (other->told || other->lost || !(other->coherent & rfs_Coherent_HANDLE)))
		other = other->next_of_node;
	if (other || !n->ofds)
		return;
	pages_drop_all(&n->pages);
	n->attr_valid = n->size_valid = false;
}

void ofd_each(ofd_visitor *visit, void *arg)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct node *n = nodes[i]; n; n = n->next)
			for (struct ofd *next, *o = n->ofds; o; o = next) {
				next = o->next_of_node;
				visit(o, arg);
			}
}
