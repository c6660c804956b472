/* What one descriptor writes, every other one sees at once; stat and names too. */
#include "guest.h"

static char buf[256];

static void seen(const char *label, int fd)
{
	struct stat st;
	long n = sys(pread64, fd, buf, 24, 0);

	sys(fstat, fd, &st);
	printf("%s: size %lld, ", label, (long long)st.st_size);
	show_data("data", buf, n);
}

static void readers(const char *name)
{
	int reader = sys(open, P(name), O_RDONLY), writer, appender, late;

	section("%s", name);
	seen("first", reader);
	SHOW(sys(read, reader, buf, 4));
	writer = sys(open, P(name), O_WRONLY);
	SHOW(sys(pwrite64, writer, "written", 7, 2));
	seen("after pwrite", reader);
	SHOW(sys(read, reader, buf, 4));
	show_data("read on", buf, 4);
	SHOW(sys(lseek, reader, 0, SEEK_END));
	appender = sys(open, P(name), O_WRONLY | O_APPEND);
	SHOW(sys(write, appender, "tail\n", 5));
	SHOW(sys(read, reader, buf, 20));
	show_data("the tail", buf, 5);
	SHOW(sys(lseek, reader, 0, SEEK_END));
	SHOW(sys(write, appender, "more\n", 5));
	SHOW(sys(close, appender));
	SHOW(sys(read, reader, buf, 20));
	late = sys(open, P(name), O_RDONLY);
	seen("opened late", late);
	SHOW(sys(ftruncate, writer, 4));
	seen("truncated", reader);
	seen("truncated", late);
	SHOW(sys(truncate, P(name), 20));
	seen("grown", reader);
	close(sys(open, P(name), O_WRONLY | O_TRUNC));
	seen("emptied", reader);
	SHOW(sys(write, writer, "x", 1));
	seen("one byte", reader);
	stat_path(name);
	close(reader);
	close(writer);
	close(late);
}

static void from_children(const char *name)
{
	int reader = sys(open, P(name), O_RDONLY);

	section("from children: %s", name);
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork_clean();

		if (!pid) {
			int fd = sys(open, P(name), O_WRONLY | (i == 2 ? O_TRUNC : 0));

			sys(write, fd, "child", i + 3);
			_exit(0);
		}
		wait_child("child", pid);
		seen("reader", reader);
	}
	close(reader);
}

/* Sets NAME's times back; the next look tells whether something was written since. */
static void set_back(int fd)
{
	const struct timespec old[2] = { { 5, 0 }, { 5, 0 } };

	sys(utimensat, fd, NULL, old, 0);
}

static void moved(const char *label, int fd)
{
	struct stat st;

	sys(fstat, fd, &st);
	printf("%s: mtime %s, size %lld\n", label, st.st_mtim.tv_sec == 5 ? "stays" : "moves", (long long)st.st_size);
	set_back(fd);
}

/* FD is a low number, which the kernel may serve by itself; what is written is what the file has. */
static void same_by(int fd, int other, int ends[2])
{
	long from = 90, to = 10;

	SHOW(sys(pread64, fd, buf, 100, 0));
	moved("read", fd);
	SHOW(sys(pwrite64, fd, buf + 10, 1, 90));
	buf[90] = buf[10];
	set_back(fd);
	SHOW(sys(pwrite64, fd, buf, 100, 0));
	moved("pwrite", fd);
	SHOW(sys(write, fd, buf, 1));
	moved("write", fd);
	SHOW(sys(write, fd, buf, 0));
	moved("nothing", fd);
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	SHOW(sys(lseek, other, 0, SEEK_SET));
	SHOW(sys(sendfile, fd, other, NULL, 3));
	moved("sendfile", fd);
	SHOW(sys(copy_file_range, other, &from, fd, &to, 1, 0));
	moved("copy_file_range", fd);
	to = 20;
	SHOW(sys(write, ends[1], buf + 20, 4));
	SHOW(sys(splice, ends[0], NULL, fd, &to, 4, 0));
	moved("splice", fd);
}

