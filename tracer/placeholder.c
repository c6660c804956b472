#include "placeholder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "channel.h"
#include "log.h"
#include "shadow.h"
#include "state.h"
#include "sync.h"
#include "util.h"

/* Keys of those that had a name; inode numbers of tmpfs never come near. */
#define KEY_NAMED (UINT64_C(1) << 63)
#define KEEP_FLAGS (O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_DIRECT | O_NOATIME)

static char base[64];     /* where placeholders are made */
static char dir_stem[96]; /* a directory's name, less its serial number */
static uint64_t serial;
static int events = -1;

static int base_usable(const char *dir)
{
	CLEANUP_FD int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 || strlen(dir) >= sizeof(base))
		return 0;
	/* /proc shows the real path: /dev/shm may be a link to /run/shm. */
	char link[64], text[PATH_MAX];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, text, sizeof(text) - 1);
	if (n < 0)
		return 0;
	text[n] = '\0';
	char *mark = strstr(text, "/#");
	if (!mark || mark - text >= (long)sizeof(base))
		return 0;
	*mark = '\0';
	memcpy(base, text, (size_t)(mark - text) + 1);
	return 1;
}

static void *watch_thread(void *arg)
{
	struct pollfd p = { .fd = events, .events = POLLIN };

	(void)arg;
	for (;;) {
		poll(&p, 1, -1);
		state_lock();
		placeholder_drain(NULL);
		state_unlock();
	}
	return NULL;
}

int placeholder_init(char *err, size_t err_len)
{
	const char *candidates[] = { "/dev/shm", getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp" };
	pthread_t thread;

	for (size_t i = 0; !*base && i < sizeof(candidates) / sizeof(*candidates); i++)
		if (candidates[i] && base_usable(candidates[i]))
			break;
	if (!*base) {
		snprintf(err, err_len, "no directory for placeholder files: /dev/shm, $XDG_RUNTIME_DIR and /tmp all refuse O_TMPFILE or are full (%s)",
			 strerror(errno));
		return -ENOSPC;
	}
	snprintf(dir_stem, sizeof(dir_stem), "%s/.remotefs-trace.%d.", base, (int)getpid());
	events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (events < 0) {
		snprintf(err, err_len, "inotify_init1: %s (raise fs.inotify.max_user_instances)", strerror(errno));
		return -errno;
	}
	int rc = pthread_create(&thread, NULL, watch_thread, NULL);
	return -rc;
}

static int watch(struct ofd *o, int fd)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	/*
	 * IN_ACCESS only of files whose bytes are not here: nobody should read those natively. Every event wakes
	 * the watch thread, so files that the kernel serves are not asked about reads.
	 */
	o->wd = inotify_add_watch(events, link, IN_CLOSE | IN_DELETE_SELF | (o->filled ? 0 : IN_ACCESS | IN_MODIFY));
	return o->wd < 0 ? -errno : 0;
}

static int fill(int fd, const uint8_t *data, size_t len, uint64_t size)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(fd, data + done, len - done, (off_t)done);
		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return len < size && ftruncate(fd, (off_t)size) < 0 && errno != EFBIG ? -errno : 0;
}

static int reopen(int fd, int flags)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	int again = open(link, flags | O_CLOEXEC);
	if (again < 0 && errno == EINVAL && (flags & O_DIRECT))
		again = open(link, (flags & ~O_DIRECT) | O_CLOEXEC); /* tmpfs before 6.6 */
	return again < 0 ? -errno : again;
}

static int make_unnamed(struct ofd *o, int *made)
{
	struct stat st;

	*made = open(base, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (*made < 0 || fstat(*made, &st) < 0)
		return -errno;
	o->key = st.st_ino;
	/* ADDFD cannot pass an O_PATH description on: we answer EBADF where the kernel would. */
	return reopen(*made, o->flags & O_PATH ? O_RDONLY : o->flags & KEEP_FLAGS);
}

/* The kernel's file flags are to have O_NOFOLLOW, and that cannot be opened through /proc. */
static int make_named(struct ofd *o, int *made)
{
	char name[128];

	snprintf(name, sizeof(name), "%s%llu", dir_stem, (unsigned long long)++serial);
	*made = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (*made < 0)
		return -errno;
	int fd = open(name, (o->flags & KEEP_FLAGS) | O_NOFOLLOW | O_CLOEXEC);
	int rc = fd < 0 ? -errno : fd;
	unlink(name);
	o->key = KEY_NAMED | serial;
	return rc;
}

int placeholder_file(struct ofd *o, const void *data, size_t len, uint64_t size)
{
	CLEANUP_FD int made = -1;
	bool named = o->filled && o->flags & O_NOFOLLOW;
	int fd = named ? make_named(o, &made) : make_unnamed(o, &made);
	int rc = fd < 0 ? fd : fill(made, data, len, size);

	if (!rc && o->filled) {
		o->own_fd = made;
		made = -1;
	}
	/* Closed before it is watched: this close is not the one to be told of. */
	close_fd(&made);
	rc = rc < 0 ? rc : watch(o, fd);
	if (rc < 0) {
		close_fd(&fd);
		close_fd(&o->own_fd);
		o->key = 0;
		return rc;
	}
	ofd_register_key(o);
	return fd;
}

int placeholder_dir(struct ofd *o)
{
	char name[128];

	snprintf(name, sizeof(name), "%s%llu", dir_stem, (unsigned long long)++serial);
	if (mkdir(name, 0700) < 0)
		return -errno;
	int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (o->flags & (O_NONBLOCK | O_NOATIME)));
	int rc = fd < 0 ? -errno : watch(o, fd);
	/* Nameless from here on: a supervisor that is killed leaves nothing behind. */
	rmdir(name);
	if (rc < 0) {
		close_fd(&fd);
		return rc;
	}
	o->key = KEY_NAMED | serial;
	ofd_register_key(o);
	return fd;
}

