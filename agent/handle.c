#include "handle.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "keep.h"
#include "resolve.h"

#define HANDLE_BUCKETS 4096
#define HANDLE_MAX 65536

struct handles {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	unsigned int count;
	uint64_t serial;
	struct handle *bucket[HANDLE_BUCKETS];
};

struct handles *handles_new(void)
{
	struct handles *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->opened, NULL);
	return t;
}

/* Where the pointer to NUMBER is, or would be: the numbers are counted up, so they spread by themselves. */
static struct handle **handle_slot(struct handles *t, uint64_t number)
{
	struct handle **p = &t->bucket[number % HANDLE_BUCKETS];

	while (*p && (*p)->number != number)
		p = &(*p)->next;
	return p;
}

static void handle_free(struct handle *h)
{
	if (h->fd >= 0)
		close(h->fd);
	keep_drop(KEEP_HANDLE, h->kept);
	pthread_mutex_destroy(&h->position);
	free(h->path);
	channel_free(h);
	free(h);
}

int handle_reserve(struct handles *t, uint64_t number, struct handle **out)
{
	struct handle *h, **slot;
	int r = 0;

	if (number == 0)
		return -EBADF;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->number = number;
	h->fd = -1;
	h->refs = 2;
	pthread_mutex_init(&h->position, NULL);
	pthread_mutex_lock(&t->lock);
	slot = handle_slot(t, number);
	if (*slot)
		r = -EEXIST;
	else if (t->count >= HANDLE_MAX)
		r = -ENFILE;
	if (!r) {
		*slot = h;
		h->serial = ++t->serial;
		t->count++;
	}
	pthread_mutex_unlock(&t->lock);
	if (r)
		handle_free(h);
	else
		*out = h;
	return r;
}

/* Takes H out of the table if it is still there. The lock is held. */
static bool handle_unlink(struct handles *t, struct handle *h)
{
	struct handle **slot = handle_slot(t, h->number);

	if (*slot != h)
		return false;
	*slot = h->next;
	t->count--;
	keep_end(h->kept);
	return true;
}

/* From here on H outlives this process. */
static void handle_keep(struct handle *h)
{
	struct keep_handle k = { .number = h->number, .dev = h->dev, .ino = h->ino, .path = keep_digest(h->path),
				 .fd = h->fd, .flags = h->flags, .type = h->type };

	k.bits = channel_kept(h) | (h->watch ? KEEP_PROMISED : 0);
	h->kept = keep_put(KEEP_HANDLE, &k);
}

void handle_ready(struct handles *t, struct handle *h, bool failed)
{
	if (!failed && keep_on())
		handle_keep(h);
	pthread_mutex_lock(&t->lock);
	h->ready = true;
	if (failed && handle_unlink(t, h))
		h->refs--;
	pthread_cond_broadcast(&t->opened);
	pthread_mutex_unlock(&t->lock);
}

