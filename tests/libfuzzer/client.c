/*
 * The supervisor's side of what an agent says: a program's calls (handlers, caches, placeholders, what is sent behind and fetched ahead)
 * with an agent that answers as the input says. An input is a stream of frames: a request is a call of the program's (its payload chooses
 * call and arguments), a push is one, and a reply answers the next request that is made: with its message, or, without one, with what an
 * honest agent might say, changed a little by its id. The program is this process itself: its memory and its descriptors are real.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client_agent.h"
#include "cache.h"
#include "call.h"
#include "drain.h"
#include "filter.h"
#include "frame.h"
#include "fuzzer.h"
#include "limit.h"
#include "log.h"
#include "mutate.h"
#include "notify.h"
#include "ofd.h"
#include "pages.h"
#include "placeholder.h"
#include "push.h"
#include "rules.h"
#include "state.h"
#include "table.h"
#include "util.h"

#define FDS_MAX 64
#define ARENA (256u << 10)

/* ---- the program ---- */

static int fds[FDS_MAX];
static size_t fd_count;
static uint8_t arena[ARENA] __attribute__((aligned(16)));
static pthread_t program;
static sigjmp_buf stuck;

static const char *const paths[] = {
	"/remote/f", "/remote/dir", "/remote/dir/f", "/remote/dir/", "/remote", "/remote/big", "/remote/fifo", "/remote/sock", "/remote/null",
	"/remote/link", "/remote/none", "/remote/./dir/../f", "/ro/f", "/ro/dir", "/ro/dir/g", "f", "", ".", "..", "dir/f", "/remote/dir/deep/er",
};

/* Entropy of one call. */
struct bytes {
	const uint8_t *at, *end;
};

static uint8_t take(struct bytes *b)
{
	return b->at < b->end ? *b->at++ : 0;
}

static uint64_t take_number(struct bytes *b)
{
	static const uint64_t numbers[] = { 0, 1, 2, 3, 4, 16, 100, 512, 4095, 4096, 4097, 65536, 128 << 10, 1 << 20, (1 << 20) + 1, INT_MAX, UINT32_MAX,
					    INT64_MAX, UINT64_MAX, INT64_MAX - 4096, O_RDWR, O_RDWR | O_CREAT, O_WRONLY | O_TRUNC, O_PATH, O_DIRECTORY,
					    O_RDONLY | O_NOFOLLOW, O_TMPFILE | O_RDWR, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, SEEK_DATA, SEEK_HOLE, F_SETLK,
					    F_GETLK, F_OFD_SETLK, 0x80086601, 0xc020660b, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };
	uint8_t which = take(b);

	return which < 128 ? numbers[which % (sizeof(numbers) / sizeof(*numbers))] : which - 128;
}

static uint64_t take_path(struct bytes *b)
{
	return (uint64_t)paths[take(b) % (sizeof(paths) / sizeof(*paths))];
}

static uint64_t take_fd(struct bytes *b)
{
	uint8_t which = take(b);

	return fd_count && which < 224 ? (uint64_t)fds[which % fd_count] : which < 240 ? (uint64_t)AT_FDCWD : (uint64_t)-1;
}

/* An array of up to four, in the arena's first bytes. */
static uint64_t take_iov(struct bytes *b)
{
	struct iovec *iov = (struct iovec *)arena;

	for (int i = 0; i < 4; i++)
		iov[i] = (struct iovec){ arena + 4096 * (i + 1), take(b) * 16u };
	return (uint64_t)iov;
}

static uint64_t take_argument(struct bytes *b, enum arg_kind kind)
{
	switch (kind) {
	case A_PATH:
	case A_CHANGED:
	case A_LINKTEXT:
		return take_path(b);
	case A_STR:
		return (uint64_t)(take(b) & 1 ? "user.x" : "system.posix_acl_access");
	case A_FD:
		return take_fd(b);
	case A_DIRFD:
		return take(b) & 1 ? take_fd(b) : (uint64_t)AT_FDCWD;
	case A_IOV_IN:
	case A_IOV_OUT:
		return take_iov(b);
	case A_SIZE:
		return take(b) & 3 ? take(b) * 64u : take_number(b);
	case A_UINT:
		return take(b) % 5;
	case A_PTR:
	case A_OFFP:
	case A_BUF_IN:
	case A_BUF_OUT:
	case A_STAT_OUT:
	case A_STATX_OUT:
	case A_STATFS_OUT:
	case A_DENTS_OUT:
	case A_OLD_DENTS_OUT:
	case A_CWD_OUT:
	case A_TIMESPECS:
	case A_TIMEVALS:
	case A_UTIMBUF:
	case A_OPEN_HOW:
	case A_FCNTL_ARG:
	case A_IOCTL_ARG:
	case A_SOCKADDR:
	case A_BOUND:
	case A_RLIMIT_IN:
	case A_RLIMIT_OUT:
		return take(b) ? (uint64_t)(arena + 65536) : 0;
	default:
		return take_number(b);
	}
}

/* The handlers that need no stop: those would have the program do something. */
static const struct syscall_row *take_row(struct bytes *b)
{
	static const struct syscall_row *rows[512];
	static size_t count;
	size_t all;

	if (!count) {
		const struct syscall_row *row = table_all(&all);
		for (size_t i = 0; i < all; i++)
			if (row[i].handler && (row[i].class == CLASS_PATH || row[i].class == CLASS_ANY || row[i].class == CLASS_FD ||
					       row[i].class == CLASS_ANYFD || row[i].class == CLASS_COMMAND) && row[i].nr != SYS_sync)
				rows[count++] = row + i;
	}
	/* What there has to be first is more likely. */
	uint8_t which = take(b);
	if (which >= 200)
		return table_row(which & 1 ? SYS_openat : which & 2 ? SYS_pread64 : which & 4 ? SYS_getdents64 : SYS_read);
	return rows[(which | take(b) << 8) % count];
}

