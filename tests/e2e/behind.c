/* behind HOW FILE: writes that are sent behind, and what is seen of them. Prints every result. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char block[65536];

static void say(const char *what, long r)
{
	if (r < 0)
		printf("%s: %s\n", what, strerror(errno));
	else
		printf("%s: %ld\n", what, r);
	fflush(stdout);
}

static int make(const char *file, int flags)
{
	return open(file, flags | O_CREAT | O_TRUNC, 0644);
}

/* More than the 1 MiB that there is room for; too quickly for an error to be back meanwhile. */
static int overfill(const char *file)
{
	int fd = make(file, O_WRONLY);

	for (int i = 0; i < 20; i++)
		if (write(fd, block, sizeof(block)) != sizeof(block))
			printf("write %d: %s\n", i, strerror(errno));
	return fd;
}

/* The same by small writes. */
static void full_small(const char *file)
{
	int fd = make(file, O_WRONLY);

	for (int i = 0; i < 400; i++)
		if (write(fd, block, 4000) != 4000)
			printf("write %d: %s\n", i, strerror(errno));
}

static void full_close(const char *file)
{
	int fd = overfill(file);

	say("close", close(fd));
	say("and again", close(fd));
}

static void full_fsync(const char *file)
{
	int fd = overfill(file);

	say("fsync", fsync(fd));
	say("and again", fsync(fd));
	say("close", close(fd));
}

static void full_write(const char *file)
{
	int fd = overfill(file);

	sleep(1);
	say("write", write(fd, "x", 1));
	say("ftruncate", ftruncate(fd, 0));
	say("pwrite", pwrite(fd, "x", 1, 0));
	say("fsync", fsync(fd));
	say("close", close(fd));
}

/* Two descriptors of one description: whoever closes first is told. */
static void full_dup(const char *file)
{
	int fd = overfill(file), other = fcntl(fd, F_DUPFD, 0);

	say("close", close(fd));
	say("close of the other", close(other));
}

static void full_exit(const char *file)
{
	overfill(file);
	_exit(7);
}

static void full_kill(const char *file)
{
	overfill(file);
	kill(getpid(), SIGTERM);
}

static void full_exec(const char *file)
{
	fcntl(overfill(file), F_SETFD, FD_CLOEXEC);
	execlp("true", "true", NULL);
}

/* What another process sees by PATH. */
static void look(const char *path, const char *what)
{
	pid_t pid = fork();
	char buf[64] = "";
	struct stat st;

	if (pid) {
		waitpid(pid, NULL, 0);
		return;
	}
	say(what, stat(path, &st) < 0 ? -1 : (long)st.st_size);
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, buf, sizeof(buf) - 1);
	printf("reads %zd: %.10s\n", n, buf);
	fflush(stdout);
	_exit(0);
}

static void order(const char *file)
{
	char to[4096], buf[32] = "";
	struct stat st;
	int fd = make(file, O_RDWR), other;
	struct iovec v[2] = { { "more", 4 }, { "data", 4 } };

	snprintf(to, sizeof(to), "%s.moved", file);
	memset(block, 'a', sizeof(block));
	for (int i = 0; i < 40; i++)
		write(fd, block, sizeof(block));
	look(file, "after 40 writes");
	pwrite(fd, "bcd", 3, 1);
	look(file, "after a pwrite");
	other = open(file, O_RDWR | O_APPEND);
	write(other, "end", 3);
	say("where an append ends", lseek(other, 0, SEEK_CUR));
	say("what it made of the size", fstat(fd, &st) < 0 ? -1 : (long)st.st_size);
	say("pread of the other", pread(fd, buf, 31, 40 * 65536));
	printf("%s\n", buf);
	writev(other, v, 2);
	say("read behind an append", read(other, buf, sizeof(buf)));
	write(fd, "gone", 4);
	say("truncate", truncate(file, 5));
	look(file, "after truncate");
	pwrite(fd, "x", 1, 9);
	say("rename", rename(file, to));
	look(to, "after rename");
	write(other, "unseen", 6);
	say("unlink", unlink(to));
	say("fstat", fstat(fd, &st) < 0 ? -1 : (long)st.st_size);
	say("close", close(fd) | close(other));
}

