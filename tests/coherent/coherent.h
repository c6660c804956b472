/* What who changes the tree tells who looks at it: see main.c. */
#ifndef COHERENT_H
#define COHERENT_H

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* p0 and p1, each with d0 and d1, each with files f0 to f2; directories have a second name, with .x behind it, to be moved to. */
#define PARENTS 2
#define DIRS 2
#define FILES 3
#define PATHS 128
#define NAME 128 /* longer than any of them */
#define INODES (1 << 16)
#define RECORDS (1 << 20)
#define SUSPECTS 4096
#define AGES 20000
#define AGE_NS INT64_C(100000)
#define NOISES 4096
#define NOISE_NS INT64_C(50000000)
#define WORK_NS INT64_C(200000)
#define SLOW_NS INT64_C(100000000) /* a path may be taken apart over so long a time that it is none of the tree's at any moment */
#define NEVER INT64_MAX
#define UNKNOWN INT64_C(-1)
#define HEADER 16 /* a file begins with its inode's index and a version, or it is empty */
#define READ 4096 /* at most so much is read */
#define NO_VERSION (-2)

/* What a path was from BEFORE at the earliest until the next record's AFTER (0: not yet known) at the latest; or an inode. */
struct record {
	int64_t before;
	_Atomic int64_t after;
	int prev; /* the index of the one before it; 0: none */
	int inode; /* of a path; 0: absent */
	int size, version;
	unsigned mode;
};

struct inode { _Atomic uint64_t ino; unsigned kind; _Atomic int head; };
struct path { char name[64]; unsigned kind; _Atomic int head; };

enum what { STAT, FSTAT, PREAD, OPEN_READ, ACCESS, LIST, READLINK, MMAP, WHAT_COUNT };
#define WHATS "stat", "fstat", "pread", "open and read", "access", "list", "readlink", "mmap"

enum field { SIZE, READ_SIZE, VERSION, MODE, FIELDS };

struct answer {
	int64_t t0, t1; /* before and after the calls */
	enum what what;
	int path, tid; /* path -1: an open file */
	bool absent;
	int error;
	unsigned kind;
	uint64_t ino;
	int64_t inode; /* this and the fields: UNKNOWN when it was not asked for */
	int64_t field[FIELDS];
};

struct suspect { struct answer answer; int64_t age; };

struct log {
	uint64_t seed;
	int64_t start, limit, settled;
	_Atomic int64_t stopped;
	_Atomic int ready, observed, finished, paths, inodes, records, suspects;
	_Atomic uint64_t changes, slow, answers[WHAT_COUNT], ages[AGES];
	_Atomic int64_t noise[2][NOISES];
	struct path path[PATHS];
	struct inode inode[INODES];
	struct record record[RECORDS];
	struct suspect suspect[SUSPECTS];
};

extern struct log *L;

int64_t now(void);
unsigned roll(unsigned sides);
void roll_seed(uint64_t seed);
void pause_us(unsigned us);
_Noreturn void die(const char *what);

int64_t inode_age(int inode, const struct answer *a);
int64_t path_age(int path, const struct answer *a);
void take_answer(const struct answer *a, int64_t age);

/* The index of a path; DIR or FILE -1: of the directory above. MOVED, DIR_MOVED: of the second name. */
int path_of(int parent, int moved, int dir, int dir_moved, int file);
enum { PATH_DATA = PATHS - 3, PATH_KEY, PATH_DATA_KEY }; /* as in a ConfigMap: cm/..data, cm/key, cm/..data/key */

int change(const char *tree, int seconds, int64_t quiet);
int observe(const char *tree);

#endif
