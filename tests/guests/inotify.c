/* inotify: what is told of the names in a directory, of a file and of a directory itself, in order, once. */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "inotify.h"

#define NAMES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)

static void written_in_directory(int in)
{
	int fd;

	SHOW(sys(inotify_add_watch, in, P("w"), NAMES));
	SHOW(sys(inotify_add_watch, in, P("w2"), NAMES));
	SHOW(sys(inotify_add_watch, in, P("w/."), NAMES));
	drain("nothing", in);
	fd = make_file("w/a", "text");
	drain("made and written", in);
	SHOW(sys(write, fd, "more", 4));
	SHOW(sys(write, fd, "more", 4));
	drain("written twice", in);
	SHOW(sys(write, fd, "more", 4));
	drain("written again", in);
	SHOW(sys(pwrite64, fd, "M", 1, 2));
	SHOW(sys(ftruncate, fd, 5));
	drain("truncated", in);
	SHOW(sys(fchmod, fd, 0600));
	SHOW(sys(chmod, P("w/a"), 0640));
	drain("mode", in);
	SHOW(sys(utimensat, AT_FDCWD, P("w/a"), NULL, 0));
	drain("times", in);
	close(fd);
	SHOW(sys(truncate, P("w/a"), 2));
	drain("truncate", in);
}

static void renamed_in_directory(int in)
{
	SHOW(sys(mkdir, P("w/d"), 0700));
	SHOW(sys(mknod, P("w/fifo"), S_IFIFO | 0600, 0));
	SHOW(sys(symlink, "a", P("w/sym")));
	SHOW(sys(link, P("w/a"), P("w/hard")));
	drain("mkdir, mknod, symlink, link", in);
	SHOW(sys(rename, P("w/a"), P("w/b")));
	drain("rename within", in);
	SHOW(sys(rename, P("w/b"), P("w2/b")));
	SHOW(sys(rename, P("w/d"), P("w2/dir")));
	drain("rename across", in);
	SHOW(sys(rename, P("w2/b"), P("out")));
	drain("rename out", in);
	SHOW(sys(rename, P("out"), P("w/hard2")));
	drain("rename in", in);
	close(make_file("w/x", ""));
	close(make_file("w2/y", ""));
	drain("two files", in);
	SHOW(syscall(SYS_renameat2, AT_FDCWD, P("w/x"), AT_FDCWD, P("w2/y"), 2));
	drain("exchange", in);
	SHOW(sys(rename, P("w/x"), P("w2/y")));
	drain("rename over", in);
}

static void removed_with_directory(int in)
{
	SHOW(sys(unlink, P("w/hard")));
	SHOW(sys(unlink, P("w/hard2")));
	SHOW(sys(unlink, P("w/sym")));
	SHOW(sys(unlink, P("w/fifo")));
	SHOW(sys(unlink, P("w2/y")));
	SHOW(sys(rmdir, P("w2/dir")));
	drain("removed", in);
	SHOW(sys(rename, P("w"), P("w3")));
	drain("moved itself", in);
	close(make_file("w3/after", "x"));
	drain("still watched", in);
	SHOW(sys(unlink, P("w3/after")));
	SHOW(sys(rmdir, P("w3")));
	drain("gone", in);
	SHOW(sys(inotify_rm_watch, in, 1));
	SHOW(sys(inotify_rm_watch, in, 2));
	SHOW(sys(inotify_rm_watch, in, 2));
	drain("removed watch", in);
	SHOW(sys(inotify_add_watch, in, P("w2"), NAMES));
	close(make_file("w2/z", ""));
	drain("a new number", in);
	sys(unlink, P("w2/z"));
}

static void names_in_directory(void)
{
	int in = sys(inotify_init1, IN_NONBLOCK | IN_CLOEXEC);

	section("names in a directory");
	sys(mkdir, P("w"), 0755);
	sys(mkdir, P("w2"), 0755);
	written_in_directory(in);
	renamed_in_directory(in);
	removed_with_directory(in);
	close(in);
}

static void one_file(void)
{
	int in = sys(inotify_init1, IN_NONBLOCK), fd = make_file("f", "text"), other;

	section("a file");
	SHOW(sys(inotify_add_watch, in, P("f"), NAMES));
	sys(symlink, "f", P("lf"));
	SHOW(sys(inotify_add_watch, in, P("lf"), NAMES));
	SHOW(sys(inotify_add_watch, in, P("lf"), NAMES | IN_DONT_FOLLOW));
	SHOW(sys(inotify_add_watch, in, P("hello.txt"), NAMES));
	SHOW(sys(inotify_add_watch, in, P("."), NAMES));
	SHOW(sys(write, fd, "x", 1));
	drain("written", in);
	SHOW(sys(link, P("f"), P("f2")));
	SHOW(sys(unlink, P("f")));
	drain("another name", in);
	SHOW(sys(rename, P("f2"), P("f3")));
	drain("renamed", in);
	SHOW(sys(rename, P("hello.txt"), P("f3")));
	drain("replaced while open", in);
	close(fd);
	drain("closed", in);
	SHOW(sys(unlink, P("lf")));
	drain("link removed", in);
	SHOW(sys(unlink, P("f3")));
	drain("file removed", in);
	fd = make_file("g", "");
	SHOW(sys(inotify_add_watch, in, P("g"), IN_ATTRIB));
	other = sys(dup, fd);
	SHOW(sys(unlink, P("g")));
	drain("removed, open", in);
	close(fd);
	close(other);
	close(in);
}

