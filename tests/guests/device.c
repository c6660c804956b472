/* Character devices in the tree, where the user may make some: null, zero, full, random, urandom. */
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/sysmacros.h>

#include "guest.h"

static char buf[3 << 20];

static const char *make(const char *name, unsigned ma, unsigned mi, mode_t type)
{
	SHOW(sys(mknod, P(name), type | 0666, makedev(ma, mi)));
	return name;
}

static bool all(const char *p, size_t n, char c)
{
	while (n && *p == c) {
		p++;
		n--;
	}
	return !n;
}

/* With pipes and files; what is random stays unseen. */
static void splices(int fd)
{
	int file = sys(open, P("hello.txt"), O_RDWR), p[2];
	struct iovec v = { buf, 3 };
	off_t at = 3;

	if (pipe2(p, O_NONBLOCK) < 0)
		return;
	SHOW(sys(splice, fd, NULL, p[1], NULL, 100, 0));
	SHOW(sys(read, p[0], buf, sizeof(buf)));
	SHOW(sys(write, p[1], "hello", 5));
	SHOW(sys(splice, p[0], NULL, fd, NULL, 3, 0));
	SHOW(sys(read, p[0], buf, sizeof(buf)));
	SHOW(sys(sendfile, p[1], fd, NULL, 100));
	SHOW(sys(read, p[0], buf, sizeof(buf)));
	SHOW(sys(sendfile, fd, file, NULL, 3));
	SHOW(sys(sendfile, fd, file, &at, 3));
	SHOW(sys(sendfile, fd, -1, NULL, 3));
	SHOW(sys(splice, fd, NULL, file, NULL, 3, 0));
	SHOW(sys(splice, fd, NULL, -1, NULL, 3, 0));
	SHOW(sys(tee, fd, p[1], 3, 0));
	SHOW(sys(vmsplice, fd, &v, 1, 0));
	SHOW(sys(copy_file_range, fd, NULL, file, NULL, 3, 0));
	close(file);
	close(p[0]);
	close(p[1]);
}

/* Locks of a device are those of its node. */
static void locks(const char *name)
{
	struct flock l = { .l_type = F_RDLCK };
	int fd = SHOWFD(sys(open, P(name), O_RDWR)), other = SHOWFD(sys(open, P(name), O_RDWR));

	SHOW(sys(fcntl, fd, F_GETLK, &l));
	printf("%d %ld %ld %d\n", l.l_type, (long)l.l_start, (long)l.l_len, (int)l.l_pid);
	l = (struct flock){ .l_type = F_WRLCK, .l_start = 10 };
	SHOW(sys(fcntl, fd, F_OFD_SETLK, &l));
	SHOW(sys(fcntl, other, F_OFD_SETLK, &l));
	l.l_start = 0;
	SHOW(sys(fcntl, other, F_OFD_GETLK, &l));
	printf("%d %ld %ld %d\n", l.l_type, (long)l.l_start, (long)l.l_len, (int)l.l_pid);
	l = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_END, .l_len = 5 };
	SHOW(sys(fcntl, other, F_SETLK, &l));
	SHOW(sys(flock, fd, LOCK_EX | LOCK_NB));
	SHOW(sys(flock, other, LOCK_SH | LOCK_NB));
	close(fd);
	SHOW(sys(flock, other, LOCK_SH | LOCK_NB));
	close(other);
}

