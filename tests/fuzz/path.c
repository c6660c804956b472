/* Random descriptors, paths, sizes and addresses. */
#include "fuzz.h"

int slots[SLOTS];
char buffer[BUFFER];

#define NAMES 12
static char long_name[NAME_MAX + 1], too_long_name[NAME_MAX + 2], too_long_path[PATH_MAX + 10];

static void __attribute__((constructor)) make_long_names(void)
{
	memset(long_name, 'n', NAME_MAX);
	memset(too_long_name, 'n', NAME_MAX + 1);
	memset(too_long_path, 'p', PATH_MAX + 5);
	for (size_t i = 0; i < PATH_MAX; i += 50)
		too_long_path[i] = '/';
}

static const char *name(void)
{
	static const char *const names[NAMES] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "sp ace" };

	if (chance(15))
		return long_name;
	return names[below(NAMES)];
}

bool is_in_proc(const char *path)
{
	return path && path != BAD_LOW && path != BAD_KERNEL && (!strncmp(path, "/proc/", 6) || !strncmp(path, "/dev/fd/", 8));
}

/* ---- descriptors ---- */

int pick_slot(void)
{
	int slot = (int)below(SLOTS);

	for (int i = 0; i < SLOTS && slots[slot] < 0 && !chance(30); i++)
		slot = (slot + 1) % SLOTS;
	return slot;
}

int pick_fd(void)
{
	if (chance(15)) {
		int bad = (int)PICK(-1, 999, AT_FDCWD, 20000, 2000000);
		say("%d", bad);
		return bad;
	}
	int slot = pick_slot();
	say("s%d", slot);
	return slots[slot];
}

void keep_fd_at(int slot, long fd)
{
	if (fd < 0) {
		say_result(fd);
		return;
	}
	if (slots[slot] >= 0 && slots[slot] != fd && sys(close, slots[slot]) < 0)
		say(" (close of s%d: %s)", slot, err_name(errno));
	slots[slot] = (int)fd;
	say(" = s%d", slot);
}

void keep_fd(long fd)
{
	keep_fd_at((int)below(SLOTS), fd);
}

