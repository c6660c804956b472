/* What was promised to the client, and the pushes that take it back. */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "handle.h"
#include "watch_int.h"

/* A set of 64-bit hashes: two names that share one cost a superfluous push at worst, once in 2^32 names. */
#define PROMISED_SLOTS (1u << 17)
#define PROMISED_MAX (PROMISED_SLOTS / 2)

static uint64_t promise_hash(const struct watcher *w, const char *path)
{
	uint64_t h = w->seed;

	for (; *path; path++) {
		h = (h ^ (unsigned char)*path) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	h *= 0xbf58476d1ce4e5b9u;
	h ^= h >> 32;
	return h ? h : 1;
}

/* The slot where HASH is, or the empty one where it would go. */
static unsigned int promise_slot(const struct watcher *w, uint64_t hash)
{
	unsigned int i = hash % PROMISED_SLOTS;

	while (w->promised[i] && w->promised[i] != hash)
		i = (i + 1) % PROMISED_SLOTS;
	return i;
}

static bool promise_recall(struct watcher *w, const char *path)
{
	unsigned int hole, i;

	if (!w->promised)
		return false;
	hole = promise_slot(w, promise_hash(w, path));
	if (!w->promised[hole])
		return false;
	/* Linear probing: whatever stands behind the hole and may move into it, must. */
	for (i = (hole + 1) % PROMISED_SLOTS; w->promised[i]; i = (i + 1) % PROMISED_SLOTS) {
		unsigned int home = w->promised[i] % PROMISED_SLOTS;

		if ((i - home) % PROMISED_SLOTS >= (i - hole) % PROMISED_SLOTS) {
			w->promised[hole] = w->promised[i];
			hole = i;
		}
	}
	w->promised[hole] = 0;
	w->promised_count--;
	return true;
}

/* Keeps PATH among the promised names. */
static void remember(struct watcher *w, const char *path)
{
	uint64_t hash = promise_hash(w, path);
	unsigned int i;

	if (!w->promised)
		return;
	if (w->promised_count >= PROMISED_MAX) {
		notice_all(w);
		notice_wake(w);
	}
	i = promise_slot(w, hash);
	if (!w->promised[i])
		w->promised_count++;
	w->promised[i] = hash;
}

static void promise_list(struct watcher *w, struct promise *p)
{
	if (p->made)
		return;
	p->made = true;
	p->next = w->promises;
	w->promises = p;
}

void promise_name(struct watcher *w, struct promise *p, const char *path, bool subtree)
{
	if (w->inotify < 0)
		return;
	pthread_mutex_lock(&w->lock);
	strcpy(p->path, path);
	p->subtree = subtree;
	promise_list(w, p);
	remember(w, path);
	pthread_mutex_unlock(&w->lock);
}

void promise_child(struct watcher *w, const char *path)
{
	pthread_mutex_lock(&w->lock);
	remember(w, path);
	pthread_mutex_unlock(&w->lock);
}

void promise_handle(struct watcher *w, struct promise *p, struct handle *h)
{
	pthread_mutex_lock(&w->lock);
	if (h->watch) {
		p->handle = h->number;
		/* What the client has learnt by H it keeps for the file, and it may close H while it has others on that. */
		for (struct handle *all = h->watch->handles; all; all = all->watch_next)
			all->told = false;
		promise_list(w, p);
	}
	pthread_mutex_unlock(&w->lock);
}

void promise_settle(struct watcher *w, struct promise *p)
{
	struct promise **at;

	if (!p->made)
		return;
	pthread_mutex_lock(&w->lock);
	for (at = &w->promises; *at != p; at = &(*at)->next)
		;
	*at = p->next;
	p->made = false;
	pthread_mutex_unlock(&w->lock);
}

static void promise_break(struct watcher *w, const char *path, bool subtree)
{
	struct promise *p;

	for (p = w->promises; p; p = p->next) {
		if (!p->path[0])
			continue;
		if (!strcmp(path, p->path) || (subtree && watch_path_covers(path, p->path)) ||
		    (p->subtree && watch_path_covers(p->path, path)))
			p->name_broken = true;
	}
}

static bool notice_is_last(const struct notices *n, const char *path, bool subtree)
{
	unsigned int i, first = n->names > 8 ? n->names - 8 : 0;

	for (i = first; i < n->names; i++)
		if (n->name[i].subtree == subtree && !strcmp(n->name[i].path, path))
			return true;
	return false;
}

void notice_name(struct watcher *w, const char *path, bool subtree)
{
	struct notices *n = w->pending;
	char *copy;

	promise_break(w, path, subtree);
	promise_recall(w, path);
	if (n->all || notice_is_last(n, path, subtree))
		return;
	copy = n->names < NOTICE_MAX ? strdup(path) : NULL;
	if (copy)
		n->name[n->names++] = (struct notice){ copy, subtree };
	else
		notice_all(w);
}

void notice_if_promised(struct watcher *w, const char *path, bool subtree)
{
	if (promise_recall(w, path))
		notice_name(w, path, subtree);
}

void notice_handle(struct watcher *w, struct handle *h)
{
	struct notices *n = w->pending;
	struct promise *p;
	uint64_t *grown;

	for (p = w->promises; p; p = p->next)
		if (p->handle == h->number)
			p->handle_broken = true;
	if (h->told)
		return;
	if (n->handles % 64 == 0) {
		grown = realloc(n->handle, (n->handles + 64) * sizeof(*grown));
		if (!grown)
			return; /* h->told stays false: the next event tries again */
		n->handle = grown;
	}
	h->told = true;
	n->handle[n->handles++] = h->number;
}

void notice_all(struct watcher *w)
{
	struct notices *n = w->pending;
	struct promise *p;

	for (p = w->promises; p; p = p->next)
		p->name_broken = p->path[0];
	if (w->promised)
		memset(w->promised, 0, PROMISED_SLOTS * sizeof(*w->promised));
	w->promised_count = 0;
	while (n->names)
		free(n->name[--n->names].path);
	n->all = true;
}

void notice_wake(struct watcher *w)
{
	/* It cannot fail: the counter never gets near its end. */
	(void)!eventfd_write(w->wake, 1);
}

struct notices *notices_new(void)
{
	return calloc(1, sizeof(struct notices));
}

void notices_clear(struct notices *n)
{
	while (n->names)
		free(n->name[--n->names].path);
	free(n->handle);
	n->handle = NULL;
	n->handles = 0;
	n->all = false;
}
