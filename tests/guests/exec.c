/* execve and execveat of a local program: what crosses over, and errors. */
#include "guest.h"

extern char **environ;

static char self[PATH_MAX];

/* The program after the exec: it is told its descriptors' numbers, and does not print them. */
static int child(int argc, char **argv)
{
	char buf[64], cwd[PATH_MAX];
	long n;

	guest_init(argc, argv);
	printf("   child \"%s\" with %d arguments, env %s\n", argv[2], argc, getenv("GUEST") ? getenv("GUEST") : "none");
	n = sys(getcwd, cwd, sizeof(cwd));
	printf("   cwd %s\n", n > 0 && !strncmp(cwd, T, strlen(T)) ? cwd + strlen(T) : "elsewhere");
	for (int i = 3; i < argc; i++) {
		int fd = atoi(argv[i]);

		memset(buf, 0, sizeof(buf));
		n = sys(read, fd, buf, 6);
		printf("   descriptor %d: read %ld %s, offset %ld, getfd %d\n", i - 3, n, n < 0 ? err_name(errno) : "",
		       sys(lseek, fd, 0, SEEK_CUR), fcntl(fd, F_GETFD));
		if (n > 0)
			show_data("   data", buf, n);
		if (n >= 0)
			stat_fd("   stat", fd);
	}
	if (!strcmp(argv[2], "filter")) {
		while ((n = sys(read, 0, buf, sizeof(buf))) > 0) {
			fflush(stdout);
			sys(write, 1, buf, n);
		}
		printf("   filter ended %ld\n", n);
	}
	fflush(stdout);
	return strlen(argv[2]);
}

static char *number(int fd)
{
	static char ring[8][16];
	static int next;
	char *s = ring[next++ % 8];

	sprintf(s, "%d", fd);
	return s;
}

static void inheritance(const char *name, int mode, bool low_too)
{
	int keep = sys(open, P(name), mode), drop = sys(open, P(name), mode | O_CLOEXEC), low = low_too ? 50 : -1;
	char *args[] = { self, (char *)T, "inherit", number(keep), number(drop), number(low), NULL };
	pid_t pid;

	section("inheritance: %s %o", name, mode);
	if (low_too)
		SHOW(sys(dup2, drop, low));
	SHOW(sys(lseek, keep, 3, SEEK_SET));
	SHOW(sys(lseek, drop, 8, SEEK_SET));
	SHOW(sys(chdir, P("dir")));
	pid = fork_clean();
	if (!pid) {
		sys(execve, self, args, environ);
		_exit(97);
	}
	wait_child("child", pid);
	SHOW(sys(lseek, keep, 0, SEEK_CUR));
	SHOW(sys(lseek, drop, 0, SEEK_CUR));
	close(keep);
	close(drop);
	close(low);
}

/* What a shell does for "< in > out", ">>" and "<>". */
static void redirect(const char *in, const char *out, int flags)
{
	char *args[] = { self, (char *)T, "filter", NULL };
	pid_t pid;

	section("redirect < %s to %s %o", in, out, flags);
	pid = fork_clean();
	if (!pid) {
		int fd = sys(open, P(in), O_RDONLY);

		sys(dup2, fd, 0);
		sys(close, fd);
		fd = sys(open, P(out), O_CREAT | O_WRONLY | flags, 0644);
		sys(dup2, fd, 1);
		sys(close, fd);
		sys(execve, self, args, environ);
		_exit(97);
	}
	wait_child("child", pid);
	show_file(out);
}

static void at(void)
{
	char *args[] = { "chosen name", (char *)T, "at", NULL }, *env[] = { "GUEST=set", NULL };
	int program = open(self, O_RDONLY | O_CLOEXEC), dirfd;
	char dir[PATH_MAX], *slash;
	pid_t pid;

	section("execveat");
	pid = fork_clean();
	if (!pid) {
		sys(execveat, program, "", args, env, AT_EMPTY_PATH);
		_exit(97);
	}
	wait_child("by descriptor", pid);
	strcpy(dir, self);
	slash = strrchr(dir, '/');
	*slash = 0;
	dirfd = open(dir, O_RDONLY);
	pid = fork_clean();
	if (!pid) {
		sys(execveat, dirfd, slash + 1, args, env, 0);
		_exit(97);
	}
	wait_child("by directory", pid);
	pid = fork_clean();
	if (!pid) {
		sys(execve, self, args, NULL);
		_exit(97);
	}
	wait_child("no environment", pid);
}

static void errors(void)
{
	char *args[] = { "x", NULL };
	int program = open(self, O_RDONLY);

	section("errors");
	SHOW(sys(execve, "/nonexistent/program", args, environ));
	SHOW(sys(execve, "/etc", args, environ));
	SHOW(sys(execve, "/etc/passwd", args, environ));
	SHOW(sys(execve, "/etc/passwd/x", args, environ));
	SHOW(sys(execve, "", args, environ));
	SHOW(sys(execve, NULL, args, environ));
	SHOW(sys(execve, BAD_KERNEL, args, environ));
	SHOW(sys(execve, self, BAD_KERNEL, environ));
	SHOW(sys(execve, self, args, BAD_KERNEL));
	SHOW(sys(execveat, program, "", args, environ, 0));
	SHOW(sys(execveat, program, "x", args, environ, 0));
	SHOW(sys(execveat, -1, "x", args, environ, 0));
	SHOW(sys(execveat, -1, "", args, environ, AT_EMPTY_PATH));
	SHOW(sys(execveat, program, "", args, environ, 1 << 20));
	SHOW(sys(execve, P("missing"), args, environ));
	SHOW(sys(execve, P("missing/x"), args, environ));
	SHOW(sys(execve, P("hello.txt/x"), args, environ));
	puts("still here");
}

int main(int argc, char **argv)
{
	int fd;

	if (argc > 2)
		return child(argc, argv);
	guest_init(argc, argv);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	inheritance("lines.txt", O_RDONLY, true);
	inheritance("lines.txt", O_RDWR, true);
	inheritance("lines.txt", O_RDWR, false);
	inheritance("sizes/s3145745", O_RDONLY, true);
	inheritance("sizes/s3145745", O_RDONLY, false);
	redirect("lines.txt", "out", O_TRUNC);
	redirect("hello.txt", "out", O_APPEND);
	redirect("sizes/s131073", "out2", O_TRUNC);
	redirect("sizes/s3145745", "out2", O_TRUNC);
	at();
	errors();
	/* At last this process itself, with a file it had open. */
	fd = sys(open, P("hello.txt"), O_RDWR);
	fflush(stdout);
	sys(execve, self, ((char *[]){ self, (char *)T, "itself", number(fd), NULL }), environ);
	return 96;
}
