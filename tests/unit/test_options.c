/* The command line: what is taken, and that every refusal is one line that says what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "options.h"
#include "stub_handlers.h"

static struct options o;
static char output[65536], errors[4096];

static void slurp(int fd, char *buf, size_t len)
{
	ssize_t n = pread(fd, buf, len - 1, 0);

	buf[n > 0 ? n : 0] = 0;
	close(fd);
}

static int swap_fd(int fd, const char *name)
{
	int temporary = memfd_create(name, MFD_CLOEXEC), saved = fcntl(fd, F_DUPFD_CLOEXEC, 10);

	dup2(temporary, fd);
	close(temporary);
	return saved;
}

static void restore_fd(int fd, int saved, char *buf, size_t len)
{
	int written = fcntl(fd, F_DUPFD_CLOEXEC, 10);

	dup2(saved, fd);
	close(saved);
	slurp(written, buf, len);
}

/* options_parse of the words after "remotefs-trace", up to a NULL. */
static int parse(const char *first, ...)
{
	static char *argv[64];
	int argc = 1, r;
	va_list ap;

	argv[0] = (char *)"remotefs-trace";
	va_start(ap, first);
	for (const char *s = first; s; s = va_arg(ap, const char *))
		argv[argc++] = (char *)s;
	va_end(ap);
	argv[argc] = NULL;
	options_free(&o);
	fflush(NULL);
	int out = swap_fd(1, "out"), err = swap_fd(2, "err");
	r = options_parse(argc, argv, &o);
	fflush(NULL);
	restore_fd(1, out, output, sizeof(output));
	restore_fd(2, err, errors, sizeof(errors));
	return r;
}

/* It was refused with one line that contains WHAT. */
static void check_refused(int r, const char *what)
{
	assert_int_equal(r, EXIT_USAGE);
	assert_string_equal(output, "");
	assert_int_equal(strncmp(errors, "remotefs-trace: ", 16), 0);
	assert_non_null(strchr(errors, '\n'));
	assert_string_equal(strchr(errors, '\n'), "\n");
	if (!strstr(errors, what))
		fail_msg("\"%s\" is not in: %s", what, errors);
}

#define OK(...) assert_int_equal(parse(__VA_ARGS__, NULL), 0)
#define REFUSED(what, ...) check_refused(parse(__VA_ARGS__, NULL), what)

static void test_defaults(void **state)
{
	OK("--target", "dir/srv", "ls");
	assert_string_equal(o.target, "dir/srv");
	assert_int_equal(o.mode, MODE_OVERLAY);
	assert_int_equal(o.trap, TRAP_AUTO);
	assert_int_equal(o.mount_count, 0);
	assert_int_equal(o.log.string_max, 32);
	assert_int_equal(o.log.stamp, LOG_NO_TIME);
	assert_null(o.log.file);
	assert_null(o.log.trace);
	assert_false(o.log.verbose);
	assert_string_equal(o.program_argv[0], "ls");
	assert_null(o.program_argv[1]);
}

static void test_options_end_at_the_program(void **state)
{
	OK("--target=dir/srv", "ls", "--target", "-l", "--help");
	assert_string_equal(o.program_argv[1], "--target");
	assert_string_equal(o.program_argv[3], "--help");
	OK("--target=dir/srv", "--", "-x", "y");
	assert_string_equal(o.program_argv[0], "-x");
}

static void test_log_options(void **state)
{
	OK("--mode", "local", "-o", "/tmp/log", "-e", "trace=open,close", "-tt", "-T", "-y", "-s", "100", "-q", "-c",
	   "-v", "true");
	assert_int_equal(o.mode, MODE_LOCAL);
	assert_string_equal(o.log.file, "/tmp/log");
	assert_string_equal(o.log.trace, "open,close");
	assert_int_equal(o.log.stamp, LOG_TIME_US);
	assert_true(o.log.spent && o.log.show_paths && o.log.quiet && o.log.counts && o.log.verbose);
	assert_int_equal(o.log.string_max, 100);
	OK("--mode=local", "-t", "true");
	assert_int_equal(o.log.stamp, LOG_TIME);
	OK("--mode=local", "-ttt", "true");
	assert_int_equal(o.log.stamp, LOG_TIME_EPOCH);
	OK("--mode=local", "-tttt", "true");
	assert_int_equal(o.log.stamp, LOG_TIME_EPOCH);
	OK("--mode=local", "-r", "true");
	assert_int_equal(o.log.stamp, LOG_TIME_RELATIVE);
	OK("--mode=local", "-e", "!%file", "true");
	assert_string_equal(o.log.trace, "!%file");
	OK("--mode=local", "-e", "t=none", "true");
	assert_string_equal(o.log.trace, "none");
	OK("--mode=local", "--stats", "/tmp/stats.json", "true");
	assert_string_equal(o.log.stats_file, "/tmp/stats.json");
}

