/* Threads that share descriptors, directories and files. */
#include <pthread.h>

#include "guest.h"

#define THREADS 8

static int shared;
static uint64_t results[THREADS];
static long counts[THREADS];

static void *positioned(void *arg)
{
	long id = (long)arg;
	char buf[4096];
	uint64_t h = hash("", 0);

	for (int i = 0; i < 40; i++) {
		long n = sys(pread64, shared, buf, sizeof(buf), (id * 40 + i) * 4096L);

		h = hash_more(h, buf, n < 0 ? 0 : n);
	}
	results[id] = h;
	return NULL;
}

/* Reads on one offset: every byte must come to exactly one thread. */
static void *consume(void *arg)
{
	long id = (long)arg, n;
	char buf[1000];

	counts[id] = 0;
	while ((n = sys(read, shared, buf, sizeof(buf))) > 0)
		counts[id] += n;
	return NULL;
}

static void *own_files(void *arg)
{
	long id = (long)arg;
	char name[64], buf[64];

	counts[id] = 0;
	for (int i = 0; i < 20; i++) {
		int fd;

		memset(name, 0, sizeof(name));
		snprintf(name, sizeof(name), "%s/dir/t%ld-%d", T, id, i);
		fd = sys(open, name, O_CREAT | O_RDWR | O_EXCL, 0600);
		if (sys(write, fd, name, 40) == 40 && sys(pread64, fd, buf, 64, 0) == 40 && !memcmp(buf, name, 40))
			counts[id]++;
		sys(close, fd);
		if (i & 1)
			sys(unlink, name);
	}
	return NULL;
}

static void run(void *(*body)(void *))
{
	pthread_t threads[THREADS];

	for (long i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, body, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void total(const char *label)
{
	long sum = 0;

	for (int i = 0; i < THREADS; i++)
		sum += counts[i];
	printf("%s: %ld\n", label, sum);
}

static void *made_here(void *arg)
{
	return (void *)(long)sys(open, P("hello.txt"), O_RDWR);
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "sizes/s131073", "sizes/s3145745" };
	pthread_t thread;
	void *fd;
	char c;

	guest_init(argc, argv);
	for (size_t i = 0; i < COUNT(names); i++) {
		section("%s", names[i]);
		shared = SHOWFD(sys(open, P(names[i]), O_RDONLY));
		run(positioned);
		for (int t = 0; t < THREADS; t++)
			printf("%016llx\n", (unsigned long long)results[t]);
		run(consume);
		total("consumed");
		close(shared);
		shared = SHOWFD(sys(open, P(names[i]), O_RDWR));
		run(consume);
		total("consumed");
		close(shared);
	}
	section("own files");
	run(own_files);
	total("good");
	pthread_create(&thread, NULL, made_here, NULL);
	pthread_join(thread, &fd);
	SHOW(sys(read, fd, &c, 1));
	SHOW(sys(close, fd));
	return 0;
}
