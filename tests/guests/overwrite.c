/* A file is written anew again and again, at a low descriptor as a shell does it, while it is open for reading. */
#include "guest.h"

#define ROUNDS 300
#define LOW 9

/* The calls of `echo TEXT >file`. False: one of them failed. */
static int write_anew(const char *name, const char *text)
{
	int fd = sys(open, P(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || sys(dup2, fd, LOW) != LOW)
		return 0;
	sys(close, fd);
	long n = sys(write, LOW, text, strlen(text));
	sys(close, LOW);
	return n == (long)strlen(text);
}

int main(int argc, char **argv)
{
	int bad = 0, differ = 0, fd;
	char text[32], buf[32];

	guest_init(argc, argv);
	fd = SHOWFD(sys(open, P("hello.txt"), O_RDONLY));
	for (int i = 0; i < ROUNDS; i++) {
		snprintf(text, sizeof(text), "round %d", i);
		bad += !write_anew("hello.txt", text);
		long n = sys(pread64, fd, buf, sizeof(buf), 0);
		differ += n != (long)strlen(text) || memcmp(buf, text, (size_t)n);
	}
	printf("%d not written, %d not read\n", bad, differ);
	SHOW(sys(close, fd));
	return 0;
}
