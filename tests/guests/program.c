/* execve, execveat of programs and scripts that are in the tree; what they then know of themselves. */
#include <sys/prctl.h>

#include "guest.h"

extern char **environ;

static const char *below(const char *path)
{
	return !strncmp(path, T, strlen(T)) ? path + strlen(T) : path;
}

static void about_self(int argc, char **argv)
{
	char name[17] = "", exe[PATH_MAX] = "", first[4] = "";
	struct stat st = { .st_size = -1 };
	int fd = open("/proc/self/exe", O_RDONLY);

	prctl(PR_GET_NAME, name);
	if (readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0)
		strcpy(exe, "?");
	printf("   comm %s, exe %s, env %s\n", name, below(exe), getenv("GUEST") ? getenv("GUEST") : "none");
	printf("   arguments %d:", argc);
	for (int i = 0; i < argc; i++)
		printf(" \"%s\"", !strncmp(argv[i], "/dev/fd/", 8) ? "/dev/fd/N" : below(argv[i]));
	if (fd >= 0) {
		fstat(fd, &st);
		if (read(fd, first, 4) != 4)
			strcpy(first, "?");
		close(fd);
	}
	printf("\n   size of exe %s, %s\n", st.st_size > 1000 ? "large" : "small", !memcmp(first, "\177ELF", 4) ? "ELF" : "not ELF");
	fflush(stdout);
}

static void copy(const char *from, const char *to, int mode)
{
	static char buf[1 << 16];
	int in = open(from, O_RDONLY), out = open(to, O_CREAT | O_WRONLY | O_TRUNC, 0644);
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			printf("copy: %s\n", err_name(errno));
	close(in);
	close(out);
	SHOW(chmod(to, (mode_t)mode));
}

static void write_file(const char *name, const char *text, int mode)
{
	FILE *f = fopen(P(name), "w");

	fputs(text, f);
	fclose(f);
	chmod(P(name), (mode_t)mode);
}

static void script(const char *name, const char *before, const char *interp, const char *after)
{
	char text[PATH_MAX * 2];

	snprintf(text, sizeof(text), "#!%s%s%s\n", before, interp, after);
	write_file(name, text, 0755);
}

#define RUN(label, call)                                                        \
	do {                                                                    \
		printf("-- %s\n", label);                                       \
		pid_t pid_ = fork_clean();                                      \
		if (!pid_) {                                                    \
			call;                                                   \
			printf("   failed: %s\n", err_name(errno));             \
			fflush(stdout);                                         \
			_exit(99);                                              \
		}                                                               \
		wait_child("ended", pid_);                                      \
	} while (0)

static void run(const char *name, const char *argument)
{
	char *args[] = { "zero", "-", (char *)T, (char *)argument, NULL }, *env[] = { "GUEST=set", NULL };

	RUN(name, sys(execve, P(name), args, env));
}

static void run_at(int flags, const char *dir, const char *name)
{
	char label[300], *args[] = { "zero", "-", (char *)T, NULL };

	snprintf(label, sizeof(label), "execveat %s, \"%s\", %#x", dir, name, flags);
	RUN(label, sys(execveat, open(P(dir), O_RDONLY), name, args, environ, flags));
}

static void by_descriptor(const char *name, int open_flags)
{
	char label[300], *args[] = { "zero", "-", (char *)T, NULL };

	snprintf(label, sizeof(label), "by descriptor %s %#o", name, open_flags);
	RUN(label, sys(execveat, open(P(name), open_flags), "", args, environ, AT_EMPTY_PATH));
}

