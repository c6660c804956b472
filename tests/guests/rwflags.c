/* preadv2 and pwritev2 with every flag, vectors and offsets at their limits, RLIMIT_FSIZE, files beyond 4 GiB. */
#include <signal.h>
#include <sys/resource.h>
#include "guest.h"

#define HIPRI 1
#define DSYNC 2
#define SYNC 4
#define NOWAIT 8
#define APPEND 0x10
#define NOAPPEND 0x20
#define ATOMIC 0x40
#define DONTCACHE 0x80

static char buf[3 << 20];
static volatile int caught;

static void on_signal(int sig)
{
	caught = sig;
}

/* WITHOUT: flags that reads are not tried with. A read that may not wait may or may not find its bytes. */
static void flags_of(const char *name, int mode, int without)
{
	static const int flags[] = { 0, HIPRI, DSYNC, SYNC, APPEND, NOAPPEND, APPEND | NOAPPEND, ATOMIC, DONTCACHE, ATOMIC | DSYNC, 0x100, 0x200, -1, NOWAIT,
				     DSYNC | APPEND, NOAPPEND | SYNC, NOWAIT | APPEND };
	int fd = SHOWFD(sys(open, P(name), mode));
	struct iovec v[2] = { { buf, 5 }, { buf + 100, 7 } };

	section("flags: %s %o", name, mode);
	for (size_t i = 0; i < COUNT(flags); i++) {
		printf("flags %x\n", flags[i]);
		memset(buf, 'a' + i, 200);
		SHOW(sys(pwritev2, fd, v, 2, 3, 0, flags[i]));
		SHOW(sys(pwritev2, fd, v, 2, -1, 0, flags[i]));
		SHOW(sys(pwritev2, fd, v, 2, -2, 0, flags[i]));
		SHOW(sys(pwritev2, fd, v, 0, 3, 0, flags[i]));
		SHOW(sys(pwritev2, fd, BAD_LOW, 2, 3, 0, flags[i]));
		SHOW(sys(lseek, fd, 0, SEEK_CUR));
		show_file(name);
		if (flags[i] > 0 && flags[i] & without)
			continue;
		SHOW(sys(preadv2, fd, v, 2, 3, 0, flags[i]));
		SHOW(sys(preadv2, fd, v, 2, -1, 0, flags[i]));
		SHOW(sys(preadv2, fd, v, 2, -2, 0, flags[i]));
		SHOW(sys(preadv2, fd, v, 0, 3, 0, flags[i]));
		SHOW(sys(preadv2, fd, BAD_LOW, 2, 3, 0, flags[i]));
		SHOW(sys(lseek, fd, 0, SEEK_CUR));
	}
	close(fd);
}

static void vectors(void)
{
	static struct iovec v[1025];
	int fd = SHOWFD(sys(open, P("vectors"), O_CREAT | O_RDWR, 0600));
	char *end = edge(10);

	section("vectors");
	fill_pattern(buf, sizeof(buf), 3);
	for (int i = 0; i < 1025; i++)
		v[i] = (struct iovec){ buf + i * 3, i % 4 };
	SHOW(sys(writev, fd, v, 1024));
	SHOW(sys(writev, fd, v, 1025));
	SHOW(sys(pwritev, fd, v, 1024, 5, 0));
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	SHOW(sys(readv, fd, v, 1024));
	SHOW(sys(readv, fd, v, -1L));
	SHOW(sys(readv, fd, v, 0));
	v[3].iov_len = -1;
	SHOW(sys(readv, fd, v, 10));
	SHOW(sys(writev, fd, v, 10));
	v[0] = (struct iovec){ buf, 100 };
	v[1] = (struct iovec){ BAD_KERNEL, 0 };
	v[2] = (struct iovec){ BAD_LOW, 0 };
	SHOW(sys(writev, fd, v, 2));
	SHOW(sys(writev, fd, v + 2, 1));
	v[1] = (struct iovec){ end, 20 };
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	SHOW(sys(readv, fd, v, 2));
	SHOW(sys(pread64, fd, end, 20, 0));
	SHOW(sys(pread64, fd, end + 10, 20, 0));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	v[1] = (struct iovec){ BAD_LOW, 20 };
	SHOW(sys(writev, fd, v, 2));
	SHOW(sys(writev, fd, v + 1, 1));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	v[0] = (struct iovec){ buf, sizeof(buf) };
	v[1] = (struct iovec){ buf, sizeof(buf) };
	SHOW(sys(pwritev, fd, v, 2, 1, 0));
	show_file("vectors");
	close(fd);
}

static void offsets(void)
{
	static const long at[] = { LONG_MAX, LONG_MAX - 4, LONG_MAX - 5, LONG_MAX - 6, 1L << 62, 1L << 50, -1, LONG_MIN, 0xffffffff000, 0xffffffff000 - 5 };
	int fd = SHOWFD(sys(open, P("offsets"), O_CREAT | O_RDWR, 0600));
	struct iovec v = { buf, 10 };

	section("offsets");
	for (size_t i = 0; i < COUNT(at); i++) {
		printf("at %lx\n", at[i]);
		SHOW(sys(pread64, fd, buf, 5, at[i]));
		SHOW(sys(pwrite64, fd, buf, 5, at[i]));
		SHOW(sys(pread64, fd, buf, 0, at[i]));
		SHOW(sys(pwrite64, fd, buf, 0, at[i]));
		SHOW(sys(pwritev, fd, &v, 1, at[i], 0));
		SHOW(sys(preadv2, fd, &v, 1, at[i], 0, 0));
		if (sys(lseek, fd, at[i], SEEK_SET) >= 0) {
			SHOW(sys(write, fd, buf, 10));
			SHOW(sys(read, fd, buf, 10));
			SHOW(sys(lseek, fd, 0, SEEK_CUR));
		}
		SHOW(sys(ftruncate, fd, at[i]));
		SHOW(sys(ftruncate, fd, 0));
	}
	SHOW(sys(write, fd, buf, 0));
	SHOW(sys(write, fd, BAD_LOW, 0));
	SHOW(sys(read, fd, buf, -1L));
	SHOW(sys(write, fd, buf, -1L));
	SHOW(sys(read, fd, BAD_KERNEL, 1L << 40));
	close(fd);
}

