/* Targets: what is accepted, what it is called, and what starting one leaves behind. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "child.h"
#include "reach.h"
#include "target.h"
#include "util.h"

void die(const char *format, ...)
{
	fail_msg("%s", format);
	abort();
}

static const struct reach plain;
static char err[1024], dir[PATH_MAX], start_dir[PATH_MAX];

static void refused(const char *target, const char *reason)
{
	assert_int_equal(target_check(target, err, sizeof(err)), -EINVAL);
	if (!strstr(err, reason))
		fail_msg("\"%s\" does not say \"%s\"", err, reason);
}

static void test_check(void **state)
{
	assert_int_equal(target_check("dir/srv", err, sizeof(err)), 0);
	assert_int_equal(target_check("dir//srv", err, sizeof(err)), 0);
	assert_int_equal(target_check("exec:ssh host remotefs-agent --stdio", err, sizeof(err)), 0);
	refused("dir/", "names no directory");
	refused("exec:", "has no command");
	refused("exec: \t", "has no command");
	refused("", "\"\" is not a target");
	refused("dir", "\"dir\" is not a target");
	assert_int_equal(target_check("label/app.kubernetes.io/name=web,tier=front", err, sizeof(err)), 0);
	assert_int_equal(target_check("ssh/me@[::1]:22", err, sizeof(err)), 0);
	refused("pod/", "names no pod");
	refused("deploy/a/b", "names no deployment");
	refused("pod/--all", "names no pod");
	refused("pod/x/container/", "names no container");
	refused("sts/x/container/-it", "names no container");
	refused("label/web", "names no label");
	refused("docker/", "names no container");
	refused("docker/-it", "names no container");
	refused("ssh/", "names no host");
	refused("ssh/-oProxyCommand=x", "names no host");
	refused("ssh/host:0", "has no port");
	refused("ssh/host:99999", "has no port");
	refused("tcp:host:0", "port 0");
	refused("pods", "dir/PATH");
	assert_int_equal(target_check("unix:/run/agent", err, sizeof(err)), 0);
	assert_int_equal(target_check("tcp:[::1]:7000", err, sizeof(err)), 0);
	refused("unix:", "names no socket");
	refused("tcp:db", "names no port");
	refused("tcp:db:0", "has port 0");
	refused("/srv", "exec:COMMAND");
}

static void parsed(const char *target, enum target_kind kind, const char *name, const char *container, const char *port)
{
	struct target t;

	assert_int_equal(target_parse(target, &t, err, sizeof(err)), 0);
	assert_int_equal(t.kind, kind);
	assert_string_equal(t.name, name);
	assert_string_equal(t.container, container);
	assert_string_equal(t.port, port);
}

static void test_parse(void **state)
{
	parsed("pod/x", TARGET_KUBE, "x", "", "");
	parsed("deploy/web/container/app", TARGET_KUBE, "web", "app", "");
	parsed("label/a/b=c/container/app", TARGET_KUBE, "a/b=c", "app", "");
	parsed("ssh/me@host", TARGET_SSH, "me@host", "", "");
	parsed("ssh/me@host:22", TARGET_SSH, "me@host", "", "22");
	parsed("ssh/fe80::1", TARGET_SSH, "fe80::1", "", "");
	parsed("ssh/me@[fe80::1]:22", TARGET_SSH, "me@fe80::1", "", "22");
	parsed("docker/name", TARGET_DOCKER, "name", "", "");
	parsed("unix:/run/x", TARGET_UNIX, "unix:/run/x", "", "");
}

static void subpath_is(const char *target, const char *rest)
{
	char copy[256], *at;

	snprintf(copy, sizeof(copy), "%s", target);
	at = target_find_subpath(copy);
	if (!rest)
		assert_null(at);
	else
		assert_string_equal(at, rest);
}

static void test_subpath(void **state)
{
	subpath_is("pod/x", NULL);
	subpath_is("pod/x:/srv", ":/srv");
	subpath_is("tcp:host:70:/srv", ":/srv");
	subpath_is("unix:/run/x", NULL);
	subpath_is("unix:/run/x:/srv", ":/srv");
	subpath_is("exec:/bin/agent a:/b", ":/b");
	subpath_is("ssh/host:22:/a:/b", ":/b");
}

static void tagged(const char *target, const char *tag)
{
	char got[PATH_MAX];
	target_tag(target, got, sizeof(got));
	assert_string_equal(got, tag);
}

static void test_tag(void **state)
{
	char small[8];
	tagged("dir//usr", "dir:/usr");
	tagged("dir//usr/../usr/", "dir:/usr");
	tagged("dir/usr", "dir:/usr");
	tagged("dir//", "dir:/");
	tagged("dir/no/such", "dir:no/such");
	tagged("exec:remotefs-agent --stdio", "exec:remotefs-agent");
	tagged("exec:  ./build/remotefs-agent", "exec:remotefs-agent");
	tagged("exec:LC_ALL=C exec /usr/bin/ssh host x=1", "exec:ssh");
	tagged("exec:", "exec:");
	tagged("tcp:db:7000", "tcp:db:7000");
	target_tag("exec:remotefs-agent", small, sizeof(small));
	assert_string_equal(small, "exec:re");
}

/* What is here goes before what is at the root. */
static void test_tag_relative(void **state)
{
	char want[PATH_MAX + 16];
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(mkdir("usr", 0755), 0);
	assert_int_equal(symlink("usr", "link"), 0);
	snprintf(want, sizeof(want), "dir:%s/usr", dir);
	tagged("dir/usr", want);
	tagged("dir/link", want);
	tagged("dir//usr", "dir:/usr");
	snprintf(want, sizeof(want), "dir:%s", dir);
	tagged("dir/.", want);
	assert_int_equal(unlink("link"), 0);
	assert_int_equal(rmdir("usr"), 0);
	assert_int_equal(chdir(start_dir), 0);
}