static void scripts(void)
{
	char long_line[400];

	memset(long_line, 'x', sizeof(long_line));
	long_line[399] = '\0';
	script("plain.sh", "", P("bin/prog"), "");
	script("arg.sh", "  ", P("bin/prog"), "  - \t two words  ");
	script("nested.sh", "", P("arg.sh"), " more");
	script("local.sh", "", "/bin/sh", " -e\necho local \"$0\" \"$1\" | sed s,/.*/,,");
	script("missing.sh", "", P("nowhere"), "");
	script("dir.sh", "", P("dir"), "");
	script("long.sh", "/", long_line, "");
	script("self.sh", "", P("self.sh"), "");
	write_file("empty.sh", "#!\n", 0755);
	write_file("blank.sh", "#!   \t \n", 0755);
	write_file("text", "echo hello\n", 0755);
	write_file("nothing", "", 0755);
	write_file("cut", "\177ELF", 0755);
	script("plain-no-x.sh", "", P("bin/prog"), "");
	chmod(P("plain-no-x.sh"), 0644);
	for (const char *const *s = (const char *const[]){ "plain.sh", "arg.sh", "nested.sh", "local.sh", "missing.sh", "dir.sh", "long.sh",
							   "self.sh", "empty.sh", "blank.sh", "text", "nothing", "cut",
							   "plain-no-x.sh", NULL }; *s; s++)
		run(*s, "argument");
	by_descriptor("plain.sh", O_RDONLY);
	by_descriptor("plain.sh", O_RDONLY | O_CLOEXEC);
	run_at(0, ".", "plain.sh");
	run_at(0, "dir", "../arg.sh");
}

static void errors(void)
{
	char *args[] = { "zero", "-", (char *)T, NULL };
	int fd;

	run("hello.txt", NULL);
	run("dir", NULL);
	run("nowhere", NULL);
	run("hello.txt/x", NULL);
	run("bin/prog/", NULL);
	run("bin/no-x", NULL);
	run("link", NULL);
	run_at(AT_SYMLINK_NOFOLLOW, ".", "link");
	run_at(AT_SYMLINK_NOFOLLOW, ".", "bin/prog");
	run_at(0x4000, ".", "bin/prog");
	run_at(0, ".", "");
	RUN("bad argv", sys(execve, P("bin/prog"), BAD_LOW, environ));
	RUN("bad argv of a script", sys(execve, P("plain.sh"), BAD_LOW, environ));
	RUN("bad envp", sys(execve, P("bin/prog"), args, BAD_LOW));
	RUN("no argv for a script", sys(execve, P("local.sh"), NULL, environ));
	RUN("no descriptor", sys(execveat, -1, "bin/prog", args, environ, 0));
	fd = open(P("bin/prog"), O_WRONLY);
	run("bin/prog", NULL);
	close(fd);
	run("bin/prog", NULL);
}

static void in_vfork(void)
{
	char *args[] = { "zero", "-", (char *)T, NULL }, path[PATH_MAX];

	strcpy(path, P("arg.sh"));
	for (int i = 0; i < 3; i++) {
		fflush(stdout);
		pid_t pid = vfork();

		if (!pid) {
			execve(path, args, environ);
			_exit(98);
		}
		wait_child("vfork", pid);
	}
}

static void changed(void)
{
	char *args[] = { "zero", "-", (char *)T, NULL };

	section("changed, moved");
	SHOW(rename(P("bin/prog"), P("bin/moved")));
	run("bin/moved", NULL);
	copy("/proc/self/exe", P("bin/prog"), 0700);
	run("bin/prog", NULL);
	write_file("bin/prog", "not a program any more", 0755);
	run("bin/prog", NULL);
	SHOW(chdir(P("bin")));
	RUN("relative to the working directory", sys(execve, "./moved", args, environ));
}

int main(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], "-")) {
			for (T = "/"; i < argc; i++)
				if (argv[i][0] == '/')
					T = argv[i];
			about_self(argc, argv);
			return argc;
		}
	guest_init(argc, argv);
	SHOW(mkdir(P("bin"), 0755));
	copy("/proc/self/exe", P("bin/prog"), 0755);
	copy("/proc/self/exe", P("bin/no-x"), 0644);
	SHOW(symlink("bin/prog", P("link")));
	run("bin/prog", NULL);
	run("bin/prog", "argument");
	by_descriptor("bin/prog", O_RDONLY);
	by_descriptor("bin/prog", O_PATH | O_CLOEXEC);
	run_at(0, "bin", "prog");
	run_at(0, ".", "bin//prog");
	run_at(0, "dir", "../link");
	section("scripts");
	scripts();
	section("errors");
	errors();
	in_vfork();
	changed();
	return 0;
}
