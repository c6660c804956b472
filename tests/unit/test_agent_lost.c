/*
 * What becomes of an open file while nobody serves it: a row for each thing that may happen to it, a column for each way in
 * which the agent was lost, and in each cell what the program finds afterwards; and what it holds besides.
 */
#include "lost_rows.h"

#include <sys/file.h>

/* ---- the table ---- */

struct cell {
	const struct row *row;
	enum way way;
	const char *file;
	rfs_Attr before;
	char names[4096]; /* of a directory … */
	char bytes[8];    /* … or the first ones of a file … */
	size_t count;     /* … so many */
	int held, witness;
};

static bool is_append(const struct row *row)
{
	return row->flags & O_APPEND;
}

static bool is_process(const struct row *row)
{
	return row->file && !*row->file;
}

/* Which gives inode numbers out anew for each look at a name that it has forgotten. */
static bool is_procfs(const struct row *row)
{
	return is_process(row) || (row->file && !strncmp(row->file, "p/", 2));
}

static bool has_bytes(const struct row *row, const rfs_Attr *attr)
{
	return S_ISREG(attr->mode) && !(row->flags & O_PATH);
}

/* A descriptor that the kernel keeps for us, to be compared with; -1: of such a file there is none. */
static int witness_open(const char *path, const struct row *row, const rfs_Attr *attr)
{
	int fd;

	if (!S_ISREG(attr->mode) && !S_ISDIR(attr->mode))
		return open(path, O_PATH | O_NOFOLLOW);
	fd = open(path, (row->flags & O_PATH ? O_PATH : (row->flags & O_ACCMODE) == O_RDONLY ? O_RDONLY : O_RDWR) | (row->flags & O_NOFOLLOW));
	assert_true(fd >= 0);
	return fd;
}

/* The first bytes, or the names of a directory, of what is kept; an errno. */
static int kept_read(const rfs_Attr *attr)
{
	return S_ISDIR(attr->mode) ? client_list(&c, kept, 0, 4096) : client_read(&c, kept, 0, 8);
}

/* The same, asked of the kernel. */
static int witness_read(int fd, const rfs_Attr *attr)
{
	char buf[4096];
	long n = S_ISDIR(attr->mode) ? syscall(SYS_getdents64, fd, buf, sizeof(buf)) : pread(fd, buf, 8, 0);

	return n < 0 ? errno : 0;
}

static int kept_stat(void)
{
	REQUEST(stat);

	WHERE(stat, kept, "");
	return client_call(&c, &q);
}

/* Whatever is asked. */
static void check_dead(void)
{
	REQUEST(receive);

	assert_int_equal(kept_stat(), ESTALE);
	assert_int_equal(client_read(&c, kept, 0, 10), ESTALE);
	assert_int_equal(client_write(&c, kept, 0, false, "x"), ESTALE);
	assert_int_equal(client_list(&c, kept, 0, 100), ESTALE);
	assert_int_equal(client_lock(&c, kept, 0, F_OFD_SETLK, F_WRLCK, 0, 1), ESTALE);
	assert_int_equal(client_open_at(&c, kept, "x", O_RDWR | O_CREAT, 0600, 0), ESTALE);
	q.op.receive.handle = kept;
	assert_int_equal(client_call(&c, &q), ESTALE);
	c.handle = kept;
}

/* The kernel says no to one who has it open all the time, and so does the agent. */
static void check_refused(const struct row *row, const rfs_Attr *attr, int witness)
{
	bool writes = (row->flags & O_ACCMODE) != O_RDONLY;
	int read_error = witness_read(witness, attr);
	int write_error = !writes || pwrite(witness, "again", 5, 0) == 5 ? 0 : errno;

	assert_int_equal(kept_stat(), 0);
	assert_int_equal(c.reply.op.stat.attr.ino, attr->ino);
	assert_true(read_error || write_error);
	assert_int_equal(kept_read(attr), read_error);
	if (writes)
		assert_int_equal(client_write(&c, kept, 0, false, "again"), write_error);
}

