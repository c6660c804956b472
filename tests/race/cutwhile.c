/*
 * cutwhile TREE ROUNDS: a file that is mapped is cut off by one thread and appended to by another. Either may come first, and
 * nothing else comes of it, here or at the target.
 */
#include <pthread.h>

#include "../guests/guest.h"

#define LEN 100

static char path[PATH_MAX];
static int to;
static pthread_barrier_t start;
static unsigned round_at;

static void *append(void *arg)
{
	char data[LEN];
	long n;

	memset(data, 'b', LEN);
	pthread_barrier_wait(&start);
	usleep((useconds_t)(round_at % 5 * 20));
	n = write(to, data, LEN);
	return (void *)(long)(n != LEN);
}

/* By each way that there is. */
static long cut(void)
{
	if (round_at % 3 == 0)
		return ftruncate(to, 0);
	if (round_at % 3 == 1)
		return truncate(path, 0);
	int fd = open(path, O_WRONLY | O_TRUNC);
	return fd < 0 ? -1 : close(fd);
}

/* The file's size, if its bytes are as they should be. */
static off_t look(int fd)
{
	char got[2 * LEN];
	struct stat st;
	ssize_t n = pread(fd, got, sizeof(got), 0);

	if (fstat(fd, &st) || n != st.st_size || (n != 0 && n != LEN))
		return -1 - n;
	for (ssize_t i = 0; i < n; i++)
		if (got[i] != 'b')
			return -1000;
	return n;
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : 300, bad = 0;
	pthread_t thread;
	void *failed;

	guest_init(argc, argv);
	pthread_barrier_init(&start, NULL, 2);
	snprintf(path, sizeof(path), "%s/cut", T);
	to = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0644);
	int reader = open(path, O_RDWR);
	bad += write(to, "a", 1) != 1;
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0);
	bad += map == MAP_FAILED;
	for (int i = 0; i < rounds; i++) {
		round_at = (unsigned)i;
		pthread_create(&thread, NULL, append, NULL);
		pthread_barrier_wait(&start);
		bad += cut() != 0;
		pthread_join(thread, &failed);
		off_t size = look(reader);
		if (failed || size < 0 || msync(map, 4096, MS_SYNC) || look(reader) != size) {
			bad++;
			printf("round %d: %lld, then %lld\n", i, (long long)size, (long long)look(reader));
		}
		bad += ftruncate(reader, 0) != 0;
	}
	printf("%d rounds, %d bad\n", rounds, bad);
	unlink(path);
	return bad;
}
