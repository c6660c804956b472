/*
 * mapwhile TREE ROUNDS: what is written in one call is in mappings when it returns, also in one that is made meanwhile.
 */
#include <pthread.h>

#include "../guests/guest.h"

#define SIZE ((size_t)6 << 20)

static char path[PATH_MAX];
static char *map;
static useconds_t pause_us;

static void *map_it(void *arg)
{
	int fd = open(path, O_RDWR);

	usleep(pause_us);
	map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	return NULL;
}

/* How many of the pages are not FILL. */
static int look(char fill)
{
	int bad = 0;

	for (size_t at = 0; at < SIZE; at += 4096)
		bad += map[at] != fill;
	return bad;
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : 20, bad = 0;
	char *data = malloc(SIZE);

	guest_init(argc, argv);
	snprintf(path, sizeof(path), "%s/mapped", T);
	for (int i = 0; i < rounds; i++) {
		int fd = open(path, O_RDWR | O_CREAT, 0644);
		char fill = (char)('a' + i % 26);
		pthread_t thread;

		memset(data, fill, SIZE);
		bad += ftruncate(fd, (off_t)SIZE) != 0;
		pause_us = (useconds_t)(i % 10 * 300);
		pthread_create(&thread, NULL, map_it, NULL);
		bad += pwrite(fd, data, SIZE, 0) != (ssize_t)SIZE;
		pthread_join(thread, NULL);
		bad += map == MAP_FAILED || look(fill);
		munmap(map, SIZE);
		close(fd);
	}
	printf("%d rounds, %d bad\n", rounds, bad);
	unlink(path);
	return bad;
}
