/*
 * nullfilter COMMAND [ARG...]: the floor of every seccomp filter that tells descriptors apart. Runs COMMAND under one that
 * compares the descriptor of read, write, pread64 and pwrite64 and allows all that the command does.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NEVER_OPEN (1 << 30)
#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define EQUALS(number, then, or_else) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, then, or_else)

int main(int argc, char **argv)
{
	struct sock_filter code[] = {
		LOAD(nr),
		EQUALS(SYS_read, 4, 0),
		EQUALS(SYS_write, 3, 0),
		EQUALS(SYS_pread64, 2, 0),
		EQUALS(SYS_pwrite64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		LOAD(args[0]),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, NEVER_OPEN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EBADF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(*code), .filter = code };

	if (argc > 1 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
		execvp(argv[1], argv + 1);
	fprintf(stderr, "nullfilter: %s\n", argc > 1 ? strerror(errno) : "usage: nullfilter COMMAND [ARG...]");
	return 125;
}
