/* io_submit and io_getevents on files of the tree, alone and together with local ones. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include "guest.h"

/* linux/aio_abi.h, which musl's compiler does not find. */
typedef unsigned long aio_context_t;
enum { IOCB_CMD_PREAD, IOCB_CMD_PWRITE, IOCB_CMD_FSYNC, IOCB_CMD_FDSYNC, IOCB_CMD_POLL = 5, IOCB_CMD_NOOP, IOCB_CMD_PREADV, IOCB_CMD_PWRITEV };
#define IOCB_FLAG_RESFD 1
struct iocb {
	uint64_t aio_data;
	uint32_t aio_key, aio_rw_flags;
	uint16_t aio_lio_opcode;
	int16_t aio_reqprio;
	uint32_t aio_fildes;
	uint64_t aio_buf, aio_nbytes;
	int64_t aio_offset;
	uint64_t aio_reserved2;
	uint32_t aio_flags, aio_resfd;
};
struct io_event {
	uint64_t data, obj;
	int64_t res, res2;
};

static char buf[8][1 << 16];
static struct iocb cbs[8], *list[8];
static int used;

static struct iocb *add(int op, int fd, void *data, size_t len, long off)
{
	struct iocb *cb = &cbs[used];

	memset(cb, 0, sizeof(*cb));
	cb->aio_lio_opcode = op;
	cb->aio_fildes = fd;
	cb->aio_buf = (uintptr_t)data;
	cb->aio_nbytes = len;
	cb->aio_offset = off;
	cb->aio_data = 1000 + used;
	list[used++] = cb;
	return cb;
}

static void show_events(const char *label, aio_context_t ctx, long min, long max)
{
	struct io_event e[8];
	struct timespec second = { 5, 0 };
	long n = sys(io_getevents, ctx, min, max, e, &second);

	if (n < 0)
		printf("%s: %s\n", label, err_name(errno));
	/* In the order of the requests: of those that are done in the background it is anybody's. */
	for (int i = 0; i < used && n > 0; i++)
		for (long j = 0; j < n; j++)
			if (e[j].obj == (uintptr_t)&cbs[i])
				printf("%s: request %d data %lld res %lld res2 %lld\n", label, i, (long long)e[j].data,
				       (long long)e[j].res, (long long)e[j].res2);
	if (n >= 0)
		printf("%s: %ld events\n", label, n);
}

static void submit(const char *label, aio_context_t ctx)
{
	long n = sys(io_submit, ctx, used, list);

	printf("%s: submitted %ld %s\n", label, n, n < 0 ? err_name(errno) : "");
	if (n > 0)
		show_events(label, ctx, n, 8);
	used = 0;
}

static void plain(aio_context_t ctx)
{
	int fd = SHOWFD(sys(open, P("aio"), O_CREAT | O_RDWR, 0600)), reader = SHOWFD(sys(open, P("sizes/s131073"), O_RDWR));
	struct iovec v[3] = { { buf[0], 100 }, { buf[1], 0 }, { buf[2], 5000 } };

	section("plain");
	fill_pattern(buf[0], sizeof(buf[0]), 1);
	fill_pattern(buf[2], sizeof(buf[2]), 2);
	add(IOCB_CMD_PWRITE, fd, buf[0], 5000, 0);
	submit("write", ctx);
	add(IOCB_CMD_PWRITE, fd, buf[0], 65536, 5000);
	add(IOCB_CMD_PWRITEV, fd, v, 3, 100000);
	add(IOCB_CMD_FSYNC, fd, NULL, 0, 0);
	add(IOCB_CMD_PREAD, reader, buf[3], 65536, 100);
	add(IOCB_CMD_PREAD, reader, buf[4], 65536, 131000);
	add(IOCB_CMD_PREAD, reader, buf[5], 65536, 200000);
	submit("many", ctx);
	show_data("read", buf[3], 65536);
	show_data("at the end", buf[4], 73);
	show_file("aio");
	v[0].iov_base = buf[5];
	v[2].iov_base = buf[6];
	add(IOCB_CMD_PREADV, fd, v, 3, 100000);
	add(IOCB_CMD_FDSYNC, fd, NULL, 0, 0);
	add(IOCB_CMD_PREAD, fd, buf[7], 0, 0);
	add(IOCB_CMD_POLL, fd, (void *)(POLLIN | POLLOUT), 0, 0);
	submit("vector", ctx);
	show_data("first", buf[5], 100);
	show_data("last", buf[6], 5000);
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	close(fd);
	close(reader);
}

