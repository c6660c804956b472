/* remotefs-trace: runs a program here while its files are there. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "behind.h"
#include "cache.h"
#include "call.h"
#include "carrier.h"
#include "command.h"
#include "config_rules.h"
#include "drain.h"
#include "elf.h"
#include "environment.h"
#include "filter.h"
#include "launch.h"
#include "limit.h"
#include "log.h"
#include "loop.h"
#include "needed.h"
#include "notify.h"
#include "ofd.h"
#include "options.h"
#include "pages.h"
#include "overlay.h"
#include "placeholder.h"
#include "push.h"
#include "pump.h"
#include "relay.h"
#include "rules.h"
#include "spawn.h"
#include "state.h"
#include "sync.h"
#include "util.h"
#include "worker.h"

static void refuse(int status, const char *what, const char *why)
{
	log_error("%s: %s", what, why);
	exit(status);
}

/*
 * The program's path as it will be exec'ed, and what it is; does not return if it cannot be run. False when it is not
 * here, but may be at the TARGET: then PATH is NAME.
 */
static bool find_program(const char *name, bool target, char *path, size_t len, struct elf_info *info)
{
	int rc = spawn_find(name, path, len);

	if (target && (rc == -ENOENT || rc == -ENOTDIR)) {
		snprintf(path, len, "%s", name);
		return false;
	}
	if (rc == -ENOENT || rc == -ENOTDIR)
		refuse(127, name, strchr(name, '/') ? "no such program" : "command not found in PATH");
	if (rc == -EISDIR)
		refuse(126, name, "is a directory, not a program");
	if (rc < 0)
		refuse(126, name, rc == -EACCES ? "not executable (permission denied)" : strerror(-rc));
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	/* A program may be executable and not readable: then it is what it is. */
	if (fd < 0 || elf_classify(fd, info) < 0)
		return true;
	if (info->kind == ELF_FOREIGN || info->kind == ELF_NOT)
		refuse(126, name, info->why);
	if (info->kind == ELF_SCRIPT && access(info->interp, X_OK) < 0) {
		log_error("%s: its interpreter %s cannot be run: %s", name, info->interp, strerror(errno));
		exit(126);
	}
	return true;
}

static void add_defaults(const char *program)
{
	char cwd[PATH_MAX], real[PATH_MAX];

	/* A cwd that has been removed has no name, and no files. */
	rules_add_defaults(program && realpath(program, real) ? real : NULL, getcwd(cwd, sizeof(cwd)));
}

/* What stays local; PROGRAM is that which is run, NULL if it is not here. */
static void set_rules(const struct options *o, const char *program, const struct elf_info *info)
{
	config_add_rules(&o->config);
	if (options_cover_root(o))
		needed_keep_system();
	if (options_cover_root(o) && program)
		needed_keep_program(program, info);
	if (o->target)
		add_defaults(program);
}

/* How long an agent may take to finish what it was told last, in ms. */
#define GOODBYE_MS 10000

/* Ours alone, and a few for the program. */
#define MIN_DESCRIPTORS 32

static void init_limits(bool posix_numbers)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	if (r.rlim_max < MIN_DESCRIPTORS)
		die("the hard limit on open descriptors is %lu, and %d are needed: raise it (ulimit -Hn)",
		    (unsigned long)r.rlim_max, MIN_DESCRIPTORS);
	if (posix_numbers)
		fd_range_none(r.rlim_cur);
	else
		fd_range_init(r.rlim_max);
	limit_init(&r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

static bool name_fd(pid_t tid, int fd, char *buf, size_t len)
{
	bool found = false;

	state_lock();
	struct ofd *o = fd == AT_FDCWD ? ofd_by_cwd(tid) : ofd_by_fd(tid, fd);
	if (o)
		found = ofd_to_program(o, o->path, buf, len) == 0;
	state_unlock();
	return found;
}

/* What was sent last is answered on the way to the goodbyes. */
static void finish_sent(struct mount *const *mounts, size_t count)
{
	state_lock();
	bool waits = sync_has_left() && !loop_aborted();
	state_unlock();
	if (!waits)
		return;
	for (size_t i = 0; i < count; i++)
		link_say_goodbye(mounts[i]->link);
	state_lock();
	sync_land();
	state_unlock();
}

/* What was written natively and is not home yet; then the links' goodbyes. */
static void finish_links(void)
{
	struct link_totals sum = { 0 };
	size_t count;
	struct mount *const *mounts = rules_mounts(&count);

	state_lock();
	if (!loop_aborted()) {
		sync_part();
		drain_all();
		unsigned left = relay_finish(GOODBYE_MS) + pump_finish(GOODBYE_MS);
		if (left)
			log_error("%u remote sockets or FIFOs: what the program wrote last was not taken there within %d s, and is lost",
				  left, GOODBYE_MS / 1000);
	}
	behind_finish();
	for (size_t i = 0; i < count; i++)
		mounts[i]->closing = true;
	state_unlock();
	finish_sent(mounts, count);
	for (size_t i = 0; i < count; i++) {
		struct link_totals t = link_totals(mounts[i]->link);

		sum.round_trips += t.round_trips;
		sum.requests += t.requests;
		sum.bytes_in += t.bytes_in;
		sum.bytes_out += t.bytes_out;
	}
	log_close(&sum);
	launch_finishing();
	for (size_t i = 0; i < count; i++)
		launch_goodbye(mounts[i], GOODBYE_MS);
}

/* Ends as the program did: with its status, or by its signal. */
static void mirror(int status)
{
	if (WIFSIGNALED(status)) {
		struct rlimit none = { 0, 0 };
		sigset_t all;

		setrlimit(RLIMIT_CORE, &none); /* the program's core is the one that matters */
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
		sigemptyset(&all);
		sigprocmask(SIG_SETMASK, &all, NULL);
		_exit(128 + WTERMSIG(status));
	}
	_exit(WEXITSTATUS(status));
}

static void tell_trap(const struct spawned *s)
{
	const char *how = s->listener >= 0 ? "notify" : s->every ? "ptrace, every call" : "ptrace";

	log_set_trap(how);
	if (*s->why)
		log_line(0, "trap: %s, because %s", how, s->why);
}

/* A failed exec says so on S->failure; after a successful one there is only its end. */
static void check_exec(const struct spawned *s, const char *name)
{
	int error;

	if (read(s->failure, &error, sizeof(error)) != sizeof(error))
		return;
	if (error == ENOEXEC)
		log_error("%s: not a program that can be run here (exec format error)", name);
	else if (error == ENOENT || error == ENOTDIR)
		log_error("%s: no such program, neither here nor at the target", name);
	else
		log_error("%s: %s", name, strerror(error));
}

/* What we open must not become the program's, or our own, standard error; the program finds them closed. */
static void guard_standard_fds(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_CLOEXEC) != fd)
			_exit(EXIT_OWN_FAILURE);
}