static void test_modes(void **state)
{
	OK("--mode=write", "--trap=notify", "--target=dir/srv", "true");
	assert_int_equal(o.mode, MODE_WRITE);
	assert_int_equal(o.trap, TRAP_NOTIFY);
	OK("--trap", "ptrace", "--target=dir/srv", "true");
	assert_int_equal(o.trap, TRAP_PTRACE);
	OK("--mode=read", "--trap", "auto", "--target=dir/srv", "true");
	assert_int_equal(o.mode, MODE_READ);
	assert_false(o.posix_numbers);
	OK("--fd-numbering=posix", "--target=dir/srv", "true");
	assert_true(o.posix_numbers);
	OK("--fd-numbering", "high", "--target=dir/srv", "true");
	assert_int_equal(o.sync, BEHIND_CLOSE);
	OK("--sync=always", "--target=dir/srv", "true");
	assert_int_equal(o.sync, BEHIND_NEVER);
	OK("--sync", "fsync", "--target=dir/srv", "true");
	assert_int_equal(o.sync, BEHIND_FSYNC);
	assert_false(o.posix_numbers);
	assert_false(o.no_cache);
	assert_int_equal(o.lease, 0);
	OK("--cache=none", "--target=dir/srv", "true");
	assert_true(o.no_cache);
	OK("--cache", "ttl=0.5", "--target=dir/srv", "true");
	assert_false(o.no_cache);
	assert_int_equal(o.lease, 500000000);
	OK("--cache=ttl=3", "--cache=watch", "--target=dir/srv", "true");
	assert_int_equal(o.lease, 0);
}

static void test_cache_size(void **state)
{
	OK("--target=dir/srv", "true");
	assert_int_equal(o.cache_size, 256 << 20);
	OK("--target=dir/srv", "--cache-size=0", "true");
	assert_int_equal(o.cache_size, 0);
	OK("--target=dir/srv", "--cache-size=4097", "true");
	assert_int_equal(o.cache_size, 4097);
	OK("--target=dir/srv", "--cache-size", "3k", "true");
	assert_int_equal(o.cache_size, 3072);
	OK("--target=dir/srv", "--cache-size=2M", "true");
	assert_int_equal(o.cache_size, 2 << 20);
	OK("--target=dir/srv", "--cache-size=5G", "true");
	assert_int_equal(o.cache_size, 5ull << 30);
}

static void check_mount(size_t i, const char *path, const char *target, const char *sub)
{
	assert_true(i < o.mount_count);
	assert_string_equal(o.mounts[i].path, path);
	assert_string_equal(o.mounts[i].target, target);
	assert_string_equal(o.mounts[i].subpath, sub);
}

static void test_mounts(void **state)
{
	OK("--mount", "/etc//app/../x/=dir/srv/tree", "--mount", "/var=dir/srv:/sub//dir/", "true");
	assert_int_equal(o.mount_count, 2);
	check_mount(0, "/etc/x", "dir/srv/tree", "/");
	check_mount(1, "/var", "dir/srv", "/sub/dir");
	/* The last ":/" splits; what a command has of its own, and the scheme's colon, do not. */
	OK("--mount", "/a=exec:ssh -p 2:2 host agent:/x:/srv", "--mount", "/b=exec:/usr/bin/agent", "--mount",
	   "/c=exec:/usr/bin/agent a=b:/", "--mount", "/d=exec:agent host:port", "true");
	check_mount(0, "/a", "exec:ssh -p 2:2 host agent:/x", "/srv");
	check_mount(1, "/b", "exec:/usr/bin/agent", "/");
	check_mount(2, "/c", "exec:/usr/bin/agent a=b", "/");
	check_mount(3, "/d", "exec:agent host:port", "/");
}

