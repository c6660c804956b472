/*
 * mapwhile TREE ROUNDS: what is written in one call is in mappings, and behind descriptors, when it returns, also in those that are made
 * meanwhile.
 */
#include <pthread.h>

#include "../guests/guest.h"

#define MAX ((size_t)6 << 20)

struct round {
	size_t size;
	int flags; /* how the other thread opens the file */
	useconds_t pause_us;
	int fd;
	char *map;
};

static char path[PATH_MAX];

static void *open_it(void *arg)
{
	struct round *r = arg;

	usleep(r->pause_us);
	r->fd = open(path, r->flags);
	if (r->flags == O_RDWR)
		r->map = mmap(NULL, r->size, PROT_READ, MAP_SHARED, r->fd, 0);
	return NULL;
}

/* How many of the pages are not FILL. */
static int look(const char *data, size_t size, char fill)
{
	int bad = 0;

	for (size_t at = 0; at < size; at += 4096)
		bad += data[at] != fill;
	return bad;
}

static int one_round(struct round r, char *data, char fill)
{
	int fd = open(path, O_RDWR | O_CREAT, 0644), bad;
	pthread_t thread;

	memset(data, fill, r.size);
	bad = ftruncate(fd, (off_t)r.size) != 0;
	pthread_create(&thread, NULL, open_it, &r);
	bad += pwrite(fd, data, r.size, 0) != (ssize_t)r.size;
	pthread_join(thread, NULL);
	if (r.map) {
		bad += r.map == MAP_FAILED || look(r.map, r.size, fill);
		munmap(r.map, r.size);
	}
	bad += pread(r.fd, data, r.size, 0) != (ssize_t)r.size || look(data, r.size, fill);
	close(r.fd);
	close(fd);
	return bad;
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : 20, bad = 0;
	char *data = malloc(MAX);

	guest_init(argc, argv);
	snprintf(path, sizeof(path), "%s/mapped", T);
	for (int i = 0; i < rounds; i++) {
		struct round r = { .size = i / 2 % 2 ? MAX / 10 : MAX, .flags = i / 2 % 2 ? O_RDONLY : O_RDWR,
				   .pause_us = (useconds_t)(i / 4 % 8 * 300) };

		bad += one_round(r, data, (char)('a' + i % 26));
		/* One of two finds the file as the last has left it. */
		if (i % 2)
			unlink(path);
	}
	printf("%d rounds, %d bad\n", rounds, bad);
	unlink(path);
	return bad;
}
