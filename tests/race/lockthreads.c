/*
 * lockthreads TREE ROUNDS: a process keeps its record locks when threads of it end, whenever somebody looks.
 */
#include <pthread.h>

#include "../guests/guest.h"

#define THREADS 4
#define FOR_GOOD 100

static int fds[2];

static long lock(int fd, int command, short type, off_t at, pid_t *pid)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };
	long r = sys(fcntl, fd, command, &l);

	if (r || command != F_GETLK)
		return r;
	*pid = l.l_type == F_UNLCK ? 0 : l.l_pid;
	return 0;
}

static void *lock_one(void *arg)
{
	long i = (long)arg;

	return (void *)lock(fds[i % 2], F_SETLKW, F_WRLCK, i, NULL);
}

/* Shared with the child that looks. */
static struct { volatile bool done; volatile unsigned looks, bad; } *seen;

/* Looks at the lock that PID has for good, all the time. */
static void look(const char *path, pid_t pid)
{
	int fd = open(path, O_RDWR);

	while (!seen->done) {
		pid_t holder = -1;

		seen->bad += lock(fd, F_GETLK, F_WRLCK, FOR_GOOD, &holder) || holder != pid;
		seen->looks++;
	}
	_exit(0);
}

static int one_round(void)
{
	pthread_t t[THREADS];
	int bad = 0;

	for (long i = 0; i < THREADS; i++)
		bad += pthread_create(&t[i], NULL, lock_one, (void *)i) != 0;
	for (long i = 0; i < THREADS; i++) {
		void *result = NULL;

		pthread_join(t[i], &result);
		bad += result != NULL;
	}
	for (long i = 0; i < THREADS; i++)
		bad += lock(fds[0], F_SETLK, F_UNLCK, i, NULL) != 0;
	return bad;
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : 100, bad = 0, status;
	char path[PATH_MAX];

	guest_init(argc, argv);
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	snprintf(path, sizeof(path), "%s/lines.txt", T);
	pid_t pid = fork_clean();
	if (!pid)
		look(path, getppid());
	fds[0] = open(path, O_RDWR);
	fds[1] = open(path, O_RDWR);
	bad += lock(fds[0], F_SETLK, F_WRLCK, FOR_GOOD, NULL) != 0;
	/* The one that is under way may have begun before there was anything. */
	for (unsigned begun = seen->looks; seen->looks < begun + 2;)
		usleep(1000);
	seen->bad = 0;
	for (int i = 0; i < rounds; i++)
		bad += one_round();
	seen->done = true;
	waitpid(pid, &status, 0);
	printf("%d rounds, %d bad, %u bad looks\n", rounds, bad, seen->bad);
	return bad || seen->bad;
}
