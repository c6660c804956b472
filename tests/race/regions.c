/*
 * regions TREE ROUNDS SIZE: threads change bytes of their own in one file, by each of the ways that there are, and each finds its
 * own by each of the ways, though they lie in the same pages.
 */
#include <linux/falloc.h>
#include <pthread.h>

#include "../guests/guest.h"

#define THREADS 3
#define REGION 1000

enum way { PWRITE, SYNC, MAPPING, LOW, COPY, PUNCH, MSYNC, AGAIN, WAYS };

static const char *const names[] = { "pwrite", "O_DSYNC", "mapping", "low", "copy", "punch", "msync", "another descriptor" };
static char path[PATH_MAX];
static int rounds;

struct worker {
	pthread_t thread;
	int number, bad;
	unsigned seed;
	int fd, sync, low, from;
	char *map; /* of the whole file, as far as it is anybody's */
	off_t off;
	char want[REGION];
};

static unsigned below(struct worker *w, unsigned n)
{
	w->seed = w->seed * 1103515245 + 12345;
	return (w->seed >> 16) % n;
}

static bool put(int fd, const char *data, size_t len, off_t off)
{
	return pwrite(fd, data, len, off) == (ssize_t)len;
}

static bool copy(const struct worker *w, const char *data, size_t len, off_t off)
{
	off_t in = 0;

	return put(w->from, data, len, 0) && copy_file_range(w->from, &in, w->fd, &off, len, 0) == (ssize_t)len;
}

static bool write_by(const struct worker *w, enum way way, const char *data, size_t len, off_t off)
{
	int fd;

	switch (way) {
	case PWRITE: return put(w->fd, data, len, off);
	case SYNC: return put(w->sync, data, len, off);
	case LOW: return put(w->low, data, len, off);
	case COPY: return copy(w, data, len, off);
	case PUNCH: return fallocate(w->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, (off_t)len) == 0;
	case AGAIN:
		fd = open(path, O_WRONLY);
		return put(fd, data, len, off) & (close(fd) == 0);
	default:
		memcpy(w->map + off, data, len);
		return way == MAPPING || msync(w->map, THREADS * REGION, MS_SYNC) == 0;
	}
}

static bool read_by(const struct worker *w, enum way way, char *got)
{
	int fd = way == LOW ? w->low : way == SYNC ? w->sync : w->fd;

	if (way == MAPPING || way == MSYNC) {
		memcpy(got, w->map + w->off, REGION);
		return true;
	}
	if (way == AGAIN || way == COPY)
		fd = open(path, way == AGAIN ? O_RDONLY : O_RDWR);
	bool good = pread(fd, got, REGION, w->off) == REGION;
	if (way == AGAIN || way == COPY)
		close(fd);
	return good;
}

static void one_round(struct worker *w, int round)
{
	unsigned at = below(w, REGION), len = 1 + below(w, REGION - at);
	enum way how = below(w, WAYS), look = below(w, WAYS);
	char data[REGION], got[REGION];

	memset(data, how == PUNCH ? 0 : 'a' + (int)below(w, 26), len);
	memcpy(w->want + at, data, len);
	if (write_by(w, how, data, len, w->off + at) && read_by(w, look, got) && !memcmp(got, w->want, REGION))
		return;
	w->bad++;
	printf("thread %d, round %d: %u+%u by %s are not what is read by %s\n", w->number, round, at, len, names[how], names[look]);
	memcpy(w->want, got, REGION);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < rounds; i++)
		one_round(w, i);
	return NULL;
}

static void begin(struct worker *w, int number)
{
	char other[PATH_MAX];

	*w = (struct worker){ .number = number, .seed = (unsigned)number, .off = number * REGION };
	memset(w->want, '0', REGION);
	snprintf(other, sizeof(other), "%s/from%d", T, number);
	w->fd = open(path, O_RDWR);
	w->sync = open(path, O_RDWR | O_DSYNC);
	w->low = dup2(open(path, O_RDWR), 60 + number);
	w->from = open(other, O_RDWR | O_CREAT, 0644);
	w->map = mmap(NULL, THREADS * REGION, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS];
	char zeros[THREADS * REGION];
	int bad = 0;

	guest_init(argc, argv);
	rounds = argc > 2 ? atoi(argv[2]) : 200;
	snprintf(path, sizeof(path), "%s/regions", T);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	memset(zeros, '0', sizeof(zeros));
	bad += !put(fd, zeros, sizeof(zeros), 0) || ftruncate(fd, argc > 3 ? atol(argv[3]) : 5000);
	for (int i = 0; i < THREADS; i++)
		begin(&workers[i], i);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		bad += workers[i].bad;
	}
	printf("%d rounds, %d bad\n", rounds, bad);
	unlink(path);
	return bad;
}