static void test_relative_mount(void **state)
{
	char cwd[PATH_MAX];

	assert_return_code(chdir("/usr/lib"), 0);
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	OK("--mount", "../share/x=dir/srv", "true");
	check_mount(0, "/usr/share/x", "dir/srv", "/");
	OK("--mount", ".=dir/srv", "true");
	check_mount(0, "/usr/lib", "dir/srv", "/");
	assert_return_code(chdir("/"), 0);
}

static void test_mount_modes(void **state)
{
	OK("--mount", "/a=dir/srv,mode=write", "--mount", "/b=dir/srv:/sub,mode=read", "--mount", "/c=exec:agent x,mode=read y",
	   "--mount", "/d=exec:agent ,mode=read,mode=write", "--mode=write", "true");
	check_mount(0, "/a", "dir/srv", "/");
	assert_int_equal(o.mounts[0].mode, MODE_WRITE);
	check_mount(1, "/b", "dir/srv", "/sub");
	assert_int_equal(o.mounts[1].mode, MODE_READ);
	check_mount(2, "/c", "exec:agent x,mode=read y", "/");
	check_mount(3, "/d", "exec:agent ,mode=read", "/");
	assert_int_equal(o.mounts[3].mode, MODE_WRITE);
	OK("--mount", "/a=dir/srv", "--mode", "write", "true");
	assert_int_equal(o.mounts[0].mode, MODE_WRITE);
	REFUSED("\"rw\" is no mode", "--mount", "/a=dir/srv,mode=rw", "true");
	REFUSED("a tree that is local is no mount", "--mount", "/a=dir/srv,mode=local", "true");
}

static void test_bad_mounts(void **state)
{
	REFUSED("--mount \"/etc\"", "--mount", "/etc", "true");
	REFUSED("PATH=TARGET", "--mount", "=dir/srv", "true");
	REFUSED("nfs", "--mount", "/etc=nfs:x", "true");
	REFUSED("given twice", "--mount", "/etc=dir/a", "--mount", "/etc/=dir/b", "true");
	REFUSED("--target is there already", "--target", "dir/srv", "--mount", "/=dir/b", "true");
}

static void test_refusals(void **state)
{
	REFUSED("nothing would be remote", "true");
	REFUSED("no program", "--target", "dir/srv");
	REFUSED("empty", "--target", "dir/srv", "");
	REFUSED("\"ftp/x\"", "--target", "ftp/x", "true");
	REFUSED("one target", "--target", "dir/a", "--target", "dir/b", "true");
	REFUSED("--mode: feature.fs.mode: \"both\" is no mode; use overlay, read", "--target", "dir/a", "--mode", "both", "true");
	REFUSED("\"magic\"", "--target", "dir/a", "--trap=magic", "true");
	REFUSED("\"ever\"", "--target", "dir/a", "--cache=ever", "true");
	REFUSED("\"ttl=\"", "--target", "dir/a", "--cache=ttl=", "true");
	REFUSED("\"ttl=1x\"", "--target", "dir/a", "--cache=ttl=1x", "true");
	REFUSED("\"ttl=-1\"", "--target", "dir/a", "--cache=ttl=-1", "true");
	REFUSED("\"ttl=nan\"", "--target", "dir/a", "--cache=ttl=nan", "true");
	REFUSED("\"never\"", "--target", "dir/a", "--sync=never", "true");
	REFUSED("\"low\"", "--target", "dir/a", "--fd-numbering=low", "true");
	REFUSED("--cache-size \"\"", "--target", "dir/a", "--cache-size=", "true");
	REFUSED("--cache-size \"-1\"", "--target", "dir/a", "--cache-size=-1", "true");
	REFUSED("--cache-size \"M\"", "--target", "dir/a", "--cache-size=M", "true");
	REFUSED("--cache-size \"1T\"", "--target", "dir/a", "--cache-size=1T", "true");
	REFUSED("--cache-size \"1MB\"", "--target", "dir/a", "--cache-size=1MB", "true");
	REFUSED("--cache-size \"17179869184G\"", "--target", "dir/a", "--cache-size=17179869184G", "true");
	REFUSED("--cache-size \"99999999999999999999\"", "--target", "dir/a", "--cache-size=99999999999999999999", "true");
	REFUSED("-z: there is no such option", "-z", "true");
	REFUSED("-z: there is no such option", "-tz", "true");
	REFUSED("--foo: there is no such option", "--foo", "true");
	REFUSED("--m: there is no such option, or it has several endings", "--m", "x", "true");
	REFUSED("--help=x: the option takes no value", "--help=x", "true");
	REFUSED("-o: its argument is missing", "-o");
	REFUSED("--target: its argument is missing", "--target");
	REFUSED("\"opne\"", "-e", "trace=open,opne", "true");
	REFUSED("only trace=", "-e", "signal=none", "true");
	REFUSED("-s \"12x\"", "-s", "12x", "true");
	REFUSED("-s \"-1\"", "-s", "-1", "true");
	REFUSED("-s \"99999999999999999999\"", "-s", "99999999999999999999", "true");
	REFUSED("-o \"\"", "-o", "", "true");
	REFUSED("cannot go to a command", "-o", "|grep x", "true");
	REFUSED("--stats \"/nonexistent/x\"", "--stats", "/nonexistent/x", "true");
	REFUSED("?[31m", "--target", "\033[31m\n", "true");
}

