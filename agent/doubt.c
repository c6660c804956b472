#include "doubt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "dispatch.h"

#define DOUBT_PIECE 65536

void doubt_clear(struct doubt_note *n)
{
	atomic_store_explicit(&n->kind, DOUBT_NONE, memory_order_release);
}

static enum doubt_kind doubt_kind(const struct op *op)
{
	return op->doubt ? atomic_load(&op->doubt->kind) : DOUBT_NONE;
}

bool doubt_is(const struct op *op)
{
	return doubt_kind(op) != DOUBT_NONE;
}

int doubt_unknown(const struct op *op)
{
	agent_say("%s was being done when its process was killed; whether it was done cannot be found out: it fails with EIO",
		  dispatch_name(op->req));
	return -EIO;
}

/* Publishes what OP's note says. */
static void doubt_publish(struct op *op, enum doubt_kind kind)
{
	if (op->note)
		atomic_store_explicit(&op->note->kind, kind, memory_order_release);
}

void doubt_begin(struct op *op)
{
	doubt_publish(op, DOUBT_BEGUN);
}

int doubt_once(struct op *op)
{
	if (doubt_is(op))
		return doubt_unknown(op);
	doubt_begin(op);
	return 0;
}

void doubt_opened(struct op *op, int fd)
{
	if (!op->note || fd < 0)
		return;
	op->note->fd = fd;
	doubt_publish(op, DOUBT_OPENED);
}

void doubt_closes(struct op *op)
{
	if (op->note)
		doubt_clear(op->note);
}

int doubt_fd(const struct op *op)
{
	return doubt_kind(op) == DOUBT_OPENED ? op->doubt->fd : -1;
}

/* ---- names ---- */

/* LAST without its slashes: with them a link would be followed. */
static bool name_stat(int dir, const char *last, struct stat *st)
{
	char name[NAME_MAX + 1] = "";
	size_t len = strcspn(last, "/");

	if (len > NAME_MAX)
		return false;
	memcpy(name, last, len);
	return fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void note_name(struct doubt_note *n, int i, int dir, const char *last)
{
	struct stat st;
	bool there = name_stat(dir, last, &st);

	n->dev[i] = there ? st.st_dev : 0;
	n->ino[i] = there ? st.st_ino : 0;
}

/* Whether LAST in DIR is what N's name I was. */
static bool is_noted(const struct doubt_note *n, int i, int dir, const char *last)
{
	struct stat st;

	return n->ino[i] && name_stat(dir, last, &st) && st.st_dev == n->dev[i] && st.st_ino == n->ino[i];
}

int doubt_create(struct op *op, int dir, const char *last, mode_t type)
{
	struct stat st;
	bool there = false;

	if (op->note || doubt_is(op))
		there = name_stat(dir, last, &st);
	if (doubt_kind(op) == DOUBT_CREATE && !op->doubt->there && there &&
	    (type ? (st.st_mode & S_IFMT) == type : st.st_nlink > 1))
		return 1;
	if (op->note)
		op->note->there = there;
	doubt_publish(op, DOUBT_CREATE);
	return 0;
}

int doubt_exclusive(struct op *op, bool there, int *flags)
{
	bool ours = doubt_kind(op) == DOUBT_CREATE && !op->doubt->there && there;

	/* Who finds the name does not follow a link that has come there. */
	if (ours)
		*flags = (*flags & ~(O_CREAT | O_EXCL)) | O_NOFOLLOW;
	if (op->note)
		op->note->there = there && !ours;
	doubt_publish(op, DOUBT_CREATE);
	return ours;
}

int doubt_remove(struct op *op, int dir, const char *last)
{
	struct stat st;

	if (doubt_kind(op) == DOUBT_REMOVE && op->doubt->ino[0] && !is_noted(op->doubt, 0, dir, last))
		return name_stat(dir, last, &st) ? doubt_unknown(op) : 1;
	if (op->note)
		note_name(op->note, 0, dir, last);
	doubt_publish(op, DOUBT_REMOVE);
	return 0;
}

int doubt_rename(struct op *op, int from_dir, const char *from, int to_dir, const char *to)
{
	const struct doubt_note *d = op->doubt;

	if (doubt_kind(op) == DOUBT_RENAME && d->ino[0] && !is_noted(d, 0, from_dir, from))
		return is_noted(d, 0, to_dir, to) ? 1 : doubt_unknown(op);
	if (op->note) {
		note_name(op->note, 0, from_dir, from);
		note_name(op->note, 1, to_dir, to);
	}
	doubt_publish(op, DOUBT_RENAME);
	return 0;
}

/* ---- appends ---- */

/* Whether the LEN bytes of FD that end at END are DATA. */
static bool file_has(int fd, int64_t end, const uint8_t *data, size_t len)
{
	uint8_t piece[DOUBT_PIECE];
	size_t n;

	for (size_t at = 0; at < len; at += n) {
		n = len - at < sizeof(piece) ? len - at : sizeof(piece);
		if (pread(fd, piece, n, end - (int64_t)len + (int64_t)at) != (ssize_t)n || memcmp(piece, data + at, n))
			return false;
	}
	return true;
}

/*
 * How many of DATA the process that noted D wrote, last of all: as many as the file has grown, unless others wrote behind its old end,
 * too; then as many as are to be found before where it ended. A file that is not open for reading is not looked into.
 */
static ssize_t append_found(const struct op *op, int fd, const uint8_t *data, size_t len)
{
	const struct doubt_note *d = op->doubt;
	int64_t grown = d->offset - d->size;
	bool readable = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;

	if (!d->offset)
		return 0;
	if (grown > 0 && grown <= (int64_t)len && (!readable || file_has(fd, d->offset, data, (size_t)grown)))
		return grown;
	for (size_t n = grown < (int64_t)len ? (size_t)grown : len; readable && grown > 0 && n > 0; n--)
		if (file_has(fd, d->offset, data, n))
			return (ssize_t)n;
	return doubt_unknown(op);
}

ssize_t doubt_append(struct op *op, int fd, int64_t *offset)
{
	enum doubt_kind kind = doubt_kind(op);
	ssize_t done = kind == DOUBT_APPENDED ? op->doubt->written : kind == DOUBT_APPEND ? op->doubt->before : 0, found = 0;
	struct stat st;

	if (kind == DOUBT_APPEND)
		found = append_found(op, fd, op->data + done, op->data_len - (size_t)done);
	if (found < 0 || done < 0)
		return found < 0 ? found : done;
	if (kind != DOUBT_NONE)
		*offset = op->doubt->offset;
	done += found;
	if (!op->note)
		return done;
	op->note->fd = fd;
	op->note->before = done;
	op->note->size = fstat(fd, &st) ? 0 : st.st_size;
	/* A write of any byte takes the position away from there, to its end, even one that a signal cuts short. */
	lseek(fd, 0, SEEK_SET);
	doubt_publish(op, DOUBT_APPEND);
	return done;
}

void doubt_appended(struct op *op, ssize_t written, int64_t offset)
{
	if (!op->note)
		return;
	op->note->written = written;
	op->note->offset = offset;
	doubt_publish(op, DOUBT_APPENDED);
}

void doubt_look(struct doubt_note *n)
{
	if (atomic_load(&n->kind) == DOUBT_APPEND)
		n->offset = lseek(n->fd, 0, SEEK_CUR);
}
