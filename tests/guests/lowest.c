/* The numbers themselves, which are the kernel's with --fd-numbering=posix only: tests/e2e/numbering.sh. */
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>

#include "guest.h"

static void show_limit(const char *label)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	printf("%s: %ld %ld\n", label, (long)r.rlim_cur, (long)r.rlim_max);
}

static void in_turn(void)
{
	int s[2];

	section("opened and closed");
	SHOW(sys(open, P("hello.txt"), O_RDONLY));
	SHOW(sys(open, P("lines.txt"), O_RDWR));
	SHOW(sys(open, P("dir"), O_RDONLY | O_DIRECTORY));
	SHOW(sys(open, "/dev/null", O_RDONLY));
	SHOW(sys(open, P("sizes/s3145745"), O_RDONLY));
	SHOW(sys(close, 4));
	SHOW(sys(open, P("made"), O_WRONLY | O_CREAT, 0600));
	SHOW(sys(dup, 4));
	SHOW(sys(fcntl, 4, F_DUPFD, 20));
	SHOW(sys(fcntl, 5, F_DUPFD_CLOEXEC, 20));
	SHOW(sys(close, 3));
	SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	printf("sockets %d %d\n", s[0], s[1]);
	SHOW(sys(open, P("lines.txt"), O_PATH));
	SHOW(sys(chdir, P("dir")));
	SHOW(sys(open, "file", O_RDONLY));
}

static void replaced(void)
{
	char buf[8];

	section("replaced");
	SHOW(sys(dup2, 7, 0));
	show_data("stdin", buf, SHOW(sys(read, 0, buf, 5)));
	SHOW(sys(dup2, 4, 300));
	SHOW(sys(write, 300, "three hundred", 13));
	SHOW(sys(dup3, 300, 5, O_CLOEXEC));
	SHOW(sys(write, 5, "!", 1));
	SHOW(sys(close_range, 3, ~0u, 0));
	SHOW(sys(write, 300, "!", 1));
	show_file("made");
	SHOW(sys(open, P("lines.txt"), O_RDWR));
}

static void limited(void)
{
	struct rlimit r = { 6, 10 };

	section("RLIMIT_NOFILE");
	show_limit("at first");
	SHOW(setrlimit(RLIMIT_NOFILE, &r));
	show_limit("lowered");
	SHOW(sys(open, P("lines.txt"), O_RDWR));
	SHOW(sys(open, P("lines.txt"), O_RDWR));
	SHOW(sys(open, P("lines.txt"), O_RDWR));
	SHOW(sys(dup, 3));
	SHOW(sys(dup2, 3, 6));
	SHOW(sys(fcntl, 3, F_DUPFD, 6));
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	sys(close_range, 3, ~0u, 0);
	in_turn();
	replaced();
	limited();
	return 0;
}