/* What cannot be, or cannot be together. */
static void test_bad_settings(void **state)
{
	REFUSED("--env-include: feature.env.include: exclude is given as well (--env-exclude)", "--target=dir/x", "--env-include=A", "-x", "B",
		"true");
	REFUSED("--env: the target \"dir/x\" has no process", "--target=dir/x", "--env", "true");
	REFUSED("--env-include: there is no target", "--mode=local", "--env-include", "A", "true");
	OK("--target=dir/x", "--env", "--no-env", "true");
	OK("--target=targetless", "--mount", "/a=dir/x", "true");
	assert_null(o.target);
	REFUSED("no --target", "--target=targetless", "true");
	OK("--target=dir/x", "--env-exclude=*", "true");
	REFUSED("--map \"/a\": two parts", "--target=dir/x", "--map", "/a", "true");
	REFUSED("--map: feature.fs.mapping: ", "--target=dir/x", "--map", "(=b", "true");
	REFUSED("--env-set \"=b\"", "--target=dir/x", "--env-set", "=b", "true");
	REFUSED("--agent-startup-timeout: agent.startup_timeout: \"1s\"", "--target=dir/x", "--agent-startup-timeout=1s", "true");
	REFUSED("/nonexistent.json: cannot be read", "-f", "/nonexistent.json", "--target=dir/x", "true");
	REFUSED(".mirrord/mirrord.json: cannot be read", "-f", "--target=dir/x", "true");
	REFUSED("pid/self\" names no process", "--target=pid/self", "true");
}

static void test_help(void **state)
{
	static const char *const words[] = {"--target", "--mount", "--mode", "--trap", "--fd-numbering", "--cache-size", "--sync", "--stats", "-o FILE",
					    "-e",	"-ttt",	   "-r",     "-T",     "-y",	   "-s N",
					    "-q",	"-c",	   "-v",     "--help", "--version"};

	assert_int_equal(parse("--help", NULL), -1);
	assert_string_equal(errors, "");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		assert_non_null(strstr(output, words[i]));
	assert_int_equal(parse("-h", NULL), -1);
	assert_int_equal(parse("--version", NULL), -1);
	assert_string_equal(output, "remotefs-trace " VERSION "\n");
}

static int end(void **state)
{
	options_free(&o);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),    cmocka_unit_test(test_options_end_at_the_program),
		cmocka_unit_test(test_log_options), cmocka_unit_test(test_modes),
		cmocka_unit_test(test_mounts),	    cmocka_unit_test(test_relative_mount),
		cmocka_unit_test(test_mount_modes), cmocka_unit_test(test_bad_mounts),
		cmocka_unit_test(test_refusals),    cmocka_unit_test(test_bad_settings),
		cmocka_unit_test(test_help),	    cmocka_unit_test(test_cache_size),
	};

	return cmocka_run_group_tests(tests, NULL, end);
}
