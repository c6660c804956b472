/*
 * sizes TREE ROUNDS: a file is as long as who appends to it has made it, and has his bytes, whatever another thread changes in it
 * meanwhile.
 */
#include <linux/falloc.h>
#include <pthread.h>

#include "../guests/guest.h"

#define CHANGES 6

static char path[PATH_MAX];
static int from, to, slow;
static volatile bool done;
static unsigned failed;

/* Nothing that makes it longer or shorter. */
static long change(unsigned kind)
{
	off_t in = 0, out = 0;

	switch (kind) {
	case 0: return sys(copy_file_range, from, &in, to, &out, 1, 0) - 1;
	case 1: return sys(pwrite64, slow, "y", 1, 0) - 1;
	case 2: return sys(fallocate, to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1);
	case 3: return sys(fchmod, to, 0600 | (rand() & 077));
	case 4: return sys(pwrite64, to, "z", 1, 0) - 1;
	default: return close(open(path, O_RDWR));
	}
}

static void *change_all(void *arg)
{
	for (unsigned i = 0; !done; i++)
		failed += change(i / 50 % 2 ? i / 100 % CHANGES : 0) != 0;
	return NULL;
}

/* Whether FD, which has been made SIZE bytes long, is. */
static bool look(int fd, off_t size)
{
	struct stat st;
	char got[2];

	if (size % 3 == 0)
		return fstat(fd, &st) == 0 && st.st_size == size;
	if (size % 3 == 1)
		return lseek(fd, 0, SEEK_END) == size;
	return pread(fd, got, 2, size - 1) == 1 && *got == 'x';
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : 1000, bad = 0;
	pthread_t thread;

	guest_init(argc, argv);
	snprintf(path, sizeof(path), "%s/lines.txt", T);
	from = open(path, O_RDWR);
	snprintf(path, sizeof(path), "%s/sizes.of", T);
	to = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	slow = open(path, O_RDWR | O_DSYNC);
	int own[2] = { open(path, O_RDWR | O_APPEND), open(path, O_RDWR | O_APPEND) };
	bad += write(own[0], "x", 1) != 1;
	pthread_create(&thread, NULL, change_all, NULL);
	for (int i = 1; i < rounds; i++) {
		bad += write(own[0], "x", 1) != 1;
		usleep((useconds_t)(i % 8 * 50));
		bad += !look(own[i / 3 % 2], i + 1);
	}
	done = true;
	pthread_join(thread, NULL);
	printf("%d rounds, %d bad, %u failed\n", rounds, bad, failed);
	unlink(path);
	return bad || failed;
}
