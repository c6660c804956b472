/* fcntl commands that are neither flags nor locks. */
#include <signal.h>

#include "guest.h"

#ifndef F_SET_RW_HINT
#define F_GET_RW_HINT 1035
#define F_SET_RW_HINT 1036
#endif

static void other(const char *name, int mode)
{
	int fd = SHOWFD(sys(open, P(name), mode));

	section("%s %o", name, mode);
	SHOW(sys(fcntl, fd, F_GETLEASE));
	SHOW(sys(fcntl, fd, F_SETLEASE, 77));
	SHOW(sys(fcntl, fd, F_NOTIFY, 0));
	if (strcmp(name, "dir"))
		SHOW(sys(fcntl, fd, F_NOTIFY, DN_CREATE));
	SHOW(sys(fcntl, fd, F_GETPIPE_SZ));
	SHOW(sys(fcntl, fd, F_SETPIPE_SZ, 4096));
	SHOW(sys(fcntl, fd, F_GETOWN));
	SHOW(sys(fcntl, fd, F_SETOWN, 0));
	SHOW(sys(fcntl, fd, F_GETSIG));
	SHOW(sys(fcntl, fd, F_SETSIG, SIGUSR1));
	SHOW(sys(fcntl, fd, F_GETSIG));
	SHOW(sys(fcntl, fd, F_SETSIG, 1000));
	SHOW(sys(fcntl, fd, F_GETLK, NULL));
	close(fd);
	SHOW(sys(fcntl, fd, F_GETLEASE));
	SHOW(sys(fcntl, fd, F_NOTIFY, 0));
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	other("hello.txt", O_RDONLY);
	other("hello.txt", O_RDWR);
	other("sizes/s3145745", O_RDONLY);
	other("dir", O_RDONLY);
	other("hello.txt", O_PATH);
	return 0;
}
