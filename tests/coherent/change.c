/* Who changes the tree. Each change notes what will be before its call, and when that was so after it. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "coherent.h"

#define MAX_SIZE 3000
#define LARGE 200000 /* more than is fetched ahead */

struct file { int inode, size, version; unsigned mode; };
struct dir { bool exists, moved; int inode; unsigned mode; struct file file[FILES]; };
struct parent { bool moved; int inode; unsigned mode; int64_t quiet; struct dir dir[DIRS]; };

static struct parent world[PARENTS];
static int64_t quiet_ns;
static int pending[PATHS * 2], pending_count;
static unsigned serial;
static struct { struct file key; int version, inode, last; int64_t quiet; } map;

_Noreturn void die(const char *what)
{
	fprintf(stderr, "coherent: %s: %s\n", what, strerror(errno));
	exit(3);
}

/* ---- notes ---- */

int path_of(int parent, int moved, int dir, int dir_moved, int file)
{
	int at = parent * 2 + moved;

	if (dir < 0)
		return at;
	at = at * DIRS * 2 + dir * 2 + dir_moved;
	return file < 0 ? PARENTS * 2 + at : PARENTS * 2 * (1 + DIRS * 2) + at * FILES + file;
}

static void note(_Atomic int *head, struct record r)
{
	int at = atomic_fetch_add(&L->records, 1) + 1;

	if (at >= RECORDS)
		die("no room for more records");
	r.prev = *head;
	L->record[at] = r;
	pending[pending_count++] = at;
	*head = at;
}

static void note_path(int path, int inode, int64_t before)
{
	if (!L->path[path].head || L->record[L->path[path].head].inode != inode)
		note(&L->path[path].head, (struct record){ .before = before, .inode = inode });
}

static void note_file(const struct file *f, int64_t before)
{
	note(&L->inode[f->inode].head, (struct record){ .before = before, .size = f->size, .version = f->version, .mode = f->mode });
}

static void note_mode(int inode, unsigned mode, int64_t before)
{
	note(&L->inode[inode].head, (struct record){ .before = before, .mode = mode });
}

/* What all names are from here on. */
static void note_world(int64_t before)
{
	for (int p = 0; p < PARENTS; p++)
		for (int m = 0; m < 2; m++) {
			bool there = world[p].moved == m;
			note_path(path_of(p, m, -1, 0, 0), there ? world[p].inode : 0, before);
			for (int d = 0; d < DIRS * 2; d++) {
				const struct dir *dir = &world[p].dir[d / 2];
				bool is = there && dir->exists && dir->moved == d % 2;
				note_path(path_of(p, m, d / 2, d % 2, -1), is ? dir->inode : 0, before);
				for (int f = 0; f < FILES; f++)
					note_path(path_of(p, m, d / 2, d % 2, f), is ? dir->file[f].inode : 0, before);
			}
		}
	note_path(PATH_DATA, map.inode, before);
	note_path(PATH_KEY, map.key.inode, before);
	note_path(PATH_DATA_KEY, map.key.inode, before);
}

static void done(bool good, const char *what)
{
	int64_t after = now();

	if (!good)
		die(what);
	while (pending_count)
		L->record[pending[--pending_count]].after = after;
	L->changes++;
}

static int new_inode(unsigned kind)
{
	int at = atomic_fetch_add(&L->inodes, 1) + 1;

	if (at >= INODES)
		die("no room for more inodes");
	L->inode[at].kind = kind;
	return at;
}

static void learn_ino(int inode, const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		die(path);
	L->inode[inode].ino = st.st_ino;
}

/* ---- files ---- */

static void name_dir(char *out, int p, int d)
{
	const struct parent *parent = &world[p];
	int n = sprintf(out, "p%d%s", p, parent->moved ? ".x" : "");

	if (d >= 0)
		sprintf(out + n, "/d%d%s", d, parent->dir[d].moved ? ".x" : "");
}

static bool write_header(int fd, const struct file *f)
{
	char text[HEADER + 1];

	snprintf(text, sizeof(text), "%07d %07d\n", f->inode, f->version);
	return pwrite(fd, text, HEADER, 0) == HEADER;
}

/* A file made under another name, to be put in its place at once. */
static struct file make_aside(const char *path, int size)
{
	struct file f = { new_inode(S_IFREG), size, roll(1000), 0644 };
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);

	note_file(&f, now());
	done(fd >= 0 && write_header(fd, &f) && !ftruncate(fd, size), path);
	close(fd);
	learn_ino(f.inode, path);
	return f;
}

static void create(struct file *f, const char *path, int size)
{
	int64_t before = now();

	*f = (struct file){ new_inode(S_IFREG), 0, NO_VERSION, 0644 };
	note_file(f, before);
	note_world(before);
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
	done(fd >= 0, path);
	learn_ino(f->inode, path);
	f->version = roll(1000);
	f->size = HEADER;
	note_file(f, now());
	done(write_header(fd, f), path);
	if (size > HEADER) {
		f->size = size;
		note_file(f, now());
		done(!ftruncate(fd, size), path);
	}
	close(fd);
}

