#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "escape.h"

/* What no request and nothing inside has. */
static const char secret[] = "the canary sings of 3f77c1", name_of_all[] = "kanarie";
static const char *const files[] = { "canary", "d/canary", "kanarie", "d/kanarie" };

#define ENTRIES 6 /* those, and the two directories */

static char base[256];
static struct stat first[ENTRIES];

static const char *entry(int i)
{
	static char path[512];
	static const char *const dirs[] = { ".", "d" };

	snprintf(path, sizeof(path), "%s/%s", base, i < 4 ? files[i] : dirs[i - 4]);
	return path;
}

/* A read moves an access time that is older than the last change, whatever the mount says short of noatime. */
void outside_make(const char *dir)
{
	struct timespec old[2] = { { 1000, 0 }, { 2000, 0 } };

	snprintf(base, sizeof(base), "%s", dir);
	shell("mkdir -p %s/d && for f in canary d/canary kanarie d/kanarie; do printf '%s' >%s/$f; done", dir, secret, dir);
	shell("chmod 777 %s %s/d && chmod 666 %s/*canary %s/d/*", dir, dir, dir, dir);
	for (int i = 0; i < ENTRIES; i++) {
		must(utimensat(AT_FDCWD, entry(i), old, 0), entry(i));
		must(stat(entry(i), &first[i]), entry(i));
	}
}

void outside_put(const char *path)
{
	shell("printf '%s' >%s && chmod 666 %s", secret, path, path);
}

bool outside_told(const void *bytes, size_t len)
{
	return memmem(bytes, len, secret, strlen(secret)) || memmem(bytes, len, name_of_all, strlen(name_of_all));
}

static const char *difference(const struct stat *a, const struct stat *b)
{
	return a->st_ino != b->st_ino ? "another file" : a->st_mode != b->st_mode ? "mode" : a->st_nlink != b->st_nlink ? "links" :
	       a->st_uid != b->st_uid ? "owner" : a->st_size != b->st_size ? "size" : a->st_mtime != b->st_mtime ? "mtime" :
	       a->st_ctim.tv_nsec != b->st_ctim.tv_nsec || a->st_ctime != b->st_ctime ? "ctime" : a->st_atime != b->st_atime ? "read" : NULL;
}

bool outside_touched(char text[256])
{
	struct stat now;

	for (int i = 0; i < ENTRIES; i++) {
		const char *what = lstat(entry(i), &now) ? "gone" : difference(&first[i], &now);

		if (!what)
			continue;
		snprintf(text, 256, "%.200s: %s", entry(i), what);
		return true;
	}
	return false;
}
