/* What an overlay changes at its target: both trees compared. */
#ifndef TRACER_CHANGES_H
#define TRACER_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum change_kind {
	CHANGE_ADDED = 'A',
	CHANGE_MODIFIED = 'M',
	CHANGE_REPLACED = 'T', /* by something of another type, or a directory by another one */
	CHANGE_REMOVED = 'D',
	CHANGE_MOVED = 'R', /* a directory, with what is below it */
};

struct change {
	enum change_kind kind;
	char *path; /* below the overlay's root; directories end with a slash */
	char *from; /* where a CHANGE_MOVED was, or NULL */
	char *text; /* in what it differs; "" if there is nothing to say */
};

/* A directory whose place at the target is to be another: paths at the target, from its root. */
struct move {
	char *from;
	char *to; /* below the overlay's root */
};

struct conflict {
	char *path;
	char *why; /* what follows the path: "was changed at the target ..." */
};

struct changes {
	struct change *list; /* sorted by path */
	size_t count;
	struct move *moves; /* sorted by from */
	size_t move_count;
	struct conflict *conflicts; /* what stands against applying them */
	size_t conflict_count;
};

/* The two trees. */
struct trees {
	int upper;        /* the overlay's tree, see upper.h */
	int lower;        /* the target's root */
	const char *from; /* what the upper tree's root is at the target */
	struct inomap *origins;
};

/*
 * Fills in C, which changes_free empties. 0, or a negative errno with one clause in ERR, e.g. for a file
 * that cannot be read; then C is empty.
 */
int changes_find(const struct trees *t, struct changes *c, char *err, size_t err_len);

/* Whether IS, of the overlay, is WAS of the target, changed: then what has become of it is so under all names it has there. */
struct inode_at;
struct stat;
bool changes_is_copy(const struct trees *t, const struct inode_at *is, const struct stat *was);

/* One line for each to F; bytes that are not printable ASCII are escaped as C does, in double quotes, as git(1) shows them. */
void changes_print(const struct changes *c, FILE *f);

/* Writes PATH to F as changes_print does. */
void changes_print_path(const char *path, FILE *f);

void changes_free(struct changes *c);

#endif