/* What is written is where it belongs: for the program, and in WITNESS. */
static void check_write(const struct row *row, int witness)
{
	off_t at = 0;
	char text[6] = "";

	assert_int_equal(kept_stat(), 0);
	if (is_append(row))
		at = (off_t)c.reply.op.stat.attr.size;
	assert_int_equal(client_write(&c, kept, 0, is_append(row), "again"), 0);
	assert_int_equal(c.reply.op.write.offset, at + 5);
	if ((row->flags & O_ACCMODE) == O_RDWR) {
		assert_int_equal(client_read(&c, kept, 0, 8), 0);
		assert_memory_equal(c.payload, "againnt\n", 8);
	}
	if (witness < 0)
		return;
	assert_int_equal(pread(witness, text, 5, at), 5);
	assert_string_equal(text, "again");
}

/* The channel is of the device that it was. */
static void check_null(void)
{
	REQUEST(receive);

	q.op.receive = (rfs_Receive){ .handle = kept, .size = 4 };
	assert_int_equal(client_call(&c, &q), 0);
	assert_int_equal(c.reply.op.channel.result, 0);
}

/* The inode is the one that CELL's open found, and the one that the kernel finds. */
static void check_inode(const struct cell *cell)
{
	const rfs_Attr *attr = &c.reply.op.stat.attr;
	struct stat st;

	assert_int_equal(kept_stat(), 0);
	assert_int_equal(attr->mode & S_IFMT, cell->before.mode & S_IFMT);
	assert_int_equal(attr->dev_major, cell->before.dev_major);
	assert_int_equal(attr->dev_minor, cell->before.dev_minor);
	if (is_procfs(cell->row) && is_another(cell->way))
		return;
	assert_int_equal(attr->ino, cell->before.ino);
	if (cell->witness < 0)
		return;
	assert_int_equal(fstat(cell->witness, &st), 0);
	assert_int_equal(st.st_ino, attr->ino);
}

/* The same inode, the same bytes or entries as before, and what is written is there. */
static void check_same(const struct cell *cell)
{
	const struct row *row = cell->row;
	char names[4096] = "";

	check_inode(cell);
	if (S_ISCHR(cell->before.mode))
		check_null();
	if (S_ISDIR(cell->before.mode)) {
		names_list(0, sizeof(names), names);
		assert_string_equal(names, cell->names);
	}
	if (!has_bytes(row, &cell->before))
		return;
	if ((row->flags & O_ACCMODE) != O_WRONLY) {
		assert_int_equal(kept_read(&cell->before), 0);
		assert_int_equal(c.payload_len, cell->count);
		assert_memory_equal(c.payload, cell->bytes, cell->count);
	}
	if ((row->flags & O_ACCMODE) != O_RDONLY)
		check_write(row, cell->witness);
}

static void cell_begin(struct cell *cell)
{
	const struct row *row = cell->row;

	cell->file = row->file ? row->file : "a/f";
	if (is_process(row)) {
		child_start();
		cell->file = child_file;
	}
	agent_start(base, cell->way != PATHS);
	agent_hello(false);
	open_kept(cell->file, row->flags);
	cell->before = c.reply.op.open.attr;
	if (row->flags & O_TMPFILE & ~O_DIRECTORY)
		assert_int_equal(client_write(&c, kept, 0, false, "content\n"), 0);
	if (S_ISDIR(cell->before.mode))
		names_list(0, sizeof(cell->names), cell->names);
	cell->count = sizeof(cell->bytes);
	memcpy(cell->bytes, "content\n", cell->count);
	if (has_bytes(row, &cell->before) && (row->flags & O_ACCMODE) == O_RDONLY) {
		assert_int_equal(kept_read(&cell->before), 0);
		cell->count = c.payload_len;
		memcpy(cell->bytes, c.payload, cell->count);
	}
	cell->held = row->held ? open(cell->file, O_RDONLY) : -1;
	/* Where what a handle opens is, the kernel knows for as long as its caches, or somebody who has it open. */
	if (row->end[BOTH] == SAME && row->end[PATHS] == DEAD && !row->held)
		cell->held = open(cell->file, O_PATH | O_NOFOLLOW);
	/* The kernel's own descriptor may be there for as long as the agent's. */
	cell->witness = -1;
	if (!is_another(cell->way) && cell->before.nlink)
		cell->witness = witness_open(strcmp(cell->file, "/") ? cell->file : ".", row, &cell->before);
}

