/*
 * lockorder TREE ROUNDS: two threads lock and unlock the same bytes at once. Whichever was first, a close of the file by their
 * process, of another descriptor, gives free what it has of it.
 */
#include <pthread.h>

#include "../guests/guest.h"

static int fd;
static pthread_barrier_t start;

static long lock(int at, short type)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_len = 1 };

	return sys(fcntl, at, F_SETLK, &l);
}

static void *unlock(void *arg)
{
	pthread_barrier_wait(&start);
	return (void *)lock(fd, F_UNLCK);
}

/* Says for each byte that comes whether the file can be locked by somebody else. */
static void try_locks(const char *path, int in, int out)
{
	int at = open(path, O_RDWR);
	char c;

	while (read(in, &c, 1) == 1) {
		c = lock(at, F_WRLCK) == 0 ? 'y' : 'n';
		lock(at, F_UNLCK);
		if (write(out, &c, 1) != 1)
			break;
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : 500, bad = 0, to[2], from[2];
	char path[PATH_MAX], c = 0;

	guest_init(argc, argv);
	pthread_barrier_init(&start, NULL, 2);
	snprintf(path, sizeof(path), "%s/lines.txt", T);
	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		return 1;
	if (!fork_clean()) {
		close(to[1]);
		try_locks(path, to[0], from[1]);
	}
	fd = open(path, O_RDWR);
	for (int i = 0; i < rounds; i++) {
		int other = open(path, O_RDWR);
		pthread_t thread;

		pthread_create(&thread, NULL, unlock, NULL);
		pthread_barrier_wait(&start);
		bad += lock(fd, F_WRLCK) != 0;
		pthread_join(thread, NULL);
		close(other);
		bad += write(to[1], "?", 1) != 1 || read(from[0], &c, 1) != 1 || c != 'y';
	}
	printf("%d rounds, %d bad\n", rounds, bad);
	return bad;
}