static void start_fails(const char *target, int code, const char *reason)
{
	struct target_stream s;
	assert_int_equal(reach_start(&plain, target, &s, err, sizeof(err)), code);
	if (!strstr(err, reason))
		fail_msg("\"%s\" does not say \"%s\"", err, reason);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_start_errors(void **state)
{
	char target[PATH_MAX + 16];
	start_fails("dir//no/such", -ENOENT, "there is no directory \"/no/such\"");
	start_fails("dir/no/such", -ENOENT, "there is no directory \"no/such\" here and no \"/no/such\"");
	start_fails("dir//etc/passwd", -ENOTDIR, "\"/etc/passwd\" is not a directory");
	start_fails("dir/etc/passwd", -ENOTDIR, "\"/etc/passwd\" is not a directory");
	start_fails("dir//usr", -ENOENT, "the agent program is missing");
	start_fails("exec:", -EINVAL, "has no command");
	start_fails("tcp:db", -EINVAL, "names no port");
	setenv("REMOTEFS_TOKEN", "0123456789abcdef", 1);
	start_fails("unix:/no/such", -ENOENT, "there is no such socket");
	start_fails("pid", -EINVAL, "is not a target");
	snprintf(target, sizeof(target), "dir/%s/loop/x", dir);
	char loop[PATH_MAX + 8];
	snprintf(loop, sizeof(loop), "%s/loop", dir);
	assert_int_equal(symlink("loop", loop), 0);
	start_fails(target, -ELOOP, "cannot be used: Too many levels of symbolic links");
	unlink(loop);
}

/* All that comes from the stream until its end. */
static size_t drain(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;
	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
		len += n;
	buf[len] = '\0';
	return len;
}

static void stream_end(struct target_stream *s)
{
	close(s->in);
	if (s->out != s->in)
		close(s->out);
	child_stop(s->pid, 1000);
	assert_int_equal(waitpid(s->pid, NULL, 0), -1);
}

static void started(const char *target, struct target_stream *s)
{
	if (reach_start(&plain, target, s, err, sizeof(err)) != 0)
		fail_msg("%s", err);
	assert_true(fcntl(s->in, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(s->out, F_GETFD) & FD_CLOEXEC);
}

/* Where an agent is looked for first. */
static void beside(char *path)
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 32);
	assert_true(n > 0);
	path[n] = '\0';
	strcpy(strrchr(path, '/'), "/remotefs-agent");
}

static void test_dir_arguments(void **state)
{
	char agent[PATH_MAX + 8], target[PATH_MAX + 8], want[PATH_MAX + 32], got[PATH_MAX + 32];
	struct target_stream s;
	beside(agent);
	FILE *f = fopen(agent, "w");
	fputs("#!/bin/sh\necho \"$@\"\nread line\necho \"$line\"\n", f);
	fclose(f);
	assert_int_equal(chmod(agent, 0755), 0);
	snprintf(target, sizeof(target), "dir/%s", dir);
	started(target, &s);
	assert_int_equal(write(s.out, "over and out\n", 13), 13);
	drain(s.in, got, sizeof(got));
	snprintf(want, sizeof(want), "--stdio --root %s\nover and out\n", dir);
	assert_string_equal(got, want);
	stream_end(&s);
	unlink(agent);
}

/* The child's signals, descriptors and session are what a program expects, whatever ours are. */
static void test_exec_surroundings(void **state)
{
	char got[4096];
	struct target_stream s;
	sigset_t all, old;
	int extra = open("/dev/null", O_RDONLY);
	/* sed: signals 32 and 33 are libc's own; posix_spawn leaves them ignored, and nobody can set them back. */
	signal(SIGUSR1, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	started("exec:grep -E '^Sig(Blk|Ign)' /proc/self/status | sed s/[01]80000000$/000000000/; ls /proc/self/fd; cut -d' ' -f6 /proc/$$/stat; echo "
		"$$", &s);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGUSR1, SIG_DFL);
	drain(s.in, got, sizeof(got));
	char want[256];
	snprintf(want, sizeof(want), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0\n1\n2\n3\n%d\n%d\n",
		 s.pid, s.pid);
	assert_string_equal(got, want);
	stream_end(&s);
	close(extra);
}

