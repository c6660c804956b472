/* O_APPEND: every write goes to the end as it is then, and the offset follows. */
#include "guest.h"

static char buf[256];

static void where(const char *label, int fd)
{
	struct stat st;

	sys(fstat, fd, &st);
	printf("%s: offset %ld size %lld\n", label, sys(lseek, fd, 0, SEEK_CUR), (long long)st.st_size);
}

static void two_descriptors(void)
{
	int a = SHOWFD(sys(open, P("log"), O_CREAT | O_WRONLY | O_APPEND, 0644));
	int b = SHOWFD(sys(open, P("log"), O_RDWR | O_APPEND));
	int plain = SHOWFD(sys(open, P("log"), O_RDWR));
	struct iovec iov = { "vec\n", 4 };

	section("two descriptors");
	SHOW(sys(write, a, "a1\n", 3));
	where("a", a);
	SHOW(sys(write, b, "b1\n", 3));
	where("b", b);
	SHOW(sys(write, a, "a2\n", 3));
	where("a", a);
	SHOW(sys(write, plain, "P", 1));
	where("plain", plain);
	SHOW(sys(lseek, b, 1, SEEK_SET));
	SHOW(sys(read, b, buf, 2));
	show_data("read", buf, 2);
	SHOW(sys(write, b, "b2\n", 3));
	where("b", b);
	SHOW(sys(pwrite64, a, "pw\n", 3, 0));
	where("a after pwrite", a);
	SHOW(sys(writev, a, &iov, 1));
	SHOW(sys(pwritev, a, &iov, 1, 1, 0));
	/* RWF_NOAPPEND (6.9) takes the offset after all. */
	SHOW(sys(pwritev2, a, &iov, 1, 1, 0, 0x20));
	where("a", a);
	SHOW(sys(ftruncate, a, 4));
	SHOW(sys(write, a, "t\n", 2));
	where("a", a);
	show_file("log");
	close(a);
	close(b);
	close(plain);
}

static void switched(void)
{
	int fd = SHOWFD(sys(open, P("hello.txt"), O_RDWR));

	section("F_SETFL");
	printf("flags %o\n", fcntl(fd, F_GETFL) & ~0100000);
	SHOW(sys(fcntl, fd, F_SETFL, O_APPEND));
	printf("flags %o\n", fcntl(fd, F_GETFL) & ~0100000);
	SHOW(sys(write, fd, "end", 3));
	where("fd", fd);
	SHOW(sys(fcntl, fd, F_SETFL, 0));
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	SHOW(sys(write, fd, "start", 5));
	where("fd", fd);
	show_file("hello.txt");
	close(fd);
}

static void processes(void)
{
	int fd = SHOWFD(sys(open, P("both"), O_CREAT | O_WRONLY | O_APPEND, 0644));
	struct stat st;
	pid_t pid;

	section("two processes");
	pid = fork_clean();
	if (!pid) {
		int own = open(P("both"), O_WRONLY | O_APPEND);

		for (int i = 0; i < 200; i++)
			sys(write, i & 1 ? fd : own, "child line\n", 11);
		_exit(0);
	}
	for (int i = 0; i < 200; i++)
		sys(write, fd, "other line\n", 11);
	wait_child("child", pid);
	sys(fstat, fd, &st);
	printf("size %lld\n", (long long)st.st_size);
	close(fd);
	/* The order of lines is chance, their being whole is not. */
	FILE *f = fopen(P("both"), "r");
	int lines[2] = { 0, 0 }, odd = 0;

	while (f && fgets(buf, sizeof(buf), f)) {
		if (!strcmp(buf, "child line\n"))
			lines[0]++;
		else if (!strcmp(buf, "other line\n"))
			lines[1]++;
		else
			odd++;
	}
	printf("lines %d %d odd %d\n", lines[0], lines[1], odd);
	sys(unlink, P("both"));
}

static void created(void)
{
	int fd = SHOWFD(sys(open, P("lines.txt"), O_WRONLY | O_APPEND | O_TRUNC));

	section("with O_TRUNC");
	SHOW(sys(write, fd, "only\n", 5));
	where("fd", fd);
	close(fd);
	show_file("lines.txt");
	fd = SHOWFD(sys(open, P("fresh"), O_CREAT | O_EXCL | O_APPEND | O_RDWR, 0600));
	SHOW(sys(lseek, fd, 100, SEEK_SET));
	SHOW(sys(write, fd, "x", 1));
	where("fd", fd);
	SHOW(sys(read, fd, buf, 1));
	close(fd);
	fd = SHOWFD(sys(open, P("ro"), O_RDONLY | O_APPEND));
	SHOW(sys(write, fd, "x", 1));
	SHOW(sys(read, fd, buf, 10));
	close(fd);
}