static void flags(void)
{
	int in = sys(inotify_init1, IN_NONBLOCK), fd;

	section("flags");
	sys(mkdir, P("w"), 0755);
	SHOW(sys(inotify_add_watch, in, P("w"), IN_CREATE));
	SHOW(sys(inotify_add_watch, in, P("w"), IN_CREATE | IN_MASK_CREATE));
	SHOW(sys(inotify_add_watch, in, P("w"), IN_DELETE | IN_MASK_ADD));
	close(make_file("w/a", "a"));
	sys(unlink, P("w/a"));
	drain("create and delete", in);
	SHOW(sys(inotify_add_watch, in, P("w"), IN_MODIFY));
	close(make_file("w/a", "a"));
	drain("modify only", in);
	SHOW(sys(inotify_add_watch, in, P("w/a"), IN_MODIFY | IN_ONLYDIR));
	SHOW(sys(inotify_add_watch, in, P("w"), IN_MODIFY | IN_ONLYDIR));
	SHOW(sys(inotify_add_watch, in, P("w"), IN_MODIFY | IN_ATTRIB | IN_ONESHOT));
	sys(chmod, P("w/a"), 0600);
	sys(chmod, P("w/a"), 0644);
	drain("once", in);
	SHOW(sys(inotify_rm_watch, in, 1));
	SHOW(sys(inotify_add_watch, in, P("w"), IN_ATTRIB | IN_ONESHOT | IN_MASK_CREATE));
	sys(chmod, P("w"), 0700);
	sys(chmod, P("w"), 0755);
	drain("once, itself", in);
	SHOW(sys(inotify_add_watch, in, P("w"), IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_MASK_CREATE));
	SHOW(sys(inotify_add_watch, in, P("w"), IN_MODIFY | IN_EXCL_UNLINK));
	fd = sys(open, P("w/a"), O_RDWR);
	SHOW(sys(write, fd, "b", 1));
	sys(unlink, P("w/a"));
	SHOW(sys(write, fd, "b", 1));
	drain("excluded when unlinked", in);
	SHOW(sys(inotify_add_watch, in, P("w"), IN_MODIFY));
	SHOW(sys(write, fd, "b", 1));
	drain("not excluded", in);
	close(fd);
	close(in);
	sys(rmdir, P("w"));
}

static void errors(void)
{
	int in = sys(inotify_init1, IN_NONBLOCK), file = sys(open, P("lines.txt"), O_RDONLY);
	char buf[20], link[PATH_MAX];

	section("errors");
	SHOW(sys(inotify_init1, 1));
	close(SHOWFD(sys(inotify_init)));
	SHOW(sys(inotify_add_watch, in, P("none"), NAMES));
	SHOW(sys(inotify_add_watch, in, P("lines.txt/x"), NAMES));
	SHOW(sys(inotify_add_watch, in, P("lines.txt/"), NAMES));
	SHOW(sys(inotify_add_watch, in, P(""), 0));
	SHOW(sys(inotify_add_watch, in, P(""), 0x08000000));
	SHOW(sys(inotify_add_watch, in, P(""), IN_CREATE | IN_MASK_ADD | IN_MASK_CREATE));
	SHOW(sys(inotify_add_watch, in, P("none"), 0));
	SHOW(sys(inotify_add_watch, in, P(""), IN_ONLYDIR));
	SHOW(sys(inotify_add_watch, in, "", NAMES));
	SHOW(sys(inotify_add_watch, in, BAD_LOW, NAMES));
	SHOW(sys(inotify_add_watch, in, BAD_LOW, 0));
	SHOW(sys(inotify_add_watch, -1, P(""), NAMES));
	SHOW(sys(inotify_add_watch, -1, P("none"), NAMES));
	SHOW(sys(inotify_add_watch, -1, P("none"), 0));
	SHOW(sys(inotify_add_watch, file, P(""), NAMES));
	SHOW(sys(inotify_add_watch, 1, P(""), NAMES));
	SHOW(sys(inotify_rm_watch, -1, 1));
	SHOW(sys(inotify_rm_watch, file, 1));
	SHOW(sys(inotify_rm_watch, 1, 1));
	SHOW(sys(inotify_rm_watch, in, 1));
	SHOW(sys(inotify_rm_watch, in, 0));
	SHOW(sys(inotify_rm_watch, in, -1));
	SHOW(sys(inotify_add_watch, in, P("private"), NAMES));
	sys(symlink, "loop", P("loop"));
	SHOW(sys(inotify_add_watch, in, P("loop"), NAMES));
	SHOW(sys(inotify_add_watch, in, P("loop"), NAMES | IN_DONT_FOLLOW));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	SHOW(sys(inotify_add_watch, in, link, NAMES));
	sys(chmod, P("lines.txt"), 0600);
	drain("by descriptor", in);
	sys(chmod, P("lines.txt"), 0000);
	SHOW(sys(read, in, buf, 15));
	SHOW(sys(read, in, buf, 16));
	SHOW(sys(read, in, buf, 16));
	sys(mkdir, P("w"), 0755);
	SHOW(sys(inotify_add_watch, in, P("w"), NAMES));
	close(make_file("w/n", ""));
	SHOW(sys(read, in, buf, 16));
	SHOW(sys(read, in, BAD_LOW, 4096));
	SHOW(sys(read, in, buf, 0));
	SHOW(sys(write, in, "x", 1));
	SHOW(sys(lseek, in, 0, SEEK_SET));
	drain("the rest", in);
	sys(unlink, P("w/n"));
	sys(unlink, P("loop"));
	sys(rmdir, P("w"));
	close(in);
}