static void show_channel(struct channel *ch, void *ofd)
{
	shadow_show(ofd, ch->ready);
}

int placeholder_fifo(struct ofd *o)
{
	char name[128], link[64];

	snprintf(name, sizeof(name), "%s%llu", dir_stem, (unsigned long long)++serial);
	int fd = shadow_make(o, name);
	if (fd < 0)
		return fd;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", shadow_fd(o));
	o->wd = inotify_add_watch(events, link, shadow_close_event(o) | IN_DELETE_SELF);
	if (o->wd < 0) {
		int rc = -errno;
		close(fd);
		return rc;
	}
	o->key = KEY_NAMED | serial;
	ofd_register_key(o);
	o->channel->changed = show_channel;
	o->channel->arg = o;
	shadow_show(o, o->channel->ready);
	return fd;
}

int placeholder_open_own(struct ofd *o, int fd)
{
	if (o->own_fd < 0)
		o->own_fd = reopen(fd, O_RDWR);
	return o->own_fd < 0 ? o->own_fd : 0;
}

int placeholder_watch_writes(struct ofd *o)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", o->own_fd);
	return inotify_add_watch(events, link, IN_MODIFY | IN_MASK_ADD) < 0 ? -errno : 0;
}

int placeholder_write(struct ofd *o, const void *data, size_t len, uint64_t off)
{
	const uint8_t *p = data;

	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(o->own_fd, p + done, len - done, (off_t)(off + done));
		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int placeholder_resize(struct ofd *o, uint64_t size)
{
	return ftruncate(o->own_fd, (off_t)size) < 0 ? -errno : 0;
}

void placeholder_name(char *out, size_t len, const char *what)
{
	snprintf(out, len, "%s%s", dir_stem, what);
}

uint64_t placeholder_key(const char *text)
{
	size_t stem = strlen(dir_stem), root = strlen(base);
	char *end = NULL;
	uint64_t key = 0;

	if (!strncmp(text, dir_stem, stem))
		key = KEY_NAMED | strtoull(text + stem, &end, 10);
	else if (!strncmp(text, base, root) && !strncmp(text + root, "/#", 2))
		key = strtoull(text + root + 2, &end, 10);
	return key && end && !strcmp(end, " (deleted)") ? key : 0;
}

/* Descriptors that we gave a low number are filled; this one came to its holder without us (SCM_RIGHTS). */
static void tell_bypass(struct ofd *o, bool wrote)
{
	log_error("%s: a process %s it through a descriptor that was passed to it over a socket, which is not supported: %s",
		  o->path, wrote ? "wrote" : "read", wrote ? "the bytes are lost" : "it saw zeros");
	o->bypass_told = true;
}

static void handle_event(struct call *c, const struct inotify_event *e)
{
	struct ofd *o = ofd_by_watch(e->wd);

	if (!o)
		return;
	if (o->sync && e->mask & (IN_MODIFY | IN_CLOSE_WRITE))
		sync_touched(o, e->mask & IN_CLOSE_WRITE);
	if (e->mask & (IN_ACCESS | IN_MODIFY) && !o->shadow && o->io == OFD_EMULATED && !o->filled && !o->bypass_told)
		tell_bypass(o, e->mask & IN_MODIFY);
	/* Our own description would keep the inode: give it up, and if it was the last, IN_DELETE_SELF follows. */
	if (e->mask & IN_CLOSE && !o->sync)
		close_fd(&o->own_fd);
	if (e->mask & IN_CLOSE && o->shadow)
		shadow_closed(o);
	if (e->mask & (IN_DELETE_SELF | IN_IGNORED)) {
		o->wd = -1;
		ofd_unref(o);
	}
}

void placeholder_drain(struct call *c)
{
	char buf[4096] __attribute__((aligned(8)));
	ssize_t n;

	while ((n = read(events, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (const struct inotify_event *)p;
			handle_event(c, e);
			p += sizeof(*e) + e->len;
		}
	}
	sync_run(c);
}