/* Small writes right behind each other, at once followed by something that must find all of them done. */
static int small_writes(const char *file, int flags)
{
	int fd = make(file, flags);

	for (int i = 0; i < 8; i++)
		dprintf(fd, "line %d\n", i);
	return fd;
}

static void show(const char *file, const char *what, int fd)
{
	close(fd);
	look(file, what);
}

static void small_others(const char *file)
{
	char to[4096], buf[32] = "";
	int fd = small_writes(file, O_WRONLY), other = open(file, O_RDWR | O_APPEND);

	snprintf(to, sizeof(to), "%s.moved", file);
	look(file, "another process");
	dprintf(fd, "small\n");
	say("another descriptor reads", pread(other, buf, 31, 40));
	printf("%s\n", buf);
	dprintf(fd, "a");
	dprintf(fd, "b");
	dprintf(other, "c");
	dprintf(fd, "d");
	show(file, "two write in turn", other);
	for (int i = 0; i < 10; i++)
		pwrite(fd, "xyz", 3, i % 3 * 2);
	show(file, "one over the other", fd);
	fd = small_writes(file, O_WRONLY | O_APPEND);
	say("position", lseek(fd, 0, SEEK_CUR));
	for (int i = 0; i < 5; i++)
		dprintf(fd, "more");
	rename(file, to);
	show(to, "another name", fd);
}

static void small_changes(const char *file)
{
	struct flock lock = { .l_type = F_WRLCK };
	int fd = small_writes(file, O_RDWR | O_APPEND);

	say("ftruncate", ftruncate(fd, 13));
	for (int i = 0; i < 5; i++)
		dprintf(fd, "z");
	say("fchmod", fchmod(fd, 0600));
	show(file, "shorter", fd);
	fd = small_writes(file, O_RDWR);
	fcntl(fd, F_SETLK, &lock);
	for (int i = 0; i < 5; i++)
		dprintf(fd, "locked");
	pid_t pid = fork();
	if (!pid) {
		struct stat st;

		fcntl(fd, F_SETLKW, &lock);
		say("behind the lock", stat(file, &st) < 0 ? -1 : (long)st.st_size);
		_exit(0);
	}
	usleep(50000);
	for (int i = 0; i < 5; i++)
		dprintf(fd, "still");
	lock.l_type = F_UNLCK;
	fcntl(fd, F_SETLK, &lock);
	waitpid(pid, NULL, 0);
	for (int i = 0; i < 5; i++)
		dprintf(fd, "here");
	dup2(fd, 7);
	dprintf(7, "there");
	show(file, "a low number", fd);
	close(7);
}

static void small(const char *file)
{
	small_others(file);
	small_changes(file);
}

static void change(const char *file)
{
	struct timespec t[2] = { { 1000, 5 }, { 2000, 7 } };
	int fd = make(file, O_WRONLY);
	struct stat st;

	write(fd, "abc", 3);
	say("futimens", futimens(fd, t));
	say("fchown", fchown(fd, getuid(), getgid()));
	say("fchmod", fchmod(fd, 0640));
	stat(file, &st);
	printf("%o, %ld bytes, %ld.%ld\n", st.st_mode, (long)st.st_size, (long)st.st_mtime, st.st_mtim.tv_nsec);
	say("fchmod", fchmod(fd, 04711));
	fstat(fd, &st);
	printf("%o\n", st.st_mode);
	write(fd, "d", 1);
	fstat(fd, &st);
	printf("%o, %ld bytes\n", st.st_mode, (long)st.st_size);
	t[0].tv_nsec = 1000000000;
	say("futimens", futimens(fd, t));
	say("fchown", fchown(fd, (uid_t)-1, (gid_t)-1));
	say("close", close(fd));
}

static void append(const char *file, int count)
{
	int fd = make(file, O_WRONLY | O_APPEND);
	struct stat st;

	for (int i = 0; i < count; i++)
		write(fd, block, 100);
	say("fsync", fsync(fd));
	for (int i = 0; i < 50; i++)
		fstat(fd, &st);
	say("position", lseek(fd, 0, SEEK_CUR));
	say("size", (long)st.st_size);
	close(fd);
}

static void append_some(const char *file)
{
	append(file, 50);
}

static void append_many(const char *file)
{
	append(file, 2000);
}