static void events(aio_context_t ctx)
{
	int fd = SHOWFD(sys(open, P("aio"), O_RDWR)), event = eventfd(0, EFD_NONBLOCK);
	struct timespec none = { 0, 0 };
	struct io_event e[8];
	uint64_t count = 0;

	section("events");
	for (int i = 0; i < 5; i++) {
		struct iocb *cb = add(IOCB_CMD_PREAD, fd, buf[i], 100 * i, i);

		cb->aio_flags = IOCB_FLAG_RESFD;
		cb->aio_resfd = event;
	}
	SHOW(sys(io_submit, ctx, 5, list));
	for (int i = 0; i < 100 && count < 5; i++) {
		uint64_t more = 0;

		if (read(event, &more, sizeof(more)) < 0)
			usleep(10000);
		count += more;
	}
	printf("the eventfd counted %llu\n", (unsigned long long)count);
	show_events("two", ctx, 1, 2);
	show_events("none", ctx, 0, 0);
	SHOW(sys(io_getevents, ctx, 0, 1, BAD_KERNEL, &none));
	show_events("rest", ctx, 1, 8);
	used = 0;
	SHOW(sys(io_getevents, ctx, 0, 8, e, &none));
	SHOW(sys(io_getevents, ctx, 2, 1, e, &none));
	SHOW(sys(io_getevents, ctx, -1, 1, e, &none));
	SHOW(sys(io_getevents, ctx, 1, 8, e, BAD_LOW));
	SHOW(sys(io_getevents, ctx, 0, 8, BAD_LOW, NULL));
	SHOW(sys(io_getevents, 0, 0, 8, e, &none));
	SHOW(sys(io_pgetevents, ctx, 0, 8, e, &none, NULL));
	close(fd);
	close(event);
}

static void on_signal(int sig)
{
}

static void *submit_late(void *arg)
{
	usleep(50000);
	if (sys(io_submit, *(aio_context_t *)arg, 1, list) != 1)
		puts("not submitted");
	return NULL;
}

static void waits(aio_context_t ctx)
{
	int fd = SHOWFD(sys(open, P("aio"), O_RDWR));
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct itimerval timer = { .it_value.tv_usec = 50000 };
	struct timespec short_time = { 0, 20000000 };
	struct io_event e[8];
	pthread_t thread;

	section("waits");
	add(IOCB_CMD_PREAD, fd, buf[0], 10, 0);
	pthread_create(&thread, NULL, submit_late, &ctx);
	SHOW(sys(io_getevents, ctx, 1, 8, e, NULL));
	printf("res %lld\n", (long long)e[0].res);
	pthread_join(thread, NULL);
	SHOW(sys(io_getevents, ctx, 1, 8, e, &short_time));
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	SHOW(sys(io_getevents, ctx, 1, 8, e, NULL));
	SHOW(sys(io_submit, ctx, 1, list));
	setitimer(ITIMER_REAL, &timer, NULL);
	SHOW(sys(io_getevents, ctx, 2, 8, e, NULL));
	used = 0;
	close(fd);
}

/* One context for a file of the tree and a local one. */
static void together(aio_context_t ctx)
{
	int fd = SHOWFD(sys(open, P("aio"), O_RDWR)), local = memfd_create("local", 0);
	int small = SHOWFD(sys(open, P("hello.txt"), O_RDONLY));

	section("together");
	add(IOCB_CMD_PWRITE, local, "0123456789", 10, 5);
	submit("local", ctx);
	add(IOCB_CMD_PREAD, local, buf[0], 100, 0);
	add(IOCB_CMD_PREAD, fd, buf[1], 100, 0);
	add(IOCB_CMD_PREAD, small, buf[2], 100, 1);
	add(IOCB_CMD_PREAD, local, buf[3], 100, 10);
	add(IOCB_CMD_FSYNC, local, NULL, 0, 0);
	submit("both", ctx);
	show_data("local", buf[0], 15);
	show_data("remote", buf[1], 100);
	show_data("small", buf[2], 12);
	add(IOCB_CMD_PREAD, small, buf[2], 100, 0);
	submit("small", ctx);
	close(fd);
	close(local);
	close(small);
}