static void cell_check(struct cell *cell, int lost)
{
	const struct row *row = cell->row;
	enum end end = row->end[cell->way];

	if ((end == DEAD) != (lost != 0))
		fail_msg("%s", lost ? strerror(lost) : "another file, or one that should be lost");
	if (is_another(cell->way) && end != DEAD && !row->nowhere)
		cell->witness = witness_open(row->now ? row->now : cell->file, row, &cell->before);
	c.handle = kept;
	if (end == DEAD)
		check_dead();
	else if (end == REFUSED)
		check_refused(row, &cell->before, cell->witness);
	else
		check_same(cell);
}

static void cell_run(const struct row *row, enum way way)
{
	struct cell cell = { .row = row, .way = way };

	print_message("%s, %s\n", row->name, way_names[way]);
	cell_begin(&cell);
	agent_lose(way);
	assert_int_equal(row->happens ? system(row->happens) : 0, 0);
	if (row->also)
		row->also();
	cell_check(&cell, return_kept(way, base));
	close_kept();
	agent_stop();
	close(cell.held);
	close(cell.witness);
	if (child > 0)
		child_end();
	child = 0;
}

static int tree_unmount(void)
{
	char cmd[512];

	/* Whatever was mounted there goes with the namespace. */
	snprintf(cmd, sizeof(cmd), "cd /tmp; for m in $(awk '$5 ~ \"^%s\" { print $5 }' /proc/self/mountinfo | sort -r); do "
		 "umount -l $m; done; chattr -i %s/a/f 2>/dev/null; rm -rf %s %s.*", base, base, base, base);
	return chdir("/") || system(cmd);
}

static void test_table(void **state)
{
	bool handles = may_use_handles(), mounts = may_mount();
	unsigned int skipped = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int way = 0; way < WAYS; way++) {
			const struct row *row = &rows[i];
			bool skip = (way == BOTH && !handles) || (row->needs && !mounts);

			if (!skip) {
				tree_start(row->needs);
				skip = (row->needs && system(row->needs)) || (row->prepare && system(row->prepare));
				if (!skip)
					cell_run(row, way);
				tree_unmount();
			}
			skipped += skip;
			if (skip)
				print_message("skipped: %s, %s\n", row->name, way_names[way]);
		}
	print_message("%zu rows, %u cells skipped\n", sizeof(rows) / sizeof(rows[0]), skipped);
}

/* ---- what an open file has besides ---- */

/* A listing goes on where it was. */
static void directory_offset(enum way way)
{
	char all[8192] = "", parts[8192] = "";
	int64_t cookie;

	assert_int_equal(system("for i in $(seq 400); do : >a/$i; done"), 0);
	open_kept("a", O_RDONLY | O_DIRECTORY);
	names_list(0, 1 << 20, all);
	cookie = names_list(0, 2000, parts);
	assert_true(strlen(parts) < strlen(all));
	agent_lose(way);
	assert_int_equal(return_kept(way, base), 0);
	names_list(cookie, 1 << 20, parts);
	assert_string_equal(all, parts);
}

static void test_directory_offset(void **state)
{
	in_each_way(directory_offset);
}

/* Whose a lock is. */
enum lock { POSIX, OFD, FLOCK, LOCKS };

