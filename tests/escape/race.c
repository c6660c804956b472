/* Somebody hostile at the target changes directories into links that lead out, and back, while paths through them are resolved. */
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "escape.h"

static void exchange(const char *a, const char *b)
{
	syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
}

/* What the requests remove, forbid, or make something else of, is made again. */
static void repair(void)
{
	static const char *const dirs[] = { "tree/r", "tree/r/dir", "tree/r/sub", "tree/r/sub/d", "tree/r/deep", "tree/r/deep/er" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		fchmodat(AT_FDCWD, dirs[i], 0777, AT_SYMLINK_NOFOLLOW);
	mkdir("tree/r/dir", 0777);
	mkdir("tree/r/deep", 0777);
	mkdir("tree/r/deep/er", 0777);
	remove("tree/r/file");
	remove("tree/r/far");
	close(open("tree/r/file", O_WRONLY | O_CREAT | O_EXCL, 0666));
	int rc = symlink("../../outside", "tree/r/out") | symlink("../../outside/canary", "tree/r/far");

	(void)rc; /* they may be there still */
}

static _Noreturn void swap_for_ever(void)
{
	for (unsigned i = 0;; i++) {
		exchange("tree/r/dir", "tree/r/out");
		exchange("tree/r/sub/d", "tree/r/sub/link");
		exchange("tree/r/file", "tree/r/far");
		/* Out of the root and in again: what is above it is another place each time. */
		rename("tree/r/deep", "race-outside/d/deep");
		rename("race-outside/d/deep", "tree/r/deep");
		if (i % 16 == 0)
			repair();
		usleep(20); /* the agent watches these directories, and would do nothing else */
	}
}

static const char *const paths[] = {
	"r/dir/canary", "r/sub/d/canary", "r/dir/../r/dir/canary", "r/sub/d/../canary", "r/deep/../dir/canary", "r/deep/er/../../dir/canary", "r/deep/er/../../canary",
	"r/deep/../d/canary", "r/deep/../../canary", "r/deep/..", "r/dir/new", "r/dir/", "r/dir", "r/sub/link/canary", "r/out/canary", "r/out/d/../canary",
	"r/file", "r/far", "r/file", "r/far", "r/file", "r/far",
};

static const char *const relative[] = { "..", "../canary", "../d/canary", "../../canary", "er/../../canary", "er/../../d/canary", "../dir/canary" };

void try_race(const struct agent_how *how, unsigned seconds)
{
	static unsigned seed;
	char what[256];
	unsigned long tries = 0;

	/* Directories change when others come and go in them: of these only the files count, by what they say. */
	shell("rm -rf tree/r race-outside && mkdir -p tree/r/dir/d tree/r/sub/d tree/r/deep/er race-outside/d && "
	      "ln -s ../../outside tree/r/out && ln -s ../../../outside/d tree/r/sub/link && "
	      "chmod -R a+rwX tree/r race-outside && echo x >tree/f && chmod 666 tree/f");
	outside_put("race-outside/canary");
	outside_put("race-outside/d/canary");
	pid_t child = fork();
	if (!child)
		swap_for_ever();
	client_start(how);
	srandom(seed++);
	time_t end = time(NULL) + seconds;
	uint64_t dir = ops_open(0, "r/deep", O_DIRECTORY);
	for (; time(NULL) < end; tries++) {
		bool by_handle = dir && random() % 4 == 0;
		const char *path = by_handle ? relative[random() % (sizeof(relative) / sizeof(*relative))] : paths[random() % (sizeof(paths) / sizeof(*paths))];

		ops_try_one(by_handle ? dir : 0, path, (unsigned)random() % (random() % 2 ? OPS_OPEN : UINT32_MAX));
		if (!dir)
			dir = ops_open(0, "r/deep", O_DIRECTORY);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	if (outside_touched(what))
		fail("in %lu requests: %s", tries, what);
	else
		pass("%lu requests while directories become links", tries);
	client_stop();
	shell("chmod -R u+rwx tree/r race-outside && rm -rf tree/r race-outside");
}