/* All are blocked in all threads: sigwait takes what somebody sends us, and what tells of the tasks. */
static void take_signals(struct inherited *original)
{
	const struct sigaction by_default = { .sa_handler = SIG_DFL };
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &original->mask);
	/* Ignored, as nohup's kin leave it, it would never tell. */
	sigaction(SIGCHLD, &by_default, &original->on_child);
}

/* The target's is that of the first tree that was given. */
static void set_environment(const struct config *c, struct inherited *original)
{
	char err[512];
	size_t count, len = 0;
	struct mount *const *mounts = rules_mounts(&count);
	CLEANUP_FREE char *block = NULL;

	original->environ = environ;
	if (!environment_is_changed(c))
		return;
	if (environment_is_wanted(c) && environment_fetch(mounts[0]->link, &block, &len, err, sizeof(err)) < 0)
		die("%s: %s: %s", config_from(c, CONFIG_ENV), mounts[0]->tag, err);
	original->environ = environment_make(c, block, len);
}

/* What has to be there before anything is started. */
static void prepare(const struct options *o)
{
	char err[512];

	init_limits(o->posix_numbers);
	cache_policy(!o->no_cache, o->lease);
	pages_set_limit(o->cache_size);
	cache_limit(o->cache_size / 4);
	if (log_open(&o->log) < 0)
		die("cannot write the log: %s: %s", o->log.file ? o->log.file : "standard error", strerror(errno));
	log_set_fd_namer(name_fd);
	if (placeholder_init(err, sizeof(err)) < 0)
		die("%s", err);
	int rc = drain_start();
	if (rc < 0)
		die("cannot watch placeholders: %s (raise fs.inotify.max_user_instances)", strerror(-rc));
}

/* STATUS, unless what was printed did not get out: who reads it from a file must not take it for all. */
static int printed(int status)
{
	bool whole = !fflush(stdout) && !ferror(stdout);

	/* Above 1 a line has told what went wrong. */
	if (whole || status > 1)
		return status;
	log_error("not all of this could be written to standard output: free space there, or give another file");
	return EXIT_OWN_FAILURE;
}

int main(int argc, char **argv)
{
	struct options o;
	struct elf_info info = { .kind = ELF_NOT };
	struct sock_fprog filter = { 0 };
	struct spawned s;
	struct inherited original;
	char path[PATH_MAX], err[512];
	int rc;

	guard_standard_fds();
	command_run command = argc > 1 ? command_find(argv[1]) : NULL;
	if (command)
		return printed(command(argc - 1, argv + 1));
	rc = options_parse(argc, argv, &o);
	if (rc) {
		options_free(&o);
		return printed(rc < 0 ? 0 : rc);
	}
	behind_set_mode(o.sync);
	take_signals(&original);
	bool here = find_program(o.program_argv[0], options_are_remote(&o), path, sizeof(path), &info);
	prepare(&o);
	set_rules(&o, here ? path : NULL, &info);
	rc = launch_begin(&o);
	/* While the agents start: it takes longer than they do. */
	rc = rc ? rc : filter_build(&filter);
	if (rc < 0)
		die("cannot start: %s", strerror(-rc));
	if (launch_wait(err, sizeof(err)) < 0)
		die("%s", err);
	set_environment(&o.config, &original);
	if (push_start() < 0 || spawn(path, o.program_argv, &filter, o.trap, &original, &s, err, sizeof(err)) < 0)
		die("%s", err);
	tell_trap(&s);
	rc = worker_init();
	if (!rc && s.listener >= 0)
		rc = notify_start(s.listener);
	if (rc < 0)
		die("cannot serve trapped calls: %s", strerror(-rc));
	launch_forward_signals(s.pid);
	int status = loop_run(s.pid, s.every);
	check_exec(&s, o.program_argv[0]);
	finish_links();
	carrier_finish();
	overlay_finish();
	if (loop_aborted())
		_exit(EXIT_OWN_FAILURE);
	mirror(status);
}