static void try(const char *name, int flags)
{
	struct iovec v[2] = { { buf, 10 }, { buf + 100, 20 } };
	int fd;
	long n;

	section("%s %o", name, flags);
	fd = SHOWFD(sys(open, P(name), flags));
	if (fd < 0)
		return;
	stat_fd("open", fd);
	memset(buf, 'x', sizeof(buf));
	n = SHOW(sys(read, fd, buf, 100));
	printf("zeros: %d, as it was: %d\n", n > 0 && all(buf, (size_t)n, 0), all(buf, 100, 'x'));
	n = SHOW(sys(read, fd, buf, sizeof(buf)));
	printf("zeros: %d\n", n > 0 && all(buf, (size_t)n, 0));
	SHOW(sys(readv, fd, v, 2));
	SHOW(sys(pread64, fd, buf, 50, 1L << 40));
	SHOW(sys(pread64, fd, buf, 50, -1L));
	SHOW(sys(read, fd, buf, 0));
	SHOW(sys(read, fd, BAD_LOW, 0));
	SHOW(sys(write, fd, "hello", 5));
	SHOW(sys(write, fd, buf, sizeof(buf)));
	SHOW(sys(writev, fd, v, 2));
	SHOW(sys(pwrite64, fd, "hello", 5, 1L << 40));
	SHOW(sys(write, fd, buf, 0));
	SHOW(sys(lseek, fd, 100, SEEK_SET));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	SHOW(sys(lseek, fd, 0, SEEK_END));
	SHOW(sys(lseek, fd, -5, SEEK_SET));
	SHOW(sys(lseek, fd, 0, 17));
	SHOW(sys(ftruncate, fd, 0));
	SHOW(sys(fsync, fd));
	SHOW(sys(ioctl, fd, 0x5401, buf));
	SHOW(sys(ioctl, fd, FIONREAD, buf));
	SHOW(sys(fallocate, fd, 3, 0, 100));
	SHOW(sys(fallocate, fd, 0, 0, 0));
	SHOW(sys(fallocate, fd, 0x4000, 0, 100));
	SHOW(sys(mmap, NULL, 8192, PROT_READ, MAP_SHARED, fd, -4096L));
	SHOW(sys(mmap, NULL, 1, PROT_READ, MAP_SHARED, fd, -4096L));
	SHOW(sys(readahead, fd, 0, 100));
	SHOW(sys(sync_file_range, fd, 0, 100, 0));
	SHOW(sys(fadvise64, fd, 0, 100, 100));
	SHOW(sys(pwritev2, fd, v, 2, -1, 0x4000));
	SHOW(sys(pwritev2, fd, v, 2, -1, 0x8));
	SHOW(sys(preadv2, fd, v, 2, -1, 0x4000) < 0);
	SHOW(sys(preadv2, fd, v, 0, -1, 0x4000));
	splices(fd);
	SHOW(sys(getdents64, fd, buf, 100));
	SHOW(sys(fcntl, fd, F_GETFL) & ~O_LARGEFILE);
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; unsigned minor; } served[] = { { "null", 3 }, { "zero", 5 }, { "full", 7 }, { "random", 8 }, { "urandom", 9 } };
	int fd, low;

	guest_init(argc, argv);
	for (size_t i = 0; i < COUNT(served); i++) {
		make(served[i].name, 1, served[i].minor, S_IFCHR);
		try(served[i].name, O_RDWR);
		try(served[i].name, O_RDONLY);
		try(served[i].name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND);
	}
	section("others");
	/* Numbers that no driver has: natively the same as what is not served. */
	make("c250", 250, 77, S_IFCHR);
	try("c250", O_RDONLY);
	make("b250", 250, 77, S_IFBLK);
	try("b250", O_RDONLY);
	try("null", O_PATH);
	locks("null");
	section("low numbers");
	fd = SHOWFD(sys(open, P("null"), O_RDWR));
	low = dup2(fd, 77);
	close(fd);
	SHOW(sys(write, low, "gone", 4));
	SHOW(sys(read, low, buf, 4));
	fd = SHOWFD(sys(open, P("null"), O_WRONLY));
	SHOW(sys(write, fd, BAD_LOW, 70000));
	SHOW(sys(write, fd, BAD_KERNEL, 70000));
	close(fd);
	close(low);
	fd = SHOWFD(sys(open, P("zero"), O_RDONLY));
	low = dup2(fd, 77);
	close(fd);
	SHOW(sys(read, low, buf, sizeof(buf)));
	close(low);
	return 0;
}
