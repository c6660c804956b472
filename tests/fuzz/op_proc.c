/* Operations in children: with the descriptors and the working directory that they inherit. */
#include "fuzz.h"

static void await(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	say("  child: %x", status);
}

static void run_fork(void)
{
	uint64_t n = current_op;
	unsigned count = 1 + below(4);
	bool again = chance(300);

	if (n >> 32) { /* one generation is enough */
		say("no fork");
		return;
	}
	say("fork, %s%u", again ? "exec, " : "", count);
	say_flush();
	pid_t pid = fork();
	if (!pid) {
		if (again)
			exec_again(n, count);
		run_sub_ops(n, count);
		_exit(0);
	}
	await(pid);
}

const struct op proc_ops[] = {
	{ "fork", FAM_PROC, 25, run_fork },
	{ 0 },
};
