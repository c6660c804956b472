/*
 * The random-operation fuzzer: two processes take turns in lockstep and make random file calls in a small
 * name space. What it prints depends on the seed and on the kernel's answers only, so that a native run and
 * a supervised one can be compared line by line.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "../guests/guest.h"

/* Kinds of calls, to be switched on and off (--families). */
enum family {
	FAM_OPEN = 1 << 0,
	FAM_DATA = 1 << 1,
	FAM_NAME = 1 << 2,
	FAM_META = 1 << 3,
	FAM_FD = 1 << 4,
	FAM_CWD = 1 << 5,
	FAM_MAP = 1 << 6,
	FAM_PROC = 1 << 7,
	FAM_MIXED = 1 << 8,
	FAM_SPECIAL = 1 << 9,
	FAM_LOCK = 1 << 10,
	FAM_XATTR = 1 << 11,
	FAM_COPY = 1 << 12,
	FAM_SPLICE = 1 << 13,
	FAM_SHARED = 1 << 14,
	FAM_TMPFILE = 1 << 15,
	FAM_HANDLE = 1 << 16,
	FAM_WATCH = 1 << 17,
	FAM_MAGIC = 1 << 19,     /* /proc/self/fd/N and the like */
	FAM_LINKS_OUT = 1 << 18, /* symbolic links that may lead out of the tree: the target's root must be / */
};
extern unsigned families;

extern char tree[PATH_MAX];  /* where everything happens */
extern char local[PATH_MAX]; /* on another file system, and local where not all is remote */

/* ---- chance: all of it follows from the seed and the operation's number ---- */

void draw_seed(uint64_t seed, uint64_t op);
uint64_t draw(void);
unsigned below(unsigned n);
bool chance(unsigned per_thousand);
long pick_of(const long *values, unsigned count);
#define PICK(...) pick_of((const long[]){ __VA_ARGS__ }, COUNT(((const long[]){ __VA_ARGS__ })))

/* A flag of a set: its value and name. */
struct flag {
	long value;
	const char *name;
};
#define FLAG(x) { x, #x }

/* Says and returns the or of random elements of SET, each with PER_THOUSAND. */
long pick_flags(const struct flag *set, unsigned count, unsigned per_thousand);
#define PICK_FLAGS(set, per_thousand) pick_flags(set, COUNT(set), per_thousand)

/* Says and returns one element of SET. */
long pick_flag(const struct flag *set, unsigned count);
#define PICK_FLAG(set) pick_flag(set, COUNT(set))

/* ---- the line that an operation prints ---- */

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* " = 5" or " = ENOENT" for the result of a call, and returns it. */
long say_result(long r);
/* The bytes of a result, by hash; nothing for errors. */
void say_data(const void *data, long len);
void say_stat(const struct stat *st);
void say_time(const char *label, int64_t sec, long nsec);
void say_flush(void);

/* ---- descriptors: called by their slot, since numbers differ between the runs ---- */

#define SLOTS 16
#define HOME 40 /* slot N's own number, for dup2 */
extern int slots[SLOTS];

/* Says and returns a descriptor: mostly an open one, now and then a bad one. */
int pick_fd(void);
/* An open slot, or any. */
int pick_slot(void);
/* Puts the result FD of a call into a random slot, closing what was there, and says so. */
void keep_fd(long fd);
void keep_fd_at(int slot, long fd);
/*
 * Whether this seed takes record locks. That a duplicate of a low number is closed they do not always hear (README's
 * limits), so nothing is duplicated then.
 */
bool has_record_locks(void);
/*
 * Whether this seed collapses ranges. What becomes of a page that was stored into by a private mapping, each file system decides by
 * itself: ext4 throws it away, xfs leaves it. So nothing is stored into these then.
 */
bool has_collapses(void);
/* True when calls on FD could wait: a pipe or a FIFO. */
bool may_block(int fd);

/* ---- paths ---- */

struct where {
	int fd;
	const char *path;
};

/* Says and returns a random path and what it is relative to. LEGACY: only the working directory. */
struct where pick_where(bool legacy);
/* A path that does not lead through /proc. */
struct where pick_tree_where(bool legacy);
const char *pick_link_text(void);
/* Whether PATH is, or begins with, a link of /proc's. */
bool is_in_proc(const char *path);
/* For calls that come with and without a descriptor. */
static inline bool pick_legacy(void)
{
	return chance(400);
}
long pick_mode(void);

/* ---- data ---- */

#define BUFFER (256 << 10)
extern char buffer[BUFFER];
size_t pick_size(void);
int64_t pick_offset(void);
int64_t pick_far_offset(void);
/* BUFFER, or now and then an address that is bad, or bad from some byte on. */
void *pick_buffer(size_t len);

/* ---- operations ---- */

struct op {
	const char *name;
	enum family family;
	unsigned weight;
	void (*run)(void);
};
extern const struct op open_ops[], data_ops[], name_ops[], meta_ops[], fd_ops[], map_ops[], proc_ops[], mixed_ops[], xattr_ops[];

/* Runs operation number N of the seed. */
void run_op(uint64_t n);
/* Runs COUNT operations that belong to number N: of a child. */
void run_sub_ops(uint64_t n, unsigned count);
/* Executes this program again: it inherits the slots and runs COUNT operations that belong to N. */
void exec_again(uint64_t n, unsigned count);
extern uint64_t current_op;

#endif
