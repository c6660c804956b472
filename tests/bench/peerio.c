/*
 * peerio preads FILE COUNT: COUNT reads of 4 KiB at pseudo-random places of FILE, the same ones every time.
 * peerio append FILE COUNT: COUNT appends of 100 bytes, and one fsync.
 * peerio sum: reads standard input to its end.
 * The first and the last print a sum of what they read, cheap enough not to be what is measured.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096
#define RECORD 100
#define SEED 20241

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t sum(uint64_t so_far, const void *bytes, size_t len)
{
	uint64_t word;

	for (size_t i = 0; i < len; i += sizeof(word)) {
		size_t n = len - i < sizeof(word) ? len - i : sizeof(word);

		word = 0;
		memcpy(&word, (const char *)bytes + i, n);
		so_far = so_far * 31 + word;
	}
	return so_far;
}

static uint64_t random_next(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static void preads(const char *path, long count)
{
	static char block[BLOCK];
	uint64_t state = SEED, total = 0;
	struct stat st;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < BLOCK)
		die(path);
	for (long i = 0; i < count; i++) {
		off_t at = random_next(&state) % (st.st_size / BLOCK) * BLOCK;

		if (pread(fd, block, sizeof(block), at) != BLOCK)
			die("pread");
		total = sum(total, block, sizeof(block));
	}
	close(fd);
	printf("%" PRIx64 "\n", total);
}

static void append(const char *path, long count)
{
	char record[RECORD + 1];
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);

	if (fd < 0)
		die(path);
	for (long i = 0; i < count; i++) {
		snprintf(record, sizeof(record), "%0*ld\n", RECORD - 1, i);
		if (write(fd, record, RECORD) != RECORD)
			die("write");
	}
	if (fsync(fd) < 0 || close(fd) < 0)
		die("fsync");
}

/* The sum goes by words: each block but the last has to be full, however the pipe cuts the stream. */
static void sum_stdin(void)
{
	static char block[128 << 10];
	uint64_t total = 0, bytes = 0;
	size_t got;
	ssize_t n;

	do {
		for (got = 0; got < sizeof(block); got += n) {
			n = read(STDIN_FILENO, block + got, sizeof(block) - got);
			if (n < 0)
				die("read");
			if (!n)
				break;
		}
		total = sum(total, block, got);
		bytes += got;
	} while (got == sizeof(block));
	printf("%" PRIu64 " bytes %" PRIx64 "\n", bytes, total);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "preads"))
		preads(argv[2], atol(argv[3]));
	else if (argc == 4 && !strcmp(argv[1], "append"))
		append(argv[2], atol(argv[3]));
	else if (argc == 2 && !strcmp(argv[1], "sum"))
		sum_stdin();
	else {
		fputs("usage: peerio preads|append FILE COUNT, peerio sum\n", stderr);
		return 2;
	}
	return 0;
}