static void replace(struct file *f, const char *path, const char *aside, int size)
{
	*f = make_aside(aside, size);
	note_world(now());
	done(!rename(aside, path), path);
}

static void write_in_place(struct file *f, const char *path)
{
	static const char bytes[600];
	int append = f->size < MAX_SIZE && f->size && roll(2), more = 1 + roll(sizeof(bytes) - 1);
	int fd = open(path, O_WRONLY | (append ? O_APPEND : 0));

	if (fd < 0)
		die(path);
	f->version = append ? f->version : f->version < 0 ? 0 : f->version + 1;
	f->size = append ? f->size + more : f->size < HEADER ? HEADER : f->size;
	note_file(f, now());
	done(append ? write(fd, bytes, more) == more : write_header(fd, f), path);
	close(fd);
}

static void set_length(struct file *f, const char *path, int size)
{
	f->size = size;
	f->version = size ? f->version : NO_VERSION;
	note_file(f, now());
	done(!truncate(path, size), path);
}

static void set_mode(int inode, unsigned *mode, const char *path)
{
	*mode = 0700 | roll(0100);
	note_mode(inode, *mode, now());
	done(!chmod(path, *mode), path);
}

static void change_file(int p, int d, int n, bool structure)
{
	struct file *f = &world[p].dir[d].file[n];
	char path[NAME], aside[NAME];
	int size = HEADER + roll(MAX_SIZE - HEADER) + (n == FILES - 1 ? LARGE : 0), length;

	name_dir(path, p, d);
	length = (int)strlen(path);
	sprintf(path + length, "/f%d", n);
	if (!f->inode) {
		if (structure)
			create(f, path, size);
		return;
	}
	switch (roll(structure ? 8 : 5)) {
	default:
		write_in_place(f, path);
		break;
	case 3:
		set_length(f, path, f->size && roll(2) && n < FILES - 1 ? 0 : f->size ? size : 0);
		break;
	case 4:
		f->mode = 0600 | roll(0100);
		note_file(f, now());
		done(!chmod(path, f->mode), path);
		break;
	case 5:
	case 6:
		/* In the same directory, or from another one. */
		if (roll(2))
			sprintf(aside, "tmp/new");
		else
			snprintf(aside, sizeof(aside), "%.*s/.new", length, path);
		replace(f, path, aside, size);
		break;
	case 7:
		f->inode = 0;
		note_world(now());
		done(!unlink(path), path);
	}
}

/* ---- directories ---- */

static void make_dir(int p, int d)
{
	struct dir *dir = &world[p].dir[d];
	char path[NAME];
	int64_t before = now();

	*dir = (struct dir){ .exists = true, .moved = dir->moved, .inode = new_inode(S_IFDIR), .mode = 0755 };
	name_dir(path, p, d);
	note_mode(dir->inode, dir->mode, before);
	note_world(before);
	done(!mkdir(path, 0755), path);
	learn_ino(dir->inode, path);
}

/* With all that is in it, file by file, or at once by moving it aside. */
static void remove_dir(int p, int d)
{
	struct dir *dir = &world[p].dir[d];
	char path[NAME], name[NAME];

	name_dir(path, p, d);
	strcpy(name, path);
	if (roll(2)) {
		sprintf(name, "tmp/%u", ++serial);
		dir->exists = false;
		note_world(now());
		done(!rename(path, name), path);
	}
	for (int f = 0; f < FILES; f++)
		if (dir->file[f].inode) {
			dir->file[f].inode = 0;
			note_world(now());
			sprintf(strchr(name, 0), "/f%d", f);
			done(!unlink(name), name);
			*strrchr(name, '/') = '\0';
		}
	dir->exists = false;
	note_world(now());
	done(!rmdir(name), name);
}

static void move_dir(int p, int d)
{
	bool *moved = d < 0 ? &world[p].moved : &world[p].dir[d].moved;
	char from[NAME], to[NAME];

	name_dir(from, p, d);
	*moved = !*moved;
	name_dir(to, p, d);
	note_world(now());
	done(!rename(from, to), from);
}

static void exchange_dirs(int p)
{
	struct dir *a = &world[p].dir[0], *b = &world[p].dir[1], old = *a;
	char one[NAME], other[NAME];

	if (!a->exists || !b->exists)
		return;
	name_dir(one, p, 0);
	name_dir(other, p, 1);
	*a = *b;
	a->moved = old.moved;
	old.moved = b->moved;
	*b = old;
	note_world(now());
	done(!renameat2(AT_FDCWD, one, AT_FDCWD, other, 2 /* RENAME_EXCHANGE */), one);
}

