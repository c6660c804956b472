/* With no descriptor number left, open is EMFILE before it makes or cuts anything. */
#include <sys/resource.h>

#include "guest.h"

#define MOST 20000

static int fds[MOST];

/* How many there are is not shown: remote files have numbers of their own, which the limit does not bound. */
static int dup_until_full(void)
{
	int n = 0, fd = (int)sys(open, P("lines.txt"), O_RDWR);

	while (n < MOST && (fds[n] = (int)sys(dup, fd)) >= 0)
		n++;
	printf("full: %s\n", n < MOST ? err_name(errno) : "never");
	return n;
}

static void show_size(const char *name)
{
	struct stat st;

	if (SHOW(sys(stat, P(name), &st)) == 0)
		printf("%s: %ld bytes\n", name, (long)st.st_size);
}

static void without_number(void)
{
	section("without a number");
	SHOWFD(sys(open, P("made.txt"), O_RDWR | O_CREAT, 0644));
	show_size("made.txt");
	SHOWFD(sys(open, P("made.txt"), O_WRONLY | O_CREAT | O_EXCL, 0644));
	show_size("made.txt");
	SHOWFD(sys(open, P("made.txt"), O_CREAT | O_WRONLY | O_TRUNC, 0644));
	show_size("made.txt");
	SHOWFD(sys(open, P("hello.txt"), O_RDWR | O_TRUNC));
	show_size("hello.txt");
	SHOWFD(sys(open, P("dir"), O_RDWR | O_TMPFILE, 0600));
}

int main(int argc, char **argv)
{
	struct rlimit r = { 200, 200 };
	int n;

	guest_init(argc, argv);
	SHOW(sys(setrlimit, RLIMIT_NOFILE, &r));
	n = dup_until_full();
	without_number();
	section("with some");
	/* Two: a stopped call that is given a descriptor needs one more for a moment. */
	sys(close, fds[--n]);
	sys(close, fds[--n]);
	SHOWFD(sys(open, P("made.txt"), O_RDWR | O_CREAT, 0644));
	show_size("made.txt");
	sys(close, fds[--n]);
	SHOWFD(sys(open, P("hello.txt"), O_RDWR | O_TRUNC));
	show_size("hello.txt");
	while (n)
		sys(close, fds[--n]);
	return 0;
}
