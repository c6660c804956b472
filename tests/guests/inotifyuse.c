/* inotify: what is told of files that are used, not changed: opened, read, closed. */
#include "inotify.h"

static void files(int in)
{
	char buf[64];
	int fd, copy;

	section("a file");
	fd = sys(open, P("w/a"), O_RDONLY);
	drain("opened", in);
	SHOW(sys(read, fd, buf, 3));
	drain("read", in);
	SHOW(sys(read, fd, buf, 3));
	SHOW(sys(read, fd, buf, 60));
	drain("read on", in);
	SHOW(sys(read, fd, buf, 60));
	drain("at its end", in);
	SHOW(sys(pread64, fd, buf, 2, 0));
	drain("read again", in);
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	drain("seek", in);
	copy = sys(dup, fd);
	SHOW(sys(close, fd));
	drain("one closed", in);
	SHOW(sys(close, copy));
	drain("closed", in);
	fd = sys(open, P("w/a"), O_RDWR);
	SHOW(sys(read, fd, buf, 3));
	SHOW(sys(write, fd, "xyz", 3));
	SHOW(sys(close, fd));
	drain("changed", in);
	fd = sys(open, P("w/a"), O_WRONLY);
	SHOW(sys(close, fd));
	drain("not changed", in);
	fd = sys(open, P("w/new"), O_CREAT | O_EXCL | O_WRONLY, 0600);
	drain("made", in);
	SHOW(sys(write, fd, "1", 1));
	SHOW(sys(close, fd));
	drain("written", in);
	fd = sys(open, P("w/new"), O_WRONLY | O_TRUNC);
	drain("emptied", in);
	SHOW(sys(close, fd));
	fd = sys(open, P("w/new"), O_RDONLY);
	SHOW(sys(read, fd, buf, 1));
	SHOW(sys(close, fd));
	drain("read while empty", in);
	fd = sys(open, P("w/new"), O_PATH);
	SHOW(sys(close, fd));
	drain("O_PATH", in);
	SHOW(sys(unlink, P("w/new")));
	SHOW(sys(open, P("w/new"), O_RDONLY));
	SHOW(sys(access, P("w/a"), R_OK));
	stat_path("w/a");
	drain("looked at", in);
}

static void children(int in)
{
	int fd = sys(open, P("w/a"), O_RDONLY), status;
	char buf[8];
	pid_t pid;

	section("children");
	drain("opened", in);
	pid = fork_clean();
	if (!pid) {
		sys(read, fd, buf, 2);
		sys(close, fd);
		drain("closed in the child", in);
		_exit(0);
	}
	wait_child("child", pid);
	SHOW(sys(close, fd));
	drain("closed", in);
	pid = fork_clean();
	if (!pid) {
		fd = sys(open, P("w/b"), O_CREAT | O_WRONLY, 0600);
		sys(write, fd, "b", 1);
		sys(close, fd);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		;
	drain("a child's file", in);
	SHOW(sys(unlink, P("w/b")));
	drain("removed", in);
}

static void directories(int in)
{
	char buf[4096];
	int fd = sys(open, P("w/d"), O_RDONLY | O_DIRECTORY);

	section("a directory");
	drain("opened", in);
	while (sys(getdents64, fd, buf, sizeof(buf)) > 0)
		;
	drain("listed", in);
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	while (sys(getdents64, fd, buf, sizeof(buf)) > 0)
		;
	drain("listed again", in);
	SHOW(sys(close, fd));
	drain("closed", in);
	fd = sys(open, P("w"), O_RDONLY);
	SHOW(sys(getdents64, fd, buf, sizeof(buf)) > 0);
	SHOW(sys(close, fd));
	drain("itself", in);
}

static void one_bit(uint32_t mask)
{
	int in = sys(inotify_init1, IN_NONBLOCK), fd;
	char buf[8];

	section("only %x", mask);
	SHOW(sys(inotify_add_watch, in, P("w/a"), mask));
	SHOW(sys(inotify_add_watch, in, P("w"), mask));
	fd = sys(open, P("w/a"), O_RDWR);
	sys(read, fd, buf, 1);
	sys(write, fd, "z", 1);
	sys(close, fd);
	fd = sys(open, P("w/a"), O_RDONLY);
	sys(read, fd, buf, 1);
	sys(close, fd);
	drain("used", in);
	close(in);
}

int main(int argc, char **argv)
{
	static const uint32_t masks[] = { IN_ACCESS, IN_CLOSE_WRITE, IN_CLOSE_NOWRITE, IN_OPEN, IN_MODIFY };
	int in;

	guest_init(argc, argv);
	sys(mkdir, P("w"), 0755);
	sys(mkdir, P("w/d"), 0755);
	close(make_file("w/d/inside", ""));
	close(make_file("w/a", "some text"));
	in = sys(inotify_init1, IN_NONBLOCK);
	SHOW(sys(inotify_add_watch, in, P("w"), IN_ALL_EVENTS));
	files(in);
	children(in);
	directories(in);
	SHOW(sys(inotify_rm_watch, in, 1));
	SHOW(sys(inotify_add_watch, in, P("w/a"), IN_ALL_EVENTS));
	SHOW(sys(inotify_add_watch, in, P("w/d"), IN_ALL_EVENTS));
	files(in);
	directories(in);
	close(in);
	for (size_t i = 0; i < COUNT(masks); i++)
		one_bit(masks[i]);
	return 0;
}