/* Standard descriptors that are closed in the parent must not be mixed up with the stream. */
static void test_exec_closed_stdio(void **state)
{
	char got[64] = "";
	pid_t pid = fork();
	if (pid == 0) {
		struct target_stream s;
		close(0);
		close(1);
		if (reach_start(&plain, "exec:cat", &s, err, sizeof(err)) != 0 || write(s.out, "echo\n", 5) != 5)
			_exit(1);
		close(s.out);
		drain(s.in, got, sizeof(got));
		child_stop(s.pid, 1000);
		_exit(strcmp(got, "echo\n") == 0 ? 0 : 2);
	}
	int status;
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

static void fate_is(const char *command, const char *want)
{
	char target[128], got[128];
	struct target_stream s;
	snprintf(target, sizeof(target), "exec:%s", command);
	started(target, &s);
	assert_int_equal(child_fate(s.pid, 5000, got, sizeof(got)), 0);
	assert_string_equal(got, want);
	assert_int_equal(child_fate(s.pid, 0, got, sizeof(got)), 0);
	stream_end(&s);
	assert_int_equal(child_fate(s.pid, 0, got, sizeof(got)), -ECHILD);
}

static void test_fate(void **state)
{
	char got[128];
	struct target_stream s;
	fate_is("exit 3", "exited with status 3");
	fate_is("kill -9 $$", "was killed by SIGKILL");
	fate_is("/no/such/program 2>/dev/null", "exited with status 127 (command not found)");
	fate_is("/etc/passwd 2>/dev/null", "exited with status 126 (command cannot be run)");
	started("exec:cat", &s);
	assert_int_equal(child_fate(s.pid, 20, got, sizeof(got)), -ETIMEDOUT);
	stream_end(&s);
}

/* PID, which nobody here reaps, runs no more: within two seconds. */
static bool ends(pid_t pid)
{
	char stat[64], state = 0;
	snprintf(stat, sizeof(stat), "/proc/%d/stat", pid);
	for (int i = 0; i < 2000; i++) {
		FILE *f = fopen(stat, "r");
		int n = f ? fscanf(f, "%*d %*s %c", &state) : 0;
		if (f)
			fclose(f);
		if (n != 1 || state == 'Z' || state == 'X')
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

/* A shell that ignores SIGTERM and its child are both gone afterwards. */
static void test_stop_group(void **state)
{
	char got[64] = "";
	struct target_stream s;
	started("exec:trap '' TERM; sleep 1000 & echo $!; sleep 1000", &s);
	assert_true(read(s.in, got, sizeof(got) - 1) > 0);
	stream_end(&s);
	assert_true(atoi(got) > 0 && ends(atoi(got)));
	child_stop(0, 1000);
}

/* We are killed without a chance to clean up; the agent sees the end of its input. */
static void test_killed(void **state)
{
	int report[2];
	pid_t agent;
	assert_int_equal(pipe(report), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct target_stream s;
		if (reach_start(&plain, "exec:cat >/dev/null; true", &s, err, sizeof(err)) != 0)
			_exit(1);
		_exit(write(report[1], &s.pid, sizeof(s.pid)) == sizeof(s.pid) ? pause() : 1);
	}
	assert_int_equal(read(report[0], &agent, sizeof(agent)), sizeof(agent));
	poll(NULL, 0, 20);
	assert_int_equal(kill(agent, 0), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(ends(agent));
	close(report[0]);
	close(report[1]);
}

static void test_find_agent(void **state)
{
	char path[PATH_MAX], self[PATH_MAX];
	beside(self);
	int made = open(self, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0755);
	assert_int_equal(target_find_agent(NULL, path, sizeof(path), err, sizeof(err)), 0);
	assert_string_equal(path, self);
	assert_int_equal(target_find_agent(NULL, path, 4, err, sizeof(err)), -ENOENT);
	if (made < 0)
		return;
	close(made);
	unlink(self);
	if (access(LIBEXECDIR "/remotefs-agent", X_OK) == 0)
		return;
	assert_int_equal(target_find_agent(NULL, path, sizeof(path), err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, self));
	assert_non_null(strstr(err, LIBEXECDIR "/remotefs-agent"));
}

static int setup(void **state)
{
	strcpy(dir, "/tmp/test_target.XXXXXX");
	return mkdtemp(dir) && getcwd(start_dir, sizeof(start_dir)) && chdir("/") == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_subpath),
		cmocka_unit_test(test_tag),
		cmocka_unit_test(test_tag_relative),
		cmocka_unit_test(test_start_errors),
		cmocka_unit_test(test_dir_arguments),
		cmocka_unit_test(test_exec_surroundings),
		cmocka_unit_test(test_exec_closed_stdio),
		cmocka_unit_test(test_fate),
		cmocka_unit_test(test_stop_group),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_find_agent),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, setup, teardown);
}