static void large(void)
{
	static const long at[] = { 0x7ffffff0, 0x7fffffff, 0x80000000, 0xfffffff0, 0x100000000, 0x123456789a };
	int fd = SHOWFD(sys(open, P("large"), O_CREAT | O_RDWR, 0600)), reader = SHOWFD(sys(open, P("large"), O_RDONLY));
	struct stat st;

	section("beyond 4 GiB");
	for (size_t i = 0; i < COUNT(at); i++) {
		fill_pattern(buf, 32, at[i]);
		SHOW(sys(lseek, fd, at[i], SEEK_SET));
		SHOW(sys(write, fd, buf, 32));
		SHOW(sys(lseek, fd, -10, SEEK_END));
		memset(buf, 0, 32);
		SHOW(sys(read, fd, buf, 32));
		show_data("end", buf, 10);
		SHOW(sys(pread64, reader, buf, 40, at[i] - 8));
		show_data("reader", buf, 40);
		sys(fstat, fd, &st);
		printf("size %lld\n", (long long)st.st_size);
	}
	SHOW(sys(ftruncate, fd, 0x100000001));
	SHOW(sys(lseek, fd, 0, SEEK_END));
	SHOW(sys(pread64, reader, buf, 40, 0xfffffff0));
	show_data("reader", buf, 17);
	SHOW(sys(ftruncate, fd, 0));
	close(fd);
	close(reader);
}

/* The limit is on while the call is made, not for what is printed. */
static void limit_to(rlim_t size)
{
	struct rlimit limit = { size, RLIM_INFINITY };
	int e = errno;

	setrlimit(RLIMIT_FSIZE, &limit);
	errno = e;
}

#define TRY(call)                                                                                                      \
	do {                                                                                                           \
		long r;                                                                                                \
		caught = 0;                                                                                            \
		limit_to(10000);                                                                                       \
		r = (call);                                                                                            \
		limit_to(RLIM_INFINITY);                                                                               \
		show_result(#call, r);                                                                                 \
		printf("   signal %d\n", caught);                                                                      \
	} while (0)

static void limited(void)
{
	struct sigaction act = { .sa_handler = on_signal };
	int fd = SHOWFD(sys(open, P("limited"), O_CREAT | O_RDWR, 0600)), append = SHOWFD(sys(open, P("limited"), O_WRONLY | O_APPEND));
	int in = SHOWFD(sys(open, P("sizes/s131073"), O_RDWR)), p[2];

	section("RLIMIT_FSIZE");
	if (pipe(p) < 0 || write(p[1], buf, 1000) != 1000)
		return;
	sigaction(SIGXFSZ, &act, NULL);
	TRY(sys(pwrite64, fd, buf, 100, 9950));
	TRY(sys(pwrite64, fd, buf, 100, 10000));
	TRY(sys(pwrite64, fd, buf, 0, 10000));
	TRY(sys(pwrite64, fd, buf, 100, 20000));
	TRY(sys(write, append, buf, 10));
	TRY(sys(ftruncate, fd, 10001));
	TRY(sys(ftruncate, fd, 9000));
	TRY(sys(write, append, buf, 2000));
	TRY(sys(write, append, buf, 2000));
	TRY(sys(truncate, P("limited"), 10001));
	TRY(sys(truncate, P("limited"), 5000));
	TRY(sys(lseek, fd, 9990, SEEK_SET));
	TRY(sys(write, fd, buf, 20));
	TRY(sys(write, fd, buf, 20));
	TRY(sys(lseek, fd, 0, SEEK_CUR));
	TRY(sys(fallocate, fd, 0, 0, 10001));
	TRY(sys(fallocate, fd, 0, 0, 10000));
	TRY(sys(lseek, fd, 9000, SEEK_SET));
	TRY(sys(sendfile, fd, in, NULL, 2000));
	TRY(sys(sendfile, fd, in, NULL, 2000));
	TRY(sys(lseek, fd, 9000, SEEK_SET));
	TRY(sys(copy_file_range, in, NULL, fd, NULL, 2000, 0));
	TRY(sys(copy_file_range, in, NULL, fd, NULL, 2000, 0));
	TRY(sys(lseek, fd, 9900, SEEK_SET));
	TRY(sys(splice, p[0], NULL, fd, NULL, 1000, 0));
	TRY(sys(splice, p[0], NULL, fd, NULL, 1000, 0));
	TRY(read(p[0], buf, 2000));
	TRY(sys(pwrite64, in, buf, 10, 131000));
	TRY(sys(pwrite64, in, buf, 10, 100));
	show_file("limited");
	close(fd);
	close(append);
	close(in);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	flags_of("lines.txt", O_RDWR, NOWAIT);
	flags_of("sizes/s131073", O_RDWR | O_APPEND, NOWAIT);
	flags_of("sizes/s3145745", O_RDONLY, NOWAIT);
	flags_of("hello.txt", O_WRONLY, 0);
	flags_of("hello.txt", O_RDONLY, NOWAIT | DONTCACHE);
	flags_of("dir", O_RDONLY, 0);
	vectors();
	offsets();
	large();
	limited();
	return 0;
}
