/* A file that takes a while to bring is written once more at its beginning, in the middle and at its end just before it is closed. */
#include "guest.h"

#define SIZE (24u << 20)
#define ROUNDS 12

static int write_all(int fd, const char *buf, size_t len)
{
	long n;

	for (size_t done = 0; done < len; done += (size_t)n) {
		n = sys(write, fd, buf + done, len - done < (128u << 10) ? len - done : 128u << 10);
		if (n <= 0)
			return 0;
	}
	return 1;
}

/* Writes it at a low descriptor, as a shell does, so that the kernel does it; DELAY_US after most of it comes the rest. */
static int make(char *buf, int round, unsigned delay_us)
{
	static const off_t at[] = { 0, 4096, 5u << 20, (SIZE / 2) + 1, SIZE - 4097, SIZE - 1 };
	int fd = sys(open, P("big"), O_WRONLY | O_CREAT | O_TRUNC, 0644), low = sys(dup2, fd, 9), good;

	sys(close, fd);
	memset(buf, 'a' + round, SIZE);
	good = low == 9 && write_all(low, buf, SIZE);
	usleep(delay_us);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		buf[at[i]] = '0' + (char)i;
		good &= sys(pwrite64, low, buf + at[i], 1, at[i]) == 1;
	}
	return good & (sys(close, low) == 0);
}

static int is(const char *want, char *have)
{
	int fd = sys(open, P("big"), O_RDONLY);
	size_t got = 0;

	for (long n; got < SIZE && (n = sys(read, fd, have + got, SIZE - got)) > 0; got += (size_t)n)
		continue;
	sys(close, fd);
	return got == SIZE && memcmp(want, have, SIZE) == 0;
}

int main(int argc, char **argv)
{
	char *want = malloc(SIZE), *have = malloc(SIZE);
	int unwritten = 0, wrong = 0;

	guest_init(argc, argv);
	for (int i = 0; i < ROUNDS; i++) {
		unwritten += !make(want, i, (unsigned)(i % 6) * 7000);
		wrong += !is(want, have);
	}
	printf("%d times not written, %d times wrong\n", unwritten, wrong);
	sys(unlink, P("big"));
	return 0;
}
