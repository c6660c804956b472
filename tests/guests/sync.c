/* fsync, fdatasync: what they accept, and that what was written is there. */
#include "guest.h"

int main(int argc, char **argv)
{
	int fd, ro, dir, path, fds[4];

	guest_init(argc, argv);
	fd = SHOWFD(sys(open, P("synced"), O_CREAT | O_RDWR, 0600));
	ro = SHOWFD(sys(open, P("hello.txt"), O_RDONLY));
	dir = SHOWFD(sys(open, P("dir"), O_RDONLY));
	path = SHOWFD(sys(open, P("hello.txt"), O_PATH));
	for (int i = 0; i < 20; i++) {
		if (sys(write, fd, "0123456789", 10) != 10 || (i & 1 ? sys(fsync, fd) : sys(fdatasync, fd)))
			puts("write or sync failed");
	}
	SHOW(sys(fsync, fd));
	SHOW(sys(fdatasync, fd));
	show_file("synced");
	SHOW(sys(fsync, ro));
	SHOW(sys(fdatasync, ro));
	SHOW(sys(fsync, dir));
	SHOW(sys(fdatasync, dir));
	SHOW(sys(fsync, path));
	SHOW(sys(fsync, -1));
	SHOW(sys(fdatasync, 999999));
	SHOW(sys(unlink, P("synced")));
	SHOW(sys(fsync, fd));
	SHOW(sys(close, fd));
	SHOW(sys(fsync, fd));
	/* A pipe cannot be synchronised; the answer must stay the kernel's. */
	SHOW(pipe(fds));
	SHOW(sys(fsync, fds[0]));
	fd = SHOWFD(sys(open, P("osync"), O_CREAT | O_WRONLY | O_SYNC, 0600));
	SHOW(sys(write, fd, "now", 3));
	show_file("osync");
	fd = SHOWFD(sys(open, P("osync"), O_WRONLY | O_DSYNC | O_APPEND));
	SHOW(sys(write, fd, "too", 3));
	show_file("osync");
	return 0;
}