static void forget_fd(int fd)
{
	for (size_t i = 0; i < fd_count; i++)
		if (fds[i] == fd)
			fds[i--] = fds[--fd_count];
}

static void make_call(const uint8_t *data, size_t len)
{
	struct bytes b = { data, data + len };
	const struct syscall_row *row = take_row(&b);
	struct call c = { .row = row, .nr = row->nr, .tid = gettid(), .expected = CALL_CONTINUE };

	for (int i = 0; i < 6; i++)
		c.arg[i] = row->args[i] ? take_argument(&b, row->args[i]) : 0;
	if (row->nr == SYS_openat2)
		c.arg[3] = 24;
	/* What is left of the bytes is what pointers point to. */
	memset(arena + 65536, 0, 256);
	memcpy(arena + 65536, b.at, (size_t)(b.end - b.at) < 256 ? (size_t)(b.end - b.at) : 256);
	long rc = call_dispatch(&c);
	free(c.shown);
	if (row->nr == SYS_close && rc == CALL_CONTINUE)
		for (size_t i = 0; i < fd_count; i++)
			if (fds[i] == (int)c.arg[0]) {
				close(fds[i]);
				forget_fd(fds[i]);
				break;
			}
	/* What no call may answer: a program would take it for something else. */
	if (rc < -4095 && rc != CALL_CONTINUE)
		abort();
}

/* ---- in the place of notify.c ---- */

int notify_start(int listener)
{
	return -ENOSYS;
}

bool notify_active(void)
{
	return true;
}

void notify_promote(void)
{
}

bool notify_valid(const struct call *c)
{
	return true;
}

int notify_install_fd(struct call *c, int src, int at, bool cloexec)
{
	int fd = at >= 0 ? dup3(src, at, O_CLOEXEC) : fcntl(src, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return -errno;
	forget_fd(fd);
	if (fd_count < FDS_MAX)
		fds[fd_count++] = fd;
	else
		close(fd);
	return fd;
}

/* ---- waiting ---- */

/* Who waits is told what is on its way; when that is nothing at all, it would wait for good, as for an agent that is stuck. */
static void wait_for_news(void)
{
	static int idle;

	state_unlock();
	if (client_agent_news()) {
		idle = 0;
	} else {
		usleep(200);
		if (++idle > 50) {
			idle = 0;
			siglongjmp(stuck, 1);
		}
	}
	state_lock();
}

void __real_state_wait(pthread_cond_t *cond);
void __wrap_state_wait(pthread_cond_t *cond);
void __wrap_state_wait(pthread_cond_t *cond)
{
	if (!pthread_equal(pthread_self(), program))
		__real_state_wait(cond);
	else
		wait_for_news();
}

void __real_state_wait_ms(pthread_cond_t *cond, int ms);
void __wrap_state_wait_ms(pthread_cond_t *cond, int ms);
void __wrap_state_wait_ms(pthread_cond_t *cond, int ms)
{
	if (!pthread_equal(pthread_self(), program))
		__real_state_wait_ms(cond, ms);
	else
		wait_for_news();
}

/* ---- the fuzzer ---- */

static const char *const texts[] = { "/f", "/", "/dir", "/dir/f", "..", "", ".", "f", "a/b", "/x (deleted)", "//", "user.x", NULL };
static const uint64_t numbers[] = {
	0, 1, 2, 3, 4, 5, 17, 22, 35, 133, 134, 512, 4096, 65536, 1 << 20, (1 << 20) + 1, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX,
	(uint64_t)INT64_MIN, S_IFREG | 0644, S_IFDIR | 0755, S_IFIFO | 0644, S_IFCHR | 0666, S_IFSOCK | 0755, S_IFLNK | 0777, S_IFMT, 0777,
	INT64_MAX - 4095, UINT64_C(1) << 44, 0x400, 0x8000, 0x2000, 0x40000000,
};
const struct mutate_input mutate_input = {
	.words = { texts, numbers, sizeof(numbers) / sizeof(*numbers) },
	.kinds = 1 << FRAME_REQUEST | 1 << FRAME_REPLY | 1 << FRAME_PUSH,
	.bytes = 3, /* a call's bytes are its payload, which only this changes */
};

static struct mount *add_mount(const char *at, enum mode mode)
{
	struct mount *m = rules_add_mount(at, "/", "fuzz");

	rules_set_mode(m, mode);
	m->writable = mode == MODE_WRITE;
	m->link = client_agent_link(m);
	return m;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct rlimit r = { 4096, 4096 };
	char err[256];

	setrlimit(RLIMIT_NOFILE, &r);
	fd_range_init(r.rlim_max);
	limit_init(&r);
	cache_policy(true, 0);
	pages_set_limit(16 << 20);
	cache_limit(4 << 20);
	if (placeholder_init(err, sizeof(err)) < 0 || drain_start() < 0 || push_start() < 0)
		abort();
	add_mount("/remote", MODE_WRITE);
	add_mount("/ro", MODE_READ);
	program = pthread_self();
	return 0;
}

static void end_program(void)
{
	while (fd_count)
		close(fds[--fd_count]);
	state_lock();
	drain_all();
	state_unlock();
	client_agent_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct frame_header h;
	const uint8_t *payload;

	client_agent_begin(data, len);
	if (sigsetjmp(stuck, 0) == 0)
		while (client_agent_next_call(&h, &payload))
			make_call(payload, h.payload_len);
	client_agent_starve();
	if (sigsetjmp(stuck, 0) == 0)
		end_program();
	return 0;
}
