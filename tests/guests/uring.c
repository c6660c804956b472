/* io_uring would pass every filter by: under the tracer it must look absent. Also renames out of the tree. */
#include "guest.h"

int main(int argc, char **argv)
{
	char params[256] = "";
	char name[64];

	guest_init(argc, argv);
	SHOW(raw_syscall(425, 4, (long)params, 0, 0, 0, 0));
	snprintf(name, sizeof(name), "/tmp/rfs-uring.%d", getpid());
	close(open(name, O_CREAT | O_WRONLY, 0600));
	SHOW(rename(P("hello.txt"), name));
	SHOW(rename(name, P("hello2.txt")));
	unlink(name);
	/* A call that the table knows but nothing emulates yet must not be done to a local file by mistake. */
	SHOW(syscall(999));
	return 0;
}
