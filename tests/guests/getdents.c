/* getdents64, getdents: what directories hold, in buffers of every size, and where a listing goes on. */
#include "guest.h"

struct dirent64_ { uint64_t ino; int64_t off; uint16_t reclen; uint8_t type; char name[]; };
struct dirent_ { unsigned long ino, off; unsigned short reclen; char name[]; };

struct entry { char name[260]; int type; uint64_t ino; int64_t off; };

static struct entry entries[4000];

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* Reads on until the end; how many entries came. Aligned reclens and NUL-terminated names are checked. */
static int read_all(int fd, size_t size, bool old)
{
	static char buf[1 << 16];
	int count = 0;
	long n;

	while ((n = old ? sys(getdents, fd, buf, size) : sys(getdents64, fd, buf, size)) > 0) {
		for (long at = 0; at < n && count < (int)COUNT(entries);) {
			struct entry *e = &entries[count++];
			struct dirent64_ *d = (void *)(buf + at);
			struct dirent_ *o = (void *)(buf + at);
			int reclen = old ? o->reclen : d->reclen;

			snprintf(e->name, sizeof(e->name), "%s", old ? o->name : d->name);
			e->type = old ? buf[at + reclen - 1] : d->type;
			e->ino = old ? o->ino : d->ino;
			e->off = old ? (int64_t)o->off : d->off;
			if (reclen % 8 || reclen < (int)strlen(e->name) + 20)
				printf("bad reclen %d for %s\n", reclen, e->name);
			at += reclen;
		}
	}
	if (n < 0)
		printf("getdents: %s\n", err_name(errno));
	return count;
}

static void show_entries(const char *dir, int count)
{
	uint64_t h = hash("", 0);

	for (int i = 0; i < count; i++) {
		struct stat st;
		char path[PATH_MAX * 3];

		snprintf(path, sizeof(path), "%s/%.259s", P(dir), entries[i].name);
		if (lstat(path, &st) < 0)
			printf("%s: %s\n", entries[i].name, err_name(errno));
		else if (st.st_ino != entries[i].ino)
			printf("%s: another inode\n", entries[i].name);
		h = hash_more(h, entries[i].name, strlen(entries[i].name) + 1);
	}
	printf("%d entries, in order %016llx\n", count, (unsigned long long)h);
	qsort(entries, count, sizeof(entries[0]), by_name);
	for (int i = 0; i < count; i += count > 100 ? 97 : 1)
		printf("  %s type %d\n", entries[i].name, entries[i].type);
}

static void sizes(const char *dir)
{
	static const size_t sizes[] = { 65536, 32768, 4096, 1024, 300, 280, 48 };
	int fd = sys(open, P(dir), O_RDONLY | O_DIRECTORY);

	section("%s", dir);
	show_entries(dir, read_all(fd, 65536, false));
	for (size_t i = 0; i < COUNT(sizes); i++) {
		int n, o;

		sys(lseek, fd, 0, SEEK_SET);
		n = read_all(fd, sizes[i], false);
		sys(lseek, fd, 0, SEEK_SET);
		o = read_all(fd, sizes[i], true);
		printf("buffer %zu: %d, old %d\n", sizes[i], n, o);
	}
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	show_entries(dir, read_all(fd, 4096, true));
	SHOW(sys(getdents64, fd, entries, sizeof(entries)));
	SHOW(sys(getdents, fd, entries, sizeof(entries)));
	close(fd);
}

static void positions(const char *dir)
{
	static struct entry all[4000];
	int fd = sys(open, P(dir), O_RDONLY | O_DIRECTORY), count, wrong = 0;

	section("positions in %s", dir);
	count = read_all(fd, 32768, false);
	memcpy(all, entries, sizeof(all));
	for (int i = 0; i + 1 < count; i += 1 + count / 50) {
		if (sys(lseek, fd, all[i].off, SEEK_SET) != all[i].off || read_all(fd, 32768, false) != count - i - 1 ||
		    strcmp(entries[0].name, all[i + 1].name))
			wrong++;
	}
	printf("%d positions wrong\n", wrong);
	sys(lseek, fd, 0, SEEK_SET);
	if (count > 4) {
		static char buf[4096];
		struct dirent64_ *d = (void *)buf;

		SHOW(sys(getdents64, fd, buf, 24) < 0);
		SHOW(sys(lseek, fd, all[1].off, SEEK_SET) == all[1].off);
		SHOW(sys(lseek, fd, 0, SEEK_CUR) == all[1].off);
		SHOW(sys(getdents64, fd, buf, sizeof(buf)) > 0);
		printf("goes on with the right one: %d\n", !strcmp(d->name, all[2].name));
	}
	close(fd);
}

static void changes(void)
{
	int fd = SHOWFD(sys(open, P("dir"), O_RDONLY)), copy;

	section("changes");
	printf("%d\n", read_all(fd, 4096, false));
	close(SHOWFD(sys(open, P("dir/new1"), O_CREAT | O_WRONLY, 0600)));
	SHOW(mkdir(P("dir/new2"), 0700));
	SHOW(unlink(P("dir/file")));
	SHOW(rename(P("dir/one"), P("dir/moved")));
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	show_entries("dir", read_all(fd, 4096, false));
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	copy = SHOWFD(dup(fd));
	printf("%d\n", read_all(copy, 4096, false));
	printf("shared offset: %d more\n", read_all(fd, 4096, false));
	SHOW(rmdir(P("dir/new2")));
	close(fd);
	close(copy);
	fd = SHOWFD(sys(open, P("dir/empty"), O_RDONLY));
	SHOW(rmdir(P("dir/empty")));
	SHOW(sys(getdents64, fd, entries, sizeof(entries)));
	SHOW(sys(getdents, fd, entries, sizeof(entries)));
	close(fd);
}

static void errors(void)
{
	int file = SHOWFD(sys(open, P("hello.txt"), O_RDONLY)), path = SHOWFD(sys(open, P("dir"), O_PATH));
	int dir = SHOWFD(sys(open, P("odd"), O_RDONLY));

	section("errors");
	SHOW(sys(getdents64, file, entries, 4096));
	SHOW(sys(getdents, file, entries, 4096));
	SHOW(sys(getdents64, path, entries, 4096));
	SHOW(sys(getdents64, -1, entries, 4096));
	SHOW(sys(getdents64, 999999, entries, 4096));
	SHOW(sys(getdents64, dir, entries, 0));
	SHOW(sys(getdents64, dir, entries, 23));
	SHOW(sys(getdents, dir, entries, 10));
	SHOW(sys(getdents64, dir, NULL, 4096));
	SHOW(sys(getdents64, dir, BAD_KERNEL, 4096));
	SHOW(sys(getdents, dir, BAD_LOW, 4096));
	SHOW(sys(getdents64, dir, NULL, 0));
	printf("still there: %d\n", read_all(dir, 4096, false));
	SHOW(sys(lseek, dir, -1L, SEEK_SET));
	SHOW(sys(lseek, dir, 0, 9));
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	sizes("");
	sizes("dir/empty");
	sizes("dir/one");
	sizes("odd");
	sizes("links");
	sizes("many");
	positions("odd");
	positions("many");
	changes();
	errors();
	return 0;
}
