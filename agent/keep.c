#include "keep.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* As many as their tables may have, HANDLE_MAX, LOCK_OWNERS, LOCK_WAITS, OBSERVE_MAX, and handles that are closed and in use. */
static const struct keep_shape {
	size_t size;
	uint32_t count;
} shapes[KEEP_KINDS] = {
	[KEEP_HANDLE] = { sizeof(struct keep_handle), 65536 + 4096 },
	[KEEP_OWNER] = { sizeof(struct keep_owner), 4096 },
	[KEEP_WAIT] = { sizeof(struct keep_wait), 1024 },
	[KEEP_INSTANCE] = { sizeof(struct keep_instance), 4096 },
};

/* One kind's slots: those below `used` were published at some time, and the free ones of these are chained. */
struct keep_table {
	uint8_t *slots;              /* shared */
	atomic_uint_fast32_t *used;  /* shared */
	pthread_mutex_t lock;        /* of this process */
	uint32_t free;               /* index plus 1; 0: none */
};

struct keep_head {
	struct keep_one one;
	atomic_uint_fast32_t used[KEEP_KINDS];
};

static struct keep_table tables[KEEP_KINDS];
static struct keep_head *head;

/* Pages that are never touched cost nothing. */
static void *keep_map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int keep_begin(void)
{
	size_t size = sizeof(*head), at = size;
	uint8_t *p;
	int i;

	for (i = 0; i < KEEP_KINDS; i++)
		size += shapes[i].size * shapes[i].count;
	p = keep_map(size);
	if (!p)
		return -ENOMEM;
	for (i = 0; i < KEEP_KINDS; i++) {
		tables[i] = (struct keep_table){ .slots = p + at, .used = &((struct keep_head *)p)->used[i] };
		pthread_mutex_init(&tables[i].lock, NULL);
		at += shapes[i].size * shapes[i].count;
	}
	head = (struct keep_head *)p;
	return 0;
}

void keep_give_up(void)
{
	head = NULL;
}

bool keep_on(void)
{
	return head;
}

struct keep_one *keep_one(void)
{
	static struct keep_one nobodys;

	return head ? &head->one : &nobodys;
}

static struct keep_slot *keep_at(enum keep_kind kind, uint32_t index)
{
	return (struct keep_slot *)(tables[kind].slots + index * shapes[kind].size);
}

/* A slot that is nobody else's, or NULL. */
static struct keep_slot *keep_take(enum keep_kind kind)
{
	struct keep_table *t = &tables[kind];
	struct keep_slot *s = NULL;

	pthread_mutex_lock(&t->lock);
	if (t->free) {
		s = keep_at(kind, t->free - 1);
		t->free = s->next;
	} else if (atomic_load(t->used) < shapes[kind].count) {
		s = keep_at(kind, (uint32_t)atomic_fetch_add(t->used, 1));
	}
	pthread_mutex_unlock(&t->lock);
	return s;
}

void *keep_put(enum keep_kind kind, const void *what)
{
	struct keep_slot *s = head ? keep_take(kind) : NULL;

	if (!s)
		return NULL;
	memcpy(s + 1, (const struct keep_slot *)what + 1, shapes[kind].size - sizeof(*s));
	atomic_store(&s->live, true);
	return s;
}

static void keep_chain(enum keep_kind kind, struct keep_slot *s)
{
	struct keep_table *t = &tables[kind];

	s->next = t->free;
	t->free = (uint32_t)(((uint8_t *)s - t->slots) / shapes[kind].size) + 1;
}

void keep_end(void *slot)
{
	if (slot)
		atomic_store(&((struct keep_slot *)slot)->live, false);
}

void keep_drop(enum keep_kind kind, void *slot)
{
	struct keep_slot *s = slot;

	keep_end(s);
	if (!s)
		return;
	pthread_mutex_lock(&tables[kind].lock);
	keep_chain(kind, s);
	pthread_mutex_unlock(&tables[kind].lock);
}

void *keep_next(enum keep_kind kind, void *after)
{
	const struct keep_table *t = &tables[kind];
	uint32_t i = after ? (uint32_t)(((uint8_t *)after - t->slots) / shapes[kind].size) + 1 : 0;

	for (; head && i < atomic_load(t->used); i++)
		if (atomic_load(&keep_at(kind, i)->live))
			return keep_at(kind, i);
	return NULL;
}

void keep_mend(void)
{
	for (int kind = 0; head && kind < KEEP_KINDS; kind++) {
		pthread_mutex_init(&tables[kind].lock, NULL);
		tables[kind].free = 0;
		for (uint32_t i = (uint32_t)atomic_load(tables[kind].used); i-- > 0;)
			if (!atomic_load(&keep_at(kind, i)->live))
				keep_chain(kind, keep_at(kind, i));
	}
}

void keep_bit(struct keep_handle *h, unsigned int bit, bool on)
{
	if (!h)
		return;
	if (on)
		atomic_fetch_or(&h->bits, bit);
	else
		atomic_fetch_and(&h->bits, ~bit);
}

/* FNV-1a: nobody gains by a collision but two directories of one client's. */
uint64_t keep_digest(const char *path)
{
	uint64_t d = UINT64_C(14695981039346656037);

	if (!path)
		return 0;
	while (*path)
		d = (d ^ (unsigned char)*path++) * UINT64_C(1099511628211);
	return d ? d : 1;
}