int handle_get_before(struct handles *t, const struct handle *opening, uint64_t number, struct handle **out)
{
	struct handle *h;
	int r = 0;

	pthread_mutex_lock(&t->lock);
	h = *handle_slot(t, number);
	if (h && opening && h->serial >= opening->serial)
		h = NULL;
	if (h) {
		h->refs++;
		while (!h->ready)
			pthread_cond_wait(&t->opened, &t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	if (!h)
		r = -EBADF;
	else if (h->fd < 0)
		r = h->dead ? -ESTALE : -EBADF;
	if (h && r) {
		handle_put(t, h);
		h = NULL;
	}
	*out = h;
	return r;
}

int handle_get(struct handles *t, uint64_t number, struct handle **out)
{
	return handle_get_before(t, NULL, number, out);
}

bool handle_is_closed(struct handles *t, const struct handle *h)
{
	bool closed;

	pthread_mutex_lock(&t->lock);
	closed = *handle_slot(t, h->number) != h;
	pthread_mutex_unlock(&t->lock);
	return closed;
}

void handle_ref(struct handles *t, struct handle *h)
{
	pthread_mutex_lock(&t->lock);
	h->refs++;
	pthread_mutex_unlock(&t->lock);
}

void handle_put(struct handles *t, struct handle *h)
{
	bool last;

	if (!h)
		return;
	pthread_mutex_lock(&t->lock);
	last = --h->refs == 0;
	pthread_mutex_unlock(&t->lock);
	if (last)
		handle_free(h);
}

bool handle_is_locked(struct handles *t, uint64_t number)
{
	const struct handle *h;
	bool locked;

	pthread_mutex_lock(&t->lock);
	h = *handle_slot(t, number);
	locked = h && h->ready && (atomic_load(&h->locked) || h->channel);
	pthread_mutex_unlock(&t->lock);
	return locked;
}

int handle_remove(struct handles *t, uint64_t number, struct handle **out)
{
	struct handle *h;
	bool mine = false;

	pthread_mutex_lock(&t->lock);
	h = *handle_slot(t, number);
	if (h) {
		h->refs++;
		while (!h->ready)
			pthread_cond_wait(&t->opened, &t->lock);
		/* False when its open failed, or when another Close was quicker. */
		mine = handle_unlink(t, h);
		if (mine)
			h->refs--;
	}
	pthread_mutex_unlock(&t->lock);
	if (h && !mine)
		handle_put(t, h);
	*out = mine ? h : NULL;
	return mine ? 0 : -EBADF;
}

void handle_note_lock(struct handle *h)
{
	keep_bit(h->kept, KEEP_LOCKED, true);
	atomic_store(&h->locked, true);
}

void handles_lock(struct handles *t)
{
	pthread_mutex_lock(&t->lock);
}

void handles_unlock(struct handles *t)
{
	pthread_mutex_unlock(&t->lock);
}

struct handle *handles_next(const struct handles *t, const struct handle *h)
{
	struct handle *next = h ? h->next : NULL;

	for (uint64_t i = h ? h->number % HANDLE_BUCKETS + 1 : 0; !next && i < HANDLE_BUCKETS; i++)
		next = t->bucket[i];
	return next;
}

size_t handles_of(struct handles *t, dev_t dev, ino_t ino, struct handle ***list)
{
	struct handle *h = NULL;
	size_t count = 0;

	*list = NULL;
	pthread_mutex_lock(&t->lock);
	for (unsigned int left = t->count; left-- && (h = handles_next(t, h));) {
		if (!h->ready || h->fd < 0 || (ino && (h->ino != ino || h->dev != dev)))
			continue;
		if (!*list)
			*list = malloc((left + 1) * sizeof(**list));
		if (!*list)
			break;
		(*list)[count++] = h;
		h->refs++;
	}
	pthread_mutex_unlock(&t->lock);
	return count;
}

/* What was promised of names in a directory is about the path that the client knows. */
static char *handle_same_path(const struct root *root, const struct handle *h)
{
	char path[PATH_MAX];

	if (!h->kept->path || resolve_path_of(root, h->fd, path) || keep_digest(path) != h->kept->path)
		return NULL;
	return strdup(path);
}

int handles_restore(struct handles *t, const struct root *root)
{
	struct keep_handle *k = NULL;
	struct handle *h;
	unsigned int bits;
	int r;

	while ((k = keep_next(KEEP_HANDLE, k))) {
		r = handle_reserve(t, k->number, &h);
		if (r)
			return r;
		bits = atomic_load(&k->bits);
		h->kept = k;
		h->fd = k->fd;
		h->dead = h->fd < 0;
		h->flags = k->flags;
		h->type = k->type;
		h->dev = k->dev;
		h->ino = k->ino;
		h->path = handle_same_path(root, h);
		h->locked = bits & KEEP_LOCKED;
		h->own_locks = bits & KEEP_OWN_LOCKS;
		h->ready = true;
		if (bits & KEEP_CHANNEL)
			r = channel_make(h, bits & KEEP_PENDING);
		handle_put(t, h);
		if (r)
			return r;
	}
	return 0;
}