static int names_in(const char *dir)
{
	DIR *d = opendir(dir);
	int count = 0;

	while (d && readdir(d))
		count++;
	if (d)
		closedir(d);
	return count;
}

/* Where there is room for two more files: makes these. The directory has been looked through, so what is made next is sent behind. */
static void fill(const char *file)
{
	char path[4096];

	snprintf(path, sizeof(path), "%.*s", (int)(strrchr(file, '/') - file), file);
	names_in(path);
	for (int i = 1; i <= 2; i++) {
		snprintf(path, sizeof(path), "%s%d", file, i);
		close(open(path, O_CREAT | O_EXCL | O_WRONLY, 0600));
	}
}

static int beyond(const char *file)
{
	fill(file);
	return open(file, O_CREAT | O_EXCL | O_RDWR, 0600);
}

static void unmade_close(const char *file)
{
	int fd = beyond(file);

	say("write", write(fd, block, 100));
	say("fchmod", fchmod(fd, 0644));
	say("close", close(fd));
	say("open again", open(file, O_CREAT | O_WRONLY, 0600));
}

static void unmade_fsync(const char *file)
{
	int fd = beyond(file);

	say("write", write(fd, block, 100));
	say("fsync", fsync(fd));
	say("and again", fsync(fd));
	say("close", close(fd));
}

static void unmade_use(const char *file)
{
	struct stat st;
	int fd = beyond(file);

	say("fstat", fstat(fd, &st));
	say("write", write(fd, block, 100));
	say("pread", pread(fd, block, 100, 0));
	say("stat", stat(file, &st));
	say("close", close(fd));
}

static void unmade_names(const char *file)
{
	char dir[4096];
	struct stat st;

	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(file, '/') - file), file);
	int fd = open(dir, O_RDONLY | O_DIRECTORY);
	fill(file);
	say("mkdir", mkdir(file, 0700));
	say("fsync of the directory", fsync(fd));
	say("and again", fsync(fd));
	say("stat", stat(file, &st));
	say("mkdir again", mkdir(file, 0700));
}

/* What others see of names that are made behind is what they see natively. */
static void names(const char *file)
{
	char path[4096], text[64];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%.*s", (int)(strrchr(file, '/') - file), file);
	names_in(path);
	for (int i = 0; i < 30; i++) {
		snprintf(path, sizeof(path), "%s.d%d", file, i / 10);
		if (i % 10 == 0)
			say("mkdir", mkdir(path, 0755));
		snprintf(path + strlen(path), 16, "/%d", i);
		fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0640);
		dprintf(fd, "%d", i);
		fchmod(fd, 0600);
		close(fd);
		if (i % 7 == 0 && fork() == 0) {
			fd = open(path, O_RDONLY);
			say("another reads", read(fd, text, sizeof(text)));
			say("its mode", fstat(fd, &st) < 0 ? -1 : (long)(st.st_mode & 0777));
			_exit(0);
		}
		while (wait(NULL) > 0)
			;
		if (i % 5 == 0) {
			say("stat", stat(path, &st));
			say("size", st.st_size);
			say("O_EXCL again", open(path, O_CREAT | O_EXCL | O_WRONLY, 0640));
			say("mkdir there", mkdir(path, 0755));
		}
	}
	snprintf(path, sizeof(path), "%s.d1", file);
	say("chmod", chmod(path, 0700));
	say("rmdir", rmdir(path));
	say("names", names_in(path));
	stat(path, &st);
	say("mode", st.st_mode & 07777);
}

static const struct { const char *name; void (*run)(const char *file); } hows[] = {
	{ "close", full_close }, { "fsync", full_fsync }, { "write", full_write }, { "dup", full_dup },	  { "exit", full_exit },
	{ "kill", full_kill },	 { "exec", full_exec },	  { "order", order },	   { "change", change }, { "some", append_some },
	{ "many", append_many }, { "small", small },	 { "small writes", full_small },
	{ "unmade close", unmade_close }, { "unmade fsync", unmade_fsync }, { "unmade use", unmade_use }, { "unmade names", unmade_names },
	{ "names", names },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 2 && i < sizeof(hows) / sizeof(*hows); i++)
		if (!strcmp(hows[i].name, argv[1])) {
			hows[i].run(argv[2]);
			return 0;
		}
	return 2;
}