/* Where the end is, at a low number that only appends, when others move it. */
static void low(void)
{
	int fd = SHOWFD(sys(open, P("lines.txt"), O_WRONLY | O_APPEND)), other = SHOWFD(sys(open, P("lines.txt"), O_RDWR));

	section("low");
	SHOW(sys(dup2, fd, 72));
	SHOW(sys(lseek, 72, 0, SEEK_END));
	SHOW(sys(ftruncate, other, 5000));
	SHOW(sys(lseek, 72, 0, SEEK_END));
	SHOW(sys(pwrite64, other, "far", 3, 9000));
	SHOW(sys(lseek, 72, 0, SEEK_END));
	SHOW(sys(write, 72, "tail", 4));
	SHOW(sys(lseek, 72, 0, SEEK_CUR));
	SHOW(sys(ftruncate, other, 10));
	SHOW(sys(write, 72, "tail", 4));
	SHOW(sys(lseek, 72, 0, SEEK_CUR));
	close(72);
	close(fd);
	close(other);
	show_file("lines.txt");
}

/* A low descriptor that appends no longer writes where it stands, into what was there before. */
static void appends_no_longer(void)
{
	int fd = SHOWFD(sys(open, P("lines.txt"), O_WRONLY | O_APPEND));

	section("no longer");
	SHOW(sys(dup2, fd, 72));
	SHOW(sys(write, 72, "tail", 4));
	SHOW(sys(fcntl, 72, F_SETFL, 0));
	SHOW(sys(lseek, 72, 2, SEEK_SET));
	SHOW(sys(write, 72, "HEAD", 4));
	SHOW(sys(fcntl, 72, F_SETFL, O_APPEND));
	SHOW(sys(write, 72, "again", 5));
	close(72);
	close(fd);
	show_file("lines.txt");
}

/* One low descriptor appends, another one writes before the end. */
static void low_both_ways(void)
{
	int other = SHOWFD(sys(open, P("lines.txt"), O_RDWR | O_TRUNC)), fd = SHOWFD(sys(open, P("lines.txt"), O_WRONLY | O_APPEND));

	section("low both ways");
	SHOW(sys(dup2, other, 73));
	SHOW(sys(dup2, fd, 72));
	SHOW(sys(pwrite64, fd, "appended", 8, 0));
	SHOW(sys(pwrite64, 73, "before the end and behind it", 28, 0));
	show_file("lines.txt");
	SHOW(sys(write, 72, " and again", 10));
	SHOW(sys(pwrite64, 73, "BEFORE", 6, 0));
	SHOW(sys(close, 73));
	SHOW(sys(write, 72, " and again", 10));
	show_file("lines.txt");
	close(72);
	close(fd);
	close(other);
	show_file("lines.txt");
}

/* The second one cannot be read either, and the file is empty at the target. */
static void low_twice(void)
{
	int fd = SHOWFD(sys(open, P("lines.txt"), O_WRONLY | O_APPEND | O_TRUNC)), other = SHOWFD(sys(open, P("lines.txt"), O_WRONLY));

	section("low twice");
	SHOW(sys(dup2, fd, 72));
	SHOW(sys(dup2, other, 73));
	SHOW(sys(write, 72, "appended", 8));
	SHOW(sys(write, 73, "before", 6));
	close(72);
	close(73);
	close(fd);
	close(other);
	show_file("lines.txt");
}

/* Nobody can read it any more when another descriptor, by a call, writes before what is appended. */
static void low_and_copied(void)
{
	int fd = SHOWFD(sys(open, P("lines.txt"), O_WRONLY | O_APPEND)), reader = SHOWFD(sys(open, P("lines.txt"), O_RDWR));
	int other, from = SHOWFD(sys(open, P("sizes/s65536"), O_RDONLY));
	off_t at = 5000;

	section("low and copied");
	SHOW(sys(dup2, fd, 72));
	SHOW(sys(dup2, reader, 73));
	close(73);
	close(reader);
	other = SHOWFD(sys(open, P("lines.txt"), O_WRONLY | O_TRUNC));
	SHOW(sys(write, 72, "appended", 8));
	SHOW(sys(copy_file_range, from, NULL, other, &at, 100, 0));
	SHOW(sys(write, 72, "again", 5));
	close(72);
	close(fd);
	close(other);
	close(from);
	show_file("lines.txt");
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	two_descriptors();
	switched();
	processes();
	created();
	low();
	appends_no_longer();
	low_both_ways();
	low_twice();
	low_and_copied();
	return 0;
}
