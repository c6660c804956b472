/* O_PATH descriptors: good for naming a place and nothing else. */
#include "guest.h"

static void of(const char *name, int extra)
{
	static char buf[64];
	struct iovec iov = { buf, 8 };
	int fd = SHOWFD(sys(open, P(name), O_PATH | extra)), copy;

	section("%s %o", name, extra);
	if (fd < 0)
		return;
	printf("getfl %o getfd %d\n", fcntl(fd, F_GETFL) & ~0100000, fcntl(fd, F_GETFD));
	stat_fd("fstat", fd);
	SHOW(sys(read, fd, buf, 8));
	SHOW(sys(write, fd, buf, 8));
	SHOW(sys(pread64, fd, buf, 8, 0));
	SHOW(sys(readv, fd, &iov, 1));
	SHOW(sys(read, fd, BAD_KERNEL, 8));
	SHOW(sys(pread64, fd, BAD_KERNEL, 8, 0));
	SHOW(sys(writev, fd, BAD_KERNEL, 1));
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	SHOW(sys(getdents64, fd, buf, 64));
	SHOW(sys(ftruncate, fd, 0));
	SHOW(sys(fsync, fd));
	SHOW(sys(fchdir, fd));
	SHOW(sys(fcntl, fd, F_SETFL, O_APPEND));
	SHOW(sys(fcntl, fd, F_SETFD, 1));
	SHOW(sys(mmap, NULL, 8, PROT_READ, MAP_PRIVATE, fd, 0));
	SHOW(sys(mmap, NULL, 8, PROT_READ, MAP_PRIVATE, fd, 1));
	close(SHOWFD(sys(openat, fd, "one", O_RDONLY)));
	close(SHOWFD(sys(openat, fd, "../hello.txt", O_RDONLY)));
	close(SHOWFD(sys(openat, fd, "", O_RDONLY)));
	SHOW(sys(dup2, fd, 72));
	SHOW(sys(fcntl, 72, F_SETFL, O_APPEND));
	SHOW(sys(close, 72));
	copy = SHOWFD(sys(dup, fd));
	stat_fd("copy", copy);
	SHOW(sys(unlink, P("hello.txt")));
	stat_fd("after unlink", fd);
	SHOW(sys(close, fd));
	SHOW(sys(close, fd));
	stat_fd("copy", copy);
	SHOW(sys(close, copy));
	SHOW(chdir("/"));
}

/* Of a link itself no path leads on, whatever its text is. */
static void of_magic_link(const char *link)
{
	int fd = SHOWFD(sys(open, link, O_PATH | O_NOFOLLOW));
	struct stat st;

	close(SHOWFD(sys(openat, fd, "hello.txt", O_RDONLY)));
	SHOW(sys(newfstatat, fd, "nowhere", &st, 0));
	SHOW(sys(newfstatat, fd, "", &st, AT_EMPTY_PATH));
	SHOW(S_ISLNK(st.st_mode));
	close(fd);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	of("dir", 0);
	of("dir", O_DIRECTORY | O_CLOEXEC);
	of("links/rel", O_NOFOLLOW);
	of("links/dirlink", 0);
	of("links/dirlink", O_NOFOLLOW);
	of("links/dangling", O_NOFOLLOW);
	of("links/dangling", 0);
	of("modes/m0000", 0);
	of("modes/d0000", 0);
	of("ro", O_RDWR | O_CREAT | O_TRUNC);
	of("new", O_CREAT);
	of("ro", O_DIRECTORY);
	SHOW(chdir(P("dir")));
	of_magic_link("/proc/self/cwd");
	of_magic_link("/proc/self/fd/0");
	return 0;
}