/* Many names, and two in one read(2) of a small buffer. */
static void lengths(void)
{
	int in = sys(inotify_init1, IN_NONBLOCK);
	char name[300], buf[64];
	static const int sizes[] = { 1, 15, 16, 17, 31, 32, 100, 255 };

	section("lengths");
	sys(mkdir, P("w"), 0755);
	SHOW(sys(inotify_add_watch, in, P("w"), IN_CREATE | IN_DELETE));
	for (size_t i = 0; i < COUNT(sizes); i++) {
		snprintf(name, sizeof(name), "w/%0*d", sizes[i], (int)i);
		close(make_file(name, ""));
	}
	SHOW(sys(read, in, buf, sizeof(buf)));
	drain("created", in);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		snprintf(name, sizeof(name), "w/%0*d", sizes[i], (int)i);
		sys(unlink, P(name));
	}
	drain("deleted", in);
	close(make_file("w/\xff\xfe line\n", ""));
	sys(unlink, P("w/\xff\xfe line\n"));
	drain("bytes", in);
	sys(rmdir, P("w"));
	drain("itself", in);
	close(in);
}

/* A local and a remote watch on one instance, in the order of what happened. */
static void mixed(void)
{
	int in = sys(inotify_init1, IN_NONBLOCK), remote = -1;
	char here[] = "/dev/shm/rfs-guest-XXXXXX", name[64];

	section("local and remote");
	sys(mkdir, P("w"), 0755);
	if (!mkdtemp(here))
		return;
	SHOW(sys(inotify_add_watch, in, P("w"), NAMES));
	printf("local: %ld\n", sys(inotify_add_watch, in, here, NAMES));
	SHOW(sys(inotify_add_watch, in, P("."), IN_DELETE));
	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "%s/%d", here, i);
		close(sys(open, name, O_CREAT | O_WRONLY, 0600));
		snprintf(name, sizeof(name), "w/r%d", i);
		remote = make_file(name, "");
		SHOW(sys(unlink, P(name)));
		snprintf(name, sizeof(name), "%s/%d", here, i);
		unlink(name);
		close(remote);
	}
	drain("both", in);
	SHOW(sys(inotify_rm_watch, in, 2));
	SHOW(sys(inotify_rm_watch, in, 1));
	rmdir(here);
	sys(rmdir, P("w"));
	drain("removed", in);
	close(in);
}

