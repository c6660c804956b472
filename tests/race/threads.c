/* threads TREE COUNT LOOPS: COUNT threads at once, each opening, reading and closing files LOOPS times. */
#include <pthread.h>

#include "../guests/guest.h"

static int loops = 5;
static int good;

static void *body(void *arg)
{
	static const char *const names[] = { "hello.txt", "sizes/s3145745", "lines.txt", "sizes/s131073" };
	long id = (long)arg;
	char path[PATH_MAX], buf[100];
	int ok = 1;

	for (int i = 0; i < loops; i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/%s", T, names[(id + i) % COUNT(names)]);
		fd = sys(open, path, id & 1 ? O_RDONLY : O_RDWR);
		ok &= fd >= 0 && sys(read, fd, buf, sizeof(buf)) > 0 && sys(lseek, fd, 0, SEEK_CUR) > 0;
		ok &= sys(close, fd) == 0;
	}
	__sync_fetch_and_add(&good, ok);
	return NULL;
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 8;
	pthread_t *threads;
	pthread_attr_t attr;

	guest_init(argc, argv);
	if (argc > 3)
		loops = atoi(argv[3]);
	threads = calloc(count, sizeof(*threads));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (long i = 0; i < count; i++)
		if (pthread_create(&threads[i], &attr, body, (void *)i))
			return 97;
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	printf("%d threads, %d good\n", count, good);
	return good != count;
}
