/* sendfile out of and into files of the tree. */
#include "guest.h"

static char buf[1 << 16];

static void drain(int fd)
{
	uint64_t h = hash("", 0);
	long n, total = 0;

	while ((n = sys(read, fd, buf, sizeof(buf))) > 0) {
		h = hash_more(h, buf, n);
		total += n;
	}
	printf("   came: %ld bytes hash %016llx\n", total, (unsigned long long)h);
	fflush(stdout);
	_exit(0);
}

/* The pipe's reader is a process of its own, so that a pipe never fills up. */
static void to_pipe(const char *name, int mode, long start, size_t count)
{
	int fd = sys(open, P(name), mode), pipes[2];
	long total = 0, n = 0;
	off_t offset = start;
	pid_t pid;

	printf("%s %o from %ld\n", name, mode, start);
	if (pipe(pipes) < 0)
		return;
	pid = fork_clean();
	if (!pid) {
		close(pipes[1]);
		drain(pipes[0]);
	}
	close(pipes[0]);
	while (count > 0 && (n = sys(sendfile, pipes[1], fd, start < 0 ? NULL : &offset, count)) > 0) {
		total += n;
		count -= n;
	}
	printf("   sent %ld, then %ld, offset %ld, file at %ld\n", total, count ? n : 0, (long)offset,
	       sys(lseek, fd, 0, SEEK_CUR));
	close(pipes[1]);
	wait_child("   reader", pid);
	close(fd);
}

static void between_files(void)
{
	int in = SHOWFD(sys(open, P("sizes/s131073"), O_RDONLY));
	int out = SHOWFD(sys(open, P("copy"), O_CREAT | O_RDWR | O_TRUNC, 0644));
	int append = SHOWFD(sys(open, P("copy"), O_WRONLY | O_APPEND));
	int local = open("/proc/self/exe", O_RDONLY), pipes[2];

	section("between files");
	SHOW(sys(lseek, out, 3, SEEK_SET));
	SHOW(sys(sendfile, out, in, NULL, 100000));
	SHOW(sys(lseek, out, 0, SEEK_CUR));
	SHOW(sys(lseek, in, 0, SEEK_CUR));
	SHOW(sys(sendfile, out, in, NULL, 100000));
	SHOW(sys(sendfile, out, in, NULL, 100000));
	show_file("copy");
	SHOW(sys(sendfile, append, in, NULL, 10));
	SHOW(sys(lseek, out, 0, SEEK_SET));
	SHOW(sys(sendfile, out, local, NULL, 4));
	SHOW(sys(pread64, out, buf, 4, 0));
	show_data("from a local file", buf, 4);
	SHOW(pipe(pipes));
	SHOW(sys(write, pipes[1], "piped", 5));
	SHOW(sys(sendfile, out, pipes[0], NULL, 5));
}

static void errors(void)
{
	int in = SHOWFD(sys(open, P("hello.txt"), O_RDONLY)), out = SHOWFD(sys(open, P("empty"), O_RDWR));
	int big = SHOWFD(sys(open, P("sizes/s3145745"), O_RDONLY)), dir = SHOWFD(sys(open, P("dir"), O_RDONLY));
	off_t negative = -1;

	section("errors");
	SHOW(sys(sendfile, in, out, NULL, 10));
	SHOW(sys(sendfile, -1, in, NULL, 10));
	SHOW(sys(sendfile, out, -1, NULL, 10));
	SHOW(sys(sendfile, out, dir, NULL, 10));
	SHOW(sys(sendfile, dir, in, NULL, 10));
	SHOW(sys(sendfile, out, in, BAD_KERNEL, 10));
	SHOW(sys(sendfile, out, big, BAD_LOW, 10));
	SHOW(sys(sendfile, out, in, &negative, 10));
	SHOW(sys(sendfile, out, in, readonly_page(), 5));
	SHOW(sys(sendfile, out, in, NULL, 0));
	SHOW(sys(sendfile, out, in, NULL, -1L));
	SHOW(sys(lseek, in, 0, SEEK_CUR));
	show_file("empty");
}

static void at_offset(const char *what, int out, int in, off_t at, size_t count)
{
	off_t own = at;

	printf("%s %zu from %lld\n", what, count, (long long)at);
	SHOW(sys(sendfile, out, in, &own, count));
	printf("   then at %lld\n", (long long)own);
	SHOW(sys(lseek, in, at, SEEK_SET));
	SHOW(sys(sendfile, out, in, NULL, count));
}

/* Where one of the two file systems has no files that are so long: ext4's reach to 16 TiB, a memfd anywhere. */
static void far_away(void)
{
	static const off_t from[] = { 1LL << 40, 17592186040320 - 100, 17592186040320, 17592186040321, 1LL << 62, INT64_MAX - 10, INT64_MAX };
	int out = SHOWFD(sys(open, P("far"), O_CREAT | O_RDWR | O_TRUNC, 0644)), in = SHOWFD(sys(open, P("hello.txt"), O_RDWR));
	int local = memfd_create("far", 0), sink = memfd_create("sink", 0);

	section("far away");
	SHOW(ftruncate(local, INT64_MAX));
	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		at_offset("local to tree", out, local, from[i], 10);
		at_offset("local to tree", out, local, from[i], 0);
		at_offset("tree to local", sink, in, from[i], 10);
		at_offset("tree to local", sink, in, from[i], 0);
		at_offset("tree to tree", out, in, from[i], 10);
	}
	show_file("far");
}

/* An output whose offset the count overflows is refused before the input is looked at, be it at its end. */
static void far_output(const char *what, int out, int in, off_t at)
{
	off_t end = lseek(in, 0, SEEK_END);

	printf("%s to %lld\n", what, (long long)at);
	SHOW(sys(lseek, out, at, SEEK_SET));
	SHOW(sys(sendfile, out, in, &end, 0));
	SHOW(sys(sendfile, out, in, &end, 10));
	SHOW(sys(sendfile, out, in, &end, 100));
	end = 0;
	SHOW(sys(sendfile, out, in, &end, 100));
	SHOW(sys(lseek, out, 0, SEEK_CUR));
}

static void far_outputs(void)
{
	int in = SHOWFD(sys(open, P("hello.txt"), O_RDWR)), local = memfd_create("far", 0), other = memfd_create("other", 0);

	section("outputs far away");
	far_output("tree to local", local, in, INT64_MAX - 50);
	far_output("tree to local", local, in, INT64_MAX);
	far_output("local to tree", in, other, 17592186040320 - 50);
	far_output("local to tree", in, other, 17592186040320);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	to_pipe("hello.txt", O_RDONLY, -1, 1000);
	to_pipe("hello.txt", O_RDONLY, 3, 1000);
	to_pipe("hello.txt", O_RDWR, -1, 5);
	to_pipe("empty", O_RDONLY, -1, 5);
	to_pipe("sizes/s1048576", O_RDONLY, -1, 2000000);
	to_pipe("sizes/s3145745", O_RDONLY, -1, 4000000);
	to_pipe("sizes/s3145745", O_RDONLY, 3000000, 4000000);
	to_pipe("sizes/s131073", O_RDWR, 1, 131000);
	between_files();
	errors();
	far_away();
	far_outputs();
	return 0;
}