bool may_block(int fd)
{
	struct stat st;

	return fd >= 0 && !sys(fstat, fd, &st) && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

/* ---- paths ---- */

static char *append(char *p, const char *text)
{
	size_t n = strlen(text);

	memcpy(p, text, n + 1);
	return p + n;
}

/* Names, with what is between and behind them; ".." only where it does not lead out by the text. */
static void random_names(char *p)
{
	unsigned depth = chance(550) ? 1 : chance(700) ? 2 : 3;
	char *start = p;

	if (chance(20))
		p = append(p, "./");
	for (unsigned i = 0; i < depth; i++) {
		if (i)
			p = append(p, chance(40) ? "//" : chance(30) ? "/./" : "/");
		p = append(p, name());
		if (chance(20) && i + 1 < depth) {
			p = append(p, "/../");
			p = append(p, name());
		}
	}
	if (chance(40))
		append(p, PICK(0, 1) ? "/" : chance(500) ? "/." : "//");
	else if (chance(10))
		append(p, "/..");
	if (chance(6))
		strcpy(start, ".");
}

static const char *odd_path(void)
{
	static char in_tree[2 * PATH_MAX];

	switch (below(7)) {
	case 0:
		say("NULL");
		return NULL;
	case 1:
		say("BAD");
		return BAD_LOW;
	case 2:
		say("BAD");
		return BAD_KERNEL;
	case 3:
		say("\"\"");
		return "";
	case 4:
		say("NAME_TOO_LONG");
		return too_long_name;
	case 5:
		say("PATH_TOO_LONG");
		return too_long_path;
	default:
		say("TREE/NAME_TOO_LONG");
		snprintf(in_tree, sizeof(in_tree), "%s/%s", tree, too_long_name);
		return in_tree;
	}
}

/* /proc/self/fd/N and the like, named by the slot. */
static const char *descriptor_path(char *buf, bool legacy)
{
	static const char *const stems[] = { "/proc/self/fd/", "/dev/fd/", "/proc/thread-self/fd/" };
	const char *stem = stems[below(3)];
	int slot = pick_slot();
	char *p;

	if (chance(80)) {
		p = append(buf, "/proc/self/cwd/");
		random_names(p);
		say("\"%s\"", buf);
		return buf;
	}
	p = buf + sprintf(buf, "%s%d", stem, slots[slot] < 0 ? 777 : slots[slot]);
	if (chance(250)) {
		*p = '/';
		random_names(p + 1);
	}
	say("\"%ss%d%s\"", stem, slot, p);
	return buf;
}

/* A local link into a remote tree the kernel follows, and does not know the tree: none is made. */
static bool no_local;

static struct where pick(bool legacy, bool inside)
{
	static char ring[4][2 * PATH_MAX];
	static unsigned next;
	char *buf = ring[next++ % 4];
	struct where w = { AT_FDCWD, buf };

	if (!legacy && chance(350)) {
		w.fd = pick_fd();
		say(", ");
	}
	if (chance(20)) {
		w.path = odd_path();
		return w;
	}
	if (families & FAM_MAGIC && !inside && chance(30)) {
		w.path = descriptor_path(buf, legacy);
		return w;
	}
	if (families & FAM_MIXED && chance(inside ? 8 : 25) && !no_local) {
		sprintf(buf, "%s/%c", local, 'x' + (char)below(3));
	} else if (chance(250)) {
		random_names(buf + sprintf(buf, "%s/", tree));
	} else {
		random_names(buf);
	}
	no_local = false;
	say("\"%s\"", buf);
	return w;
}

struct where pick_where(bool legacy)
{
	return pick(legacy, false);
}

struct where pick_tree_where(bool legacy)
{
	return pick(legacy, true);
}

const char *pick_link_text(void)
{
	static char text[2 * PATH_MAX];
	char *p = text;

	no_local = false;
	if (chance(10))
		return odd_path();
	if (families & FAM_LINKS_OUT && chance(150)) {
		p += sprintf(p, "%s/", tree);
		no_local = true;
	}
	if (p == text && families & FAM_LINKS_OUT && chance(80))
		p = append(p, "../");
	random_names(p);
	say("\"%s\"", text);
	return text;
}

long pick_mode(void)
{
	long mode = PICK(0, 0400, 0600, 0644, 0666, 0755, 0755, 0777, 0777, 01777, 02755, 02770, 04755, 06777, 0111, 0222, 0100644, 0177777);

	say("0%lo", mode);
	return mode;
}

/* ---- data ---- */

size_t pick_size(void)
{
	size_t n = (size_t)(chance(8) ? PICK(BUFFER, 200000, 131072, 131073) :
				PICK(0, 1, 2, 7, 100, 512, 1000, 4095, 4096, 4097, 10000, 70000));

	say("%zu", n);
	return n;
}

int64_t pick_offset(void)
{
	int64_t off = chance(20) ? PICK(-1, -4096, INT64_MIN) :
		      chance(50) ? PICK(131072, 131071, 200000, 300000, 1048576, 1100000) :
				   PICK(0, 0, 0, 1, 7, 100, 4095, 4096, 5000, 8191, 8192, 65536);

	say("%lld", (long long)off);
	return off;
}

/* Where a file system's offsets end: a low descriptor's are its placeholder's own. */
int64_t pick_far_offset(void)
{
	if (!chance(30))
		return pick_offset();
	int64_t off = PICK(INT64_MAX, INT64_MAX - 4096, 1l << 62);
	say("%lld", (long long)off);
	return off;
}

void *pick_buffer(size_t len)
{
	static char *cliff;

	if (!cliff)
		cliff = edge(8192);
	if (chance(15)) {
		say("BAD");
		return chance(500) ? BAD_LOW : BAD_KERNEL;
	}
	if (chance(15) && len > 1 && len <= 8192) {
		size_t good = below((unsigned)len);

		say("CLIFF+%zu", good);
		return cliff + 8192 - good;
	}
	say("buf");
	return buffer;
}