/* Bytes that are there already: the file is written all the same. */
static void same_bytes(const char *name)
{
	int fd = sys(open, P(name), O_RDWR), reader = sys(open, P(name), O_RDONLY), copy, ends[2];

	section("the same bytes: %s", name);
	sys(pipe2, ends, 0);
	copy = sys(dup2, reader, 71);
	SHOW(sys(dup2, fd, 70));
	set_back(70);
	same_by(70, copy, ends);
	/* What is not written through it moves nothing later. */
	SHOW(sys(pwrite64, fd, "other bytes", 11, 3));
	set_back(fd);
	usleep(20000);
	moved("later", 70);
	SHOW(sys(ftruncate, 70, 200));
	set_back(fd);
	SHOW(sys(fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10));
	set_back(fd);
	usleep(20000);
	moved("later", 70);
	close(fd);
	close(70);
	close(copy);
	close(reader);
	close(ends[0]);
	close(ends[1]);
	stat_path(name);
}

static void replaced(const char *name)
{
	int reader = sys(open, P(name), O_RDONLY), fd;

	section("replaced: %s", name);
	fd = sys(open, P("tmp"), O_CREAT | O_EXCL | O_WRONLY, 0600);
	SHOW(sys(write, fd, "replacement", 11));
	SHOW(sys(close, fd));
	SHOW(sys(rename, P("tmp"), P(name)));
	seen("old", reader);
	fd = sys(open, P(name), O_RDONLY);
	seen("new", fd);
	close(fd);
	SHOW(sys(unlink, P(name)));
	SHOWFD(sys(open, P(name), O_RDONLY));
	fd = sys(open, P(name), O_CREAT | O_RDWR, 0644);
	seen("newer", fd);
	seen("old", reader);
	close(fd);
	close(reader);
}

static void names(void)
{
	struct stat st;

	section("names");
	SHOW(sys(stat, P("later"), &st));
	SHOW(sys(stat, P("later"), &st));
	SHOW(sys(mkdir, P("later"), 0755));
	SHOW(sys(stat, P("later"), &st));
	SHOW(sys(stat, P("later/x"), &st));
	close(SHOWFD(sys(open, P("later/x"), O_CREAT | O_WRONLY, 0600)));
	SHOW(sys(stat, P("later/x"), &st));
	SHOW(sys(rename, P("later"), P("moved")));
	SHOW(sys(stat, P("later/x"), &st));
	SHOW(sys(stat, P("moved/x"), &st));
	SHOW(sys(unlink, P("moved/x")));
	SHOW(sys(stat, P("moved/x"), &st));
	SHOW(sys(rmdir, P("moved")));
	SHOW(sys(stat, P("moved"), &st));
	SHOW(sys(stat, P("links/rel"), &st));
	SHOW(sys(unlink, P("hello.txt")));
	SHOW(sys(stat, P("links/rel"), &st));
	SHOW(sys(lstat, P("links/rel"), &st));
}

/* Behind what a call has made of the file, then before: who opens it meanwhile reads what the kernel wrote. */
static void written_low(const char *name)
{
	int fd = sys(open, P(name), O_CREAT | O_WRONLY, 0600), low = 60;

	section("written at a low number: %s", name);
	SHOW(sys(dup2, fd, low) == low);
	for (int i = 0; i < 5; i++) {
		SHOW(sys(ftruncate, fd, 4196 + 5000 * i));
		SHOW(sys(lseek, low, 0, SEEK_SET));
		memset(buf, 'a' + i, sizeof(buf));
		for (int n = 0; n < 40 * (i + 1); n++)
			if (sys(write, low, buf, sizeof(buf)) != sizeof(buf))
				puts("a short write");
		int reader = sys(open, P(name), O_RDONLY);
		seen("opened", reader);
		show_file(name);
		close(reader);
	}
	close(low);
	close(fd);
	show_file(name);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	readers("lines.txt");
	readers("sizes/s131073");
	readers("sizes/s3145745");
	readers("empty");
	from_children("hello.txt");
	from_children("sizes/s1048577");
	same_bytes("sizes/s131073");
	same_bytes("sizes/s65536");
	replaced("ro");
	replaced("sizes/s65536");
	names();
	written_low("new");
	written_low("hello2.txt");
	return 0;
}