static void change_dir(int p, int d)
{
	struct dir *dir = &world[p].dir[d];
	char path[NAME];

	if (!dir->exists) {
		make_dir(p, d);
	} else {
		name_dir(path, p, d);
		switch (roll(6)) {
		case 0:
			remove_dir(p, d);
			break;
		case 1:
			set_mode(dir->inode, &dir->mode, path);
			return;
		case 2:
			move_dir(p, -1);
			break;
		case 3:
			exchange_dirs(p);
			break;
		case 4:
			name_dir(path, p, -1);
			set_mode(world[p].inode, &world[p].mode, path);
			return;
		default:
			move_dir(p, d);
		}
	}
	/* What was made in one of them now could be found by a path whose upper half was looked up before. */
	world[p].quiet = now() + quiet_ns;
}

/* ---- as a ConfigMap is brought up to date ---- */

static void remove_version(int version)
{
	char name[NAME];

	sprintf(name, "cm/v%07d/key", version);
	if (version && unlink(name))
		die(name);
	*strrchr(name, '/') = '\0';
	if (version && rmdir(name))
		die(name);
}

static void swap_map(void)
{
	char name[NAME];

	if (now() < map.quiet)
		return;
	map.quiet = now() + quiet_ns; /* who was on the way through the link has to find what is there */
	remove_version(map.last);
	map.last = map.version++;
	sprintf(name, "cm/v%07d", map.version);
	if (mkdir(name, 0755) || symlink(name + 3, "cm/..data_tmp"))
		die(name);
	map.inode = new_inode(S_IFLNK);
	learn_ino(map.inode, "cm/..data_tmp");
	note(&L->inode[map.inode].head, (struct record){ .before = now(), .size = 8, .version = map.version, .mode = 0777 });
	strcat(name, "/key");
	map.key = make_aside(name, HEADER + roll(MAX_SIZE));
	note_world(now());
	done(!rename("cm/..data_tmp", "cm/..data"), "cm/..data");
}

/* ---- all of it ---- */

static void name_paths(void)
{
	for (int i = 0; i < PARENTS * 2; i++) {
		int p = i / 2, m = i % 2;
		snprintf(L->path[i].name, sizeof(L->path[i].name), "p%d%s", p, m ? ".x" : "");
		for (int d = 0; d < DIRS * 2; d++) {
			struct path *dir = &L->path[path_of(p, m, d / 2, d % 2, -1)];
			snprintf(dir->name, sizeof(dir->name), "p%d%s/d%d%s", p, m ? ".x" : "", d / 2, d % 2 ? ".x" : "");
			L->path[i].kind = dir->kind = S_IFDIR;
			for (int f = 0; f < FILES; f++) {
				struct path *file = &L->path[path_of(p, m, d / 2, d % 2, f)];
				snprintf(file->name, sizeof(file->name), "p%d%s/d%d%s/f%d", p, m ? ".x" : "", d / 2, d % 2 ? ".x" : "", f);
				file->kind = S_IFREG;
			}
		}
	}
	L->path[PATH_DATA] = (struct path){ .name = "cm/..data", .kind = S_IFLNK };
	L->path[PATH_KEY] = (struct path){ .name = "cm/key", .kind = S_IFREG };
	L->path[PATH_DATA_KEY] = (struct path){ .name = "cm/..data/key", .kind = S_IFREG };
}

static void make_tree(const char *tree)
{
	char path[NAME];

	umask(022);
	if (mkdir(tree, 0755) || chdir(tree) || mkdir("tmp", 0755) || mkdir("cm", 0755) || symlink("..data/key", "cm/key"))
		die(tree);
	name_paths();
	for (int p = 0; p < PARENTS; p++) {
		int64_t before = now();
		world[p].inode = new_inode(S_IFDIR);
		world[p].mode = 0755;
		name_dir(path, p, -1);
		note_mode(world[p].inode, 0755, before);
		note_world(before);
		done(!mkdir(path, 0755), path);
		learn_ino(world[p].inode, path);
		for (int d = 0; d < DIRS; d++) {
			make_dir(p, d);
			for (int f = 0; f < FILES; f++)
				change_file(p, d, f, true);
		}
	}
	swap_map();
}

int change(const char *tree, int seconds, int64_t quiet)
{
	roll_seed(L->seed);
	make_tree(tree);
	quiet_ns = quiet;
	for (L->ready = 1; !L->observed;)
		pause_us(1000);
	for (int64_t end = now() + seconds * INT64_C(1000000000); now() < end;) {
		int p = roll(PARENTS), d = roll(DIRS);
		bool structure = now() > world[p].quiet;
		if (!roll(40))
			swap_map();
		else if (structure && !roll(8))
			change_dir(p, d);
		else if (world[p].dir[d].exists)
			change_file(p, d, roll(FILES), structure);
		/* Some come close together, and before some what can be kept is. */
		pause_us(roll(3) ? roll(2000) : roll(12) ? roll(8000) : 100000);
	}
	L->stopped = now();
	return 0;
}
