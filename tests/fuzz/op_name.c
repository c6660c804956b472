/* Operations on names. */
#include "fuzz.h"

static void run_mkdir(void)
{
	bool legacy = pick_legacy();

	say("%s(", legacy ? "mkdir" : "mkdirat");
	struct where w = pick_tree_where(legacy);
	say(", ");
	long mode = pick_mode();
	say(")");
	say_result(legacy ? sys(mkdir, w.path, mode) : sys(mkdirat, w.fd, w.path, mode));
}

static const struct flag unlink_flags[] = { { 0, "0" }, { 0, "0" }, FLAG(AT_REMOVEDIR), { 8, "8" } };

static void run_unlink(void)
{
	unsigned which = below(3);

	say("%s(", which == 0 ? "unlink" : which == 1 ? "rmdir" : "unlinkat");
	struct where w = pick_tree_where(which < 2);
	say(", ");
	long flags = which == 2 ? PICK_FLAG(unlink_flags) : 0;
	say(")");
	say_result(which == 0 ? sys(unlink, w.path) : which == 1 ? sys(rmdir, w.path) : sys(unlinkat, w.fd, w.path, flags));
}

static const struct flag rename_flags[] = {
	{ 0, "0" }, { 1, "NOREPLACE" }, { 2, "EXCHANGE" }, { 2, "EXCHANGE" }, { 3, "NOREPLACE|EXCHANGE" }, { 4, "WHITEOUT" }, { 16, "16" },
};

static void run_rename(void)
{
	unsigned which = below(3);

	say("%s(", which == 0 ? "rename" : which == 1 ? "renameat" : "renameat2");
	struct where from = pick_tree_where(which == 0);
	say(", ");
	struct where to = pick_tree_where(which == 0);
	say(", ");
	long flags = which == 2 ? PICK_FLAG(rename_flags) : 0;
	say(")");
	/* A whiteout is a device: what it takes to make one is not ours to test. */
	if (flags == 4)
		return;
	say_result(which == 0 ? sys(rename, from.path, to.path) :
		   which == 1 ? sys(renameat, from.fd, from.path, to.fd, to.path) :
				sys(renameat2, from.fd, from.path, to.fd, to.path, flags));
}

static const struct flag link_flags[] = {
	{ 0, "0" }, FLAG(AT_SYMLINK_FOLLOW), FLAG(AT_EMPTY_PATH), { AT_EMPTY_PATH | AT_SYMLINK_FOLLOW, "EMPTY|FOLLOW" }, { 0x40, "0x40" },
};

static void run_link(void)
{
	bool legacy = pick_legacy();

	say("%s(", legacy ? "link" : "linkat");
	struct where from = legacy ? pick_tree_where(true) : pick_where(false);
	say(", ");
	struct where to = pick_tree_where(legacy);
	say(", ");
	long flags = legacy ? 0 : PICK_FLAG(link_flags);
	/*
	 * An ordinary user may use it only with what a task with its own credentials opened (path_init of fs/namei.c): before a fork that
	 * is another one, which the descriptors that we hand out do not tell.
	 */
	if (geteuid() && current_op >> 32)
		flags &= ~AT_EMPTY_PATH;
	say(")");
	say_result(legacy ? sys(link, from.path, to.path) : sys(linkat, from.fd, from.path, to.fd, to.path, flags));
}

static void run_symlink(void)
{
	bool legacy = pick_legacy();

	say("%s(", legacy ? "symlink" : "symlinkat");
	const char *text = pick_link_text();
	say(", ");
	struct where w = pick_tree_where(legacy);
	say(")");
	say_result(legacy ? sys(symlink, text, w.path) : sys(symlinkat, text, w.fd, w.path));
}

/*
 * Whether PATH is a link in /proc to a file that was moved out of the tree, or to none: what has no name in the program's
 * view is ENOENT.
 */
static bool leads_elsewhere(const char *path)
{
	char text[PATH_MAX];
	ssize_t n;

	if (!is_in_proc(path))
		return false;
	n = sys(readlink, path, text, sizeof(text));
	if (n < 0)
		return errno == ENOENT;
	/* What never had a name is called by its inode's number. */
	return text[0] == '/' && ((strncmp(text, tree, strlen(tree)) && strncmp(text, local, strlen(local))) || memmem(text, (size_t)n, "/#", 2));
}

static void run_readlink(void)
{
	bool legacy = pick_legacy();

	say("%s(", legacy ? "readlink" : "readlinkat");
	struct where w = pick_where(legacy);
	int size = (int)PICK(4096, 4096, 10, 1, 0, -1);
	say(", %d)", size);
	memset(buffer, 0, 4200);
	if (leads_elsewhere(w.path))
		return;
	long n = legacy ? sys(readlink, w.path, buffer, size) : sys(readlinkat, w.fd, w.path, buffer, size);
	if (n > 6 && !memcmp(buffer, "pipe:[", 6))
		n = 6; /* its number differs between runs */
	if (say_result(n) > 0)
		say(" \"%.*s\"", (int)n, buffer);
}

static void run_mknod(void)
{
	bool legacy = pick_legacy();

	say("%s(", legacy ? "mknod" : "mknodat");
	struct where w = pick_tree_where(legacy);
	say(", ");
	long mode = PICK(0, S_IFREG, S_IFREG, S_IFDIR, S_IFLNK, 0170000);
	if (families & FAM_SPECIAL)
		mode = PICK(mode, S_IFIFO, S_IFIFO, S_IFSOCK, S_IFCHR);
	long perms = pick_mode() & 07777;
	long dev = S_ISCHR(mode) ? 0x103 : 0;
	say(", %lo)", mode);
	say_result(legacy ? sys(mknod, w.path, mode | perms, dev) : sys(mknodat, w.fd, w.path, mode | perms, dev));
}

const struct op name_ops[] = {
	{ "mkdir", FAM_NAME, 45, run_mkdir },
	{ "unlink", FAM_NAME, 55, run_unlink },
	{ "rename", FAM_NAME, 55, run_rename },
	{ "link", FAM_NAME, 30, run_link },
	{ "symlink", FAM_NAME, 20, run_symlink },
	{ "readlink", FAM_NAME, 25, run_readlink },
	{ "mknod", FAM_NAME, 12, run_mknod },
	{ 0 },
};
