#include "placeholder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "channel.h"
#include "drain.h"
#include "shadow.h"
#include "util.h"

#define BUCKETS 1024
/* Keys of those that had a name; inode numbers of tmpfs never come near. */
#define KEY_NAMED (UINT64_C(1) << 63)
#define KEEP_FLAGS (O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_DIRECT | O_NOATIME | O_ASYNC)

static char base[64];     /* where placeholders are made */
static char dir_stem[128]; /* a directory's name, less its serial number */
static uint64_t serial;
static struct image *images[BUCKETS];

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

int placeholder_init(char *err, size_t err_len)
{
	const char *candidates[] = { "/dev/shm", getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp" };

	for (size_t i = 0; !*base && i < sizeof(candidates) / sizeof(*candidates); i++)
		if (candidates[i] && base_usable(candidates[i]))
			break;
	if (!*base) {
		snprintf(err, err_len, "no directory for placeholder files: /dev/shm, $XDG_RUNTIME_DIR and /tmp all refuse O_TMPFILE or are full (%s)",
			 strerror(errno));
		return -ENOSPC;
	}
	/* A number of process comes back, and is another's in another PID namespace with the same directory. */
	uint32_t once;
	if (getrandom(&once, sizeof(once), 0) != sizeof(once)) {
		snprintf(err, err_len, "no random numbers for the names of placeholders (%s)", strerror(errno));
		return -EIO;
	}
	snprintf(dir_stem, sizeof(dir_stem), "%s/.remotefs-trace.%d.%08x.", base, (int)getpid(), once);
	return 0;
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

static void register_image(struct image *i)
{
	i->next_by_key = images[i->key % BUCKETS];
	images[i->key % BUCKETS] = i;
}

/* The kernel's file flags are to have O_NOFOLLOW, and that cannot be opened through /proc. */
static int make_named(struct image *i, const struct ofd *o)
{
	char name[160];

	snprintf(name, sizeof(name), "%s%llu", dir_stem, (unsigned long long)++serial);
	i->fd = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (i->fd < 0)
		return -errno;
	int fd = open(name, (o->flags & KEEP_FLAGS) | O_NOFOLLOW | O_CLOEXEC);
	int rc = fd < 0 ? -errno : fd;
	unlink(name);
	i->key = KEY_NAMED | serial;
	return rc;
}

static int make_unnamed(struct image *i)
{
	struct stat st;

	i->fd = open(base, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (i->fd < 0 || fstat(i->fd, &st) < 0)
		return -errno;
	i->key = st.st_ino;
	return 0;
}

static int open_image(const struct image *i, const struct ofd *o)
{
	return reopen(i->fd, o->flags & KEEP_FLAGS);
}

/* A new image of O's file and its first description. */
static int make_image(struct ofd *o, bool named)
{
	struct image *i = xcalloc(1, sizeof(*i));
	int rc;

	*i = (struct image){ .node = o->node, .fd = -1, .wd = -1, .fresh = true };
	rc = named ? make_named(i, o) : make_unnamed(i);
	if (rc >= 0 && ftruncate(i->fd, (off_t)o->node->attr.size) < 0 && errno != EFBIG) {
		if (named)
			close(rc);
		rc = -errno;
	}
	if (rc >= 0 && !named)
		rc = open_image(i, o);
	int watched = rc < 0 ? rc : drain_watch(i);
	if (watched < 0) {
		if (rc >= 0)
			close(rc);
		close_fd(&i->fd);
		free(i);
		return watched;
	}
	register_image(i);
	o->node->image = i;
	return rc;
}

static int tag(struct ofd *o, int fd)
{
	struct flock lock = { .l_type = (o->flags & O_ACCMODE) == O_WRONLY ? F_WRLCK : F_RDLCK,
			      .l_whence = SEEK_SET, .l_start = (off_t)++serial, .l_len = 1 };

	if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		return -errno;
	o->tag = serial;
	o->image = o->node->image;
	return 0;
}

static int make_sole(struct ofd *o, int fd);

/*
 * With access mode 3 a file can be neither read nor written. So is what an O_PATH description becomes, which
 * ADDFD cannot pass on: EBADF, as there, wherever the kernel answers and not we.
 */
static int make_closed(struct ofd *o)
{
	char name[160];

	snprintf(name, sizeof(name), "%s%llu", dir_stem, (unsigned long long)++serial);
	CLEANUP_FD int made = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (made < 0)
		return -errno;
	int rc = ftruncate(made, (off_t)o->node->attr.size) < 0 && errno != EFBIG ? -errno : 0;
	int fd = open(name, (o->flags & KEEP_FLAGS) | O_ACCMODE | (o->flags & O_NOFOLLOW) | O_CLOEXEC);
	if (fd < 0)
		rc = -errno;
	/* Closed before it is watched: this close is not the one to be told of. */
	close_fd(&made);
	unlink(name);
	rc = rc ? rc : make_sole(o, fd);
	if (rc)
		close_fd(&fd);
	return rc ? rc : fd;
}

int placeholder_file(struct ofd *o, bool native)
{
	bool named = native && o->flags & O_NOFOLLOW;

	if (o->flags & O_PATH || (o->flags & O_ACCMODE) == O_ACCMODE)
		return make_closed(o);
	if (named && o->node->image)
		return -ELOOP;
	int fd = o->node->image ? open_image(o->node->image, o) : make_image(o, named);
	int rc = fd < 0 ? fd : tag(o, fd);
	if (rc < 0)
		close_fd(&fd);
	return rc < 0 ? rc : fd;
}

/* The image of O alone, named by the latest serial number; FD is open on it. */
static int make_sole(struct ofd *o, int fd)
{
	struct image *i = xcalloc(1, sizeof(*i));
	int rc;

	*i = (struct image){ .sole = o, .fd = fd, .wd = -1, .key = KEY_NAMED | serial };
	rc = drain_watch(i);
	i->fd = -1;
	if (rc < 0) {
		free(i);
		return rc;
	}
	o->image = i;
	register_image(i);
	return 0;
}

int placeholder_dir(struct ofd *o)
{
	char name[160];

	snprintf(name, sizeof(name), "%s%llu", dir_stem, (unsigned long long)++serial);
	if (mkdir(name, 0700) < 0)
		return -errno;
	int fd = open(name, O_RDONLY | O_CLOEXEC | (o->flags & ((KEEP_FLAGS & ~(O_ACCMODE | O_DIRECT)) | O_DIRECTORY | O_NOFOLLOW)));
	/* Who may enter is the target's business; the task may have another user than we have. */
	int rc = fd < 0 || fchmod(fd, 0711) < 0 ? -errno : make_sole(o, fd);
	/* Nameless from here on: a supervisor that is killed leaves nothing behind. */
	rmdir(name);
	if (rc < 0)
		close_fd(&fd);
	return rc < 0 ? rc : fd;
}

static void show_channel(struct channel *ch, void *ofd)
{
	shadow_show(ofd, ch->ready);
}

int placeholder_fifo(struct ofd *o)
{
	char name[160];

	snprintf(name, sizeof(name), "%s%llu", dir_stem, (unsigned long long)++serial);
	int fd = shadow_make(o, name);
	int rc = fd < 0 ? fd : make_sole(o, shadow_fd(o));
	if (rc < 0) {
		close_fd(&fd);
		return rc;
	}
	o->channel->changed = show_channel;
	o->channel->arg = o;
	shadow_show(o, o->channel->ready);
	return fd;
}

int placeholder_link(const char *name, const char *text, char *dir, size_t len)
{
	snprintf(dir, len, "%s%llu", dir_stem, (unsigned long long)++serial);
	if (mkdir(dir, 0700) < 0) {
		*dir = '\0';
		return -errno;
	}
	CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* The task may have become somebody else. */
	if (fd < 0 || fchmod(fd, 0711) < 0 || symlinkat(text, fd, name) < 0)
		return -errno;
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

void placeholder_unlink(const char *dir)
{
	DIR *d = opendir(dir);

	for (struct dirent *e; d && (e = readdir(d));)
		unlinkat(dirfd(d), e->d_name, 0); /* not "." and "..": EISDIR */
	if (d)
		closedir(d);
	rmdir(dir);
}

bool placeholder_is_open(const struct ofd *o)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)o->tag, .l_len = 1 };

	return fcntl(o->image->fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
}

static struct ofd *owner_by_tag(const struct image *i, uint64_t number)
{
	struct ofd *o = i->node->ofds;

	while (o && o->tag != number)
		o = o->next_of_node;
	return o;
}

struct ofd *placeholder_owner(const struct image *i, const char *link)
{
	const char *fd = strstr(link, "/fd/");
	char path[128], line[256];
	struct ofd *found = NULL;

	if (i->sole || !i->node->ofds || !i->node->ofds->next_of_node)
		return i->sole ? i->sole : i->node->ofds;
	if (!fd)
		return i->node->ofds; /* a mapping, a program */
	snprintf(path, sizeof(path), "%.*s/fdinfo/%s", (int)(fd - link), link, fd + 4);
	FILE *f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		unsigned long long from;

		if (sscanf(line, "lock:%*s OFDLCK %*s %*s %*s %*s %llu", &from) == 1)
			found = owner_by_tag(i, from);
	}
	if (f)
		fclose(f);
	return found;
}

void placeholder_each(void (*visit)(struct image *i, void *arg), void *arg)
{
	for (size_t b = 0; b < BUCKETS; b++)
		for (struct image *next, *i = images[b]; i; i = next) {
			next = i->next_by_key;
			visit(i, arg);
		}
}

void placeholder_name(char *out, size_t len, const char *what)
{
	snprintf(out, len, "%s%s", dir_stem, what);
}

struct find { int wd; struct image *found; };

static void match_watch(struct image *i, void *arg)
{
	struct find *f = arg;

	if (i->wd == f->wd)
		f->found = i;
}

struct image *placeholder_by_watch(int wd)
{
	struct find f = { .wd = wd };

	placeholder_each(match_watch, &f);
	return f.found;
}

void placeholder_free(struct image *i)
{
	struct image **p = &images[i->key % BUCKETS];

	while (*p != i)
		p = &(*p)->next_by_key;
	*p = i->next_by_key;
	drain_forget(i);
	close_fd(&i->fd);
	free(i);
}

/* What is in the text, or 0. */
static uint64_t parse_key(const char *text)
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

struct image *placeholder_image(const char *text)
{
	uint64_t key = parse_key(text);
	struct image *i = key ? images[key % BUCKETS] : NULL;

	while (i && i->key != key)
		i = i->next_by_key;
	return i;
}