static int kept_lock(enum lock lock, bool unlock)
{
	REQUEST(flock);

	if (lock != FLOCK)
		return client_lock(&c, kept, lock == POSIX ? 7 : 0, F_OFD_SETLK, unlock ? F_UNLCK : F_WRLCK, 2, 8);
	q.op.flock = (rfs_Flock){ .handle = kept, .operation = unlock ? LOCK_UN : LOCK_EX };
	return client_call(&c, &q);
}

/* Somebody else's lock: 0, or EAGAIN. */
static int other_lock(int fd, enum lock lock)
{
	struct flock f = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 9, .l_len = 4 };
	int r = lock == FLOCK ? flock(fd, LOCK_EX | LOCK_NB) : fcntl(fd, F_OFD_SETLK, &f);

	return r ? errno : 0;
}

static void other_unlock(int fd, enum lock lock)
{
	struct flock f = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	assert_int_equal(lock == FLOCK ? flock(fd, LOCK_UN) : fcntl(fd, F_OFD_SETLK, &f), 0);
}

/*
 * Locks are held all the time, or by nobody from the agent's end on; then the client has to ask for them again, and finds whoever has
 * them meanwhile.
 */
static void locks(enum way way)
{
	int held = is_another(way) ? 0 : EAGAIN, fd = open("a/f", O_RDWR);

	for (enum lock lock = 0; lock < LOCKS; lock++) {
		open_kept("a/f", O_RDWR);
		assert_int_equal(kept_lock(lock, false), 0);
		assert_int_equal(other_lock(fd, lock), EAGAIN);
		agent_lose(way);
		assert_int_equal(other_lock(fd, lock), held);
		assert_int_equal(return_kept(way, base), 0);
		assert_int_equal(other_lock(fd, lock), held);
		assert_int_equal(kept_lock(lock, false), held ? 0 : EAGAIN);
		if (!held)
			other_unlock(fd, lock);
		assert_int_equal(kept_lock(lock, false), 0);
		assert_int_equal(other_lock(fd, lock), EAGAIN);
		assert_int_equal(kept_lock(lock, true), 0);
		assert_int_equal(other_lock(fd, lock), 0);
		other_unlock(fd, lock);
		/* A close ends them, too. */
		assert_int_equal(kept_lock(lock, false), 0);
		close_kept();
		assert_int_equal(other_lock(fd, lock), 0);
		other_unlock(fd, lock);
	}
	close(fd);
}

static void test_locks(void **state)
{
	in_each_way(locks);
}

/* A change by others is told, as before. */
static void promise(enum way way)
{
	open_kept("a/f", O_RDWR);
	agent_lose(way);
	assert_int_equal(return_kept(way, base), 0);
	if (is_another(way)) {
		assert_true(c.reply.op.open.coherent & rfs_Coherent_HANDLE);
	} else {
		assert_true(client_changed(&c, kept)); /* what was pushed meanwhile is nobody's business */
		client_settle(&c);
		assert_int_equal(client_read(&c, kept, 0, 8), 0);
	}
	c.pushes = 0;
	spew("a/f", "changed\n");
	assert_true(client_changed(&c, kept));
}

static void test_promise(void **state)
{
	in_each_way(promise);
}

/* The agent has no descriptor left for a file, but those for who comes again; more than once. */
static void test_no_descriptor_left(void **state)
{
	for (int way = CUT; way <= KILLED; way++) {
		tree_start(false);
		agent_files = 64;
		agent_start(base, true);
		agent_files = 0;
		agent_hello(false);
		open_kept("a/f", O_RDONLY);
		for (int i = 0, error = 0; i < 8; i++, error = 0) {
			while (!error)
				error = client_open(&c, "a/f", O_RDONLY, 0);
			assert_int_equal(error, EMFILE);
			agent_lose(way);
			alarm(60); /* it would be asked again and again */
			agent_return(way, base);
			alarm(0);
			assert_int_equal(client_read(&c, kept, 0, 8), 0);
			assert_memory_equal(c.payload, "content\n", 8);
		}
		agent_stop();
		tree_remove(base);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_directory_offset),
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_promise),
		cmocka_unit_test(test_no_descriptor_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