static void waiting(void)
{
	int in = sys(inotify_init1, 0), ep = sys(epoll_create1, 0), status = 0;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u32 = 7 };
	struct pollfd p = { .fd = in, .events = POLLIN };
	char buf[512];
	fd_set set;
	pid_t pid;

	section("waiting");
	sys(mkdir, P("w"), 0755);
	SHOW(sys(inotify_add_watch, in, P("w"), IN_CREATE | IN_DELETE | IN_MOVED_TO));
	SHOW(sys(epoll_ctl, ep, EPOLL_CTL_ADD, in, &ev));
	SHOW(sys(epoll_wait, ep, &ev, 1, 0));
	SHOW(sys(poll, &p, 1, 0));
	pid = fork_clean();
	if (!pid) {
		usleep(100000);
		close(make_file("w/a", ""));
		usleep(100000);
		close(make_file("w/b", ""));
		usleep(100000);
		sys(rename, P("w/b"), P("w/c"));
		_exit(0);
	}
	SHOW(sys(read, in, buf, sizeof(buf)));
	show_event((struct inotify_event *)buf);
	SHOW(sys(poll, &p, 1, 5000));
	SHOW(sys(read, in, buf, sizeof(buf)));
	show_event((struct inotify_event *)buf);
	FD_ZERO(&set);
	FD_SET(in, &set);
	SHOW(sys(select, in + 1, &set, NULL, NULL, NULL));
	SHOW(sys(epoll_wait, ep, &ev, 1, 5000));
	SHOW(sys(read, in, buf, sizeof(buf)));
	show_event((struct inotify_event *)buf);
	waitpid(pid, &status, 0);
	SHOW(sys(fcntl, in, F_SETFL, O_NONBLOCK));
	SHOW(sys(epoll_wait, ep, &ev, 1, 0));
	sys(unlink, P("w/a"));
	SHOW(sys(epoll_wait, ep, &ev, 1, 0));
	SHOW(sys(epoll_wait, ep, &ev, 1, 0));
	sys(unlink, P("w/c"));
	SHOW(sys(epoll_wait, ep, &ev, 1, 0));
	drain("deleted", in);
	sys(rmdir, P("w"));
	close(ep);
	close(in);
}

/* The instance is the kernel's: copies of the descriptor, children and an exec'ed program share it. */
static void shared(void)
{
	int in = sys(inotify_init1, IN_NONBLOCK), copy = sys(dup, in), low;
	pid_t pid;

	section("shared");
	sys(mkdir, P("w"), 0755);
	SHOW(sys(inotify_add_watch, in, P("w"), IN_CREATE | IN_DELETE));
	SHOW(sys(inotify_add_watch, copy, P("w"), IN_CREATE | IN_DELETE));
	low = sys(dup2, in, 0);
	close(in);
	close(make_file("w/a", ""));
	drain("a copy", copy);
	pid = fork_clean();
	if (!pid) {
		SHOW(sys(inotify_add_watch, low, P("."), IN_CREATE));
		close(copy);
		close(make_file("w/b", ""));
		drain("in the child", low);
		close(make_file("w/c", ""));
		_exit(0);
	}
	wait_child("child", pid);
	close(make_file("top", ""));
	drain("in the parent", copy);
	close(low);
	close(copy);
	copy = sys(inotify_init1, IN_NONBLOCK);
	SHOW(sys(inotify_add_watch, copy, P("w"), IN_DELETE | IN_MASK_CREATE));
	sys(unlink, P("w/a"));
	sys(unlink, P("w/b"));
	sys(unlink, P("w/c"));
	drain("another instance", copy);
	close(copy);
	sys(unlink, P("top"));
	sys(rmdir, P("w"));
}

/* More than a user may have, one after the other. */
static void many_instances(void)
{
	int wrong = 0;

	section("many instances");
	sys(mkdir, P("w"), 0755);
	for (int i = 0; i < 300; i++) {
		int in = sys(inotify_init1, IN_NONBLOCK);

		if (sys(inotify_add_watch, in, P("w"), IN_CREATE) != 1 && !wrong++)
			printf("%d: %s\n", i, err_name(errno));
		close(in);
	}
	printf("%d wrong\n", wrong);
	sys(rmdir, P("w"));
}

/* As kubelet brings a ConfigMap up to date: a new directory, and a link that is moved onto the old one. */
static void config_map(void)
{
	int in = sys(inotify_init1, IN_NONBLOCK);

	section("..data");
	sys(mkdir, P("cm"), 0755);
	sys(mkdir, P("cm/..1"), 0755);
	close(make_file("cm/..1/key", "old"));
	sys(symlink, "..1", P("cm/..data"));
	sys(symlink, "..data/key", P("cm/key"));
	SHOW(sys(inotify_add_watch, in, P("cm"), NAMES));
	SHOW(sys(inotify_add_watch, in, P("cm/key"), NAMES));
	SHOW(sys(inotify_add_watch, in, P("cm/..data"), NAMES));
	sys(mkdir, P("cm/..2"), 0755);
	close(make_file("cm/..2/key", "new"));
	sys(symlink, "..2", P("cm/..data_tmp"));
	SHOW(sys(rename, P("cm/..data_tmp"), P("cm/..data")));
	sys(unlink, P("cm/..1/key"));
	sys(rmdir, P("cm/..1"));
	drain("updated", in);
	show_file("cm/key");
	SHOW(sys(inotify_add_watch, in, P("cm/key"), NAMES));
	close(in);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	names_in_directory();
	one_file();
	flags();
	errors();
	lengths();
	mixed();
	waiting();
	shared();
	many_instances();
	config_map();
	return 0;
}