static void errors(aio_context_t ctx)
{
	static const struct { const char *name; int flags; } opens[] = {
		{ "aio", O_RDWR }, { "aio", O_WRONLY }, { "sizes/s3145745", O_RDONLY }, { "dir", O_RDONLY }, { "aio", O_PATH },
	};
	static const int ops[] = { IOCB_CMD_PREAD, IOCB_CMD_PWRITE, IOCB_CMD_FSYNC, 4, IOCB_CMD_NOOP, IOCB_CMD_PREADV, 9 };
	struct iovec bad_vec = { BAD_KERNEL, 10 };

	section("errors");
	for (size_t i = 0; i < COUNT(opens); i++) {
		int fd = sys(open, P(opens[i].name), opens[i].flags);

		printf("%s %x\n", opens[i].name, opens[i].flags);
		for (size_t j = 0; j < COUNT(ops); j++) {
			printf("op %d\n", ops[j]);
			add(ops[j], fd, buf[0], 10, 0);
			submit("plain", ctx);
			add(ops[j], fd, BAD_LOW, 10, 0);
			submit("bad buffer", ctx);
			add(ops[j], fd, &bad_vec, 1, 0);
			submit("bad vector", ctx);
			add(ops[j], fd, buf[0], 10, -1);
			submit("negative", ctx);
			add(ops[j], fd, buf[0], -1, 0);
			submit("long", ctx);
			add(ops[j], fd, buf[0], 10, LONG_MAX - 5);
			submit("far", ctx);
			add(ops[j], fd, buf[0], 2000, 0);
			submit("2000", ctx);
			add(ops[j], fd, buf[0], 10, 0)->aio_rw_flags = 0x10000;
			submit("flags", ctx);
			add(ops[j], fd, buf[0], 10, 0)->aio_reserved2 = 1;
			submit("reserved", ctx);
			add(ops[j], fd, buf[0], 10, 0)->aio_flags = IOCB_FLAG_RESFD;
			submit("no eventfd", ctx);
		}
		close(fd);
	}
}

static void lists(aio_context_t ctx)
{
	int fd = SHOWFD(sys(open, P("aio"), O_RDWR));
	struct iocb *mixed[3];

	section("lists");
	mixed[0] = add(IOCB_CMD_PREAD, fd, buf[0], 10, 0);
	mixed[1] = add(IOCB_CMD_PREAD, -1, buf[0], 10, 0);
	mixed[2] = BAD_LOW;
	SHOW(sys(io_submit, ctx, 2, mixed));
	show_events("first", ctx, 1, 8);
	mixed[1] = BAD_LOW;
	SHOW(sys(io_submit, ctx, 2, mixed));
	show_events("first", ctx, 1, 8);
	SHOW(sys(io_submit, ctx, 2, mixed + 1));
	SHOW(sys(io_submit, ctx, 2, BAD_KERNEL));
	SHOW(sys(io_submit, ctx, 0, mixed));
	SHOW(sys(io_submit, ctx, -1, mixed));
	SHOW(sys(io_submit, 0, 1, mixed));
	SHOW(sys(io_submit, (uintptr_t)buf, 1, mixed));
	SHOW(sys(io_cancel, ctx, mixed[0], &(struct io_event){ 0 }));
	used = 0;
	close(fd);
}

int main(int argc, char **argv)
{
	aio_context_t ctx = 0, other = 0;

	guest_init(argc, argv);
	SHOW(sys(io_setup, 64, &ctx));
	if (!ctx)
		return 1;
	SHOW(sys(io_setup, 64, &ctx));
	plain(ctx);
	events(ctx);
	waits(ctx);
	together(ctx);
	errors(ctx);
	lists(ctx);
	SHOW(sys(io_destroy, ctx));
	SHOW(sys(io_submit, ctx, 1, list));
	SHOW(sys(io_setup, 8, &other));
	plain(other);
	SHOW(sys(io_destroy, other));
	return 0;
}
