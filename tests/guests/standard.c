/*
 * Standard descriptors that were closed to have the next open or dup give their numbers, as GNU tar and a Perl script
 * that closes STDOUT do. Here the numbers themselves are printed.
 */
#include "guest.h"

/* What a child of the shell, which knows nothing of us, does with the descriptors it inherits. */
static void run(const char *command)
{
	pid_t child = fork();

	if (!child) {
		execl("/bin/sh", "sh", "-c", command, (char *)0);
		_exit(127);
	}
	waitpid(child, NULL, 0);
}

/* FD closed while HOW is done; what it gave is used, and the old one put back. */
static void instead(int fd, const char *what, int (*how)(void))
{
	int kept = fcntl(fd, F_DUPFD_CLOEXEC, 100);

	section("%d: %s", fd, what);
	fflush(stdout);
	close(fd);
	int got = how();
	if (fd == 0)
		run("cksum >&2");
	else
		run(fd == 1 ? "echo said" : "echo said >&2");
	sys(write, got, "own\n", 4);
	dup2(kept, fd);
	close(kept);
	if (got > 2)
		close(got);
	printf("got %d\n", got);
	show_file("standard");
}

static int open_write(void)
{
	return (int)sys(open, P("standard"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
}

static int open_append(void)
{
	return (int)sys(openat, AT_FDCWD, P("standard"), O_RDWR | O_APPEND);
}

static int open_large(void)
{
	return (int)sys(open, P("sizes/s3145745"), O_RDONLY);
}

static int open_dir(void)
{
	return (int)sys(open, P("dir"), O_RDONLY | O_DIRECTORY);
}

static int kept_open;

static int dup_it(void)
{
	return (int)sys(dup, kept_open);
}

static int fcntl_it(void)
{
	return (int)sys(fcntl, kept_open, F_DUPFD, 1);
}

static int fcntl_above(void)
{
	int got = (int)sys(fcntl, kept_open, F_DUPFD, 3);

	return got > 2 ? 1000 + dup2(got, 2) : got;
}

/* tar's way: the copy must get the number, and the file's position goes on. */
static void copies(void)
{
	kept_open = (int)sys(creat, P("standard"), 0600);
	sys(write, kept_open, "begun ", 6);
	instead(1, "dup", dup_it);
	instead(2, "dup", dup_it);
	instead(1, "F_DUPFD", fcntl_it);
	instead(2, "F_DUPFD above", fcntl_above);
	SHOW(sys(lseek, kept_open, 0, SEEK_CUR));
	SHOW(sys(close, kept_open));
}

/* All three closed, then one after another opened: a daemon's beginning. */
static void daemon_like(void)
{
	int kept[3], got[4];

	section("all three");
	fflush(stdout);
	for (int fd = 0; fd < 3; fd++)
		kept[fd] = fcntl(fd, F_DUPFD, 100);
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	got[0] = (int)sys(open, P("hello.txt"), O_RDONLY);
	got[1] = (int)sys(open, P("log"), O_WRONLY | O_CREAT | O_APPEND, 0644);
	got[2] = (int)sys(dup, got[1]);
	got[3] = (int)sys(openat, AT_FDCWD, P("lines.txt"), O_RDWR);
	run("cat; echo error >&2");
	for (int fd = 0; fd < 3; fd++)
		dup2(kept[fd], fd);
	printf("got %d %d %d, and another above: %d\n", got[0], got[1], got[2], got[3] > 2);
	show_file("log");
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	instead(1, "open to write", open_write);
	instead(2, "open to append", open_append);
	instead(0, "a large file", open_large);
	instead(0, "a directory", open_dir);
	copies();
	daemon_like();
	return 0;
}
