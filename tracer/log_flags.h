/* Numbers by name, as strace writes them. */
#ifndef TRACER_LOG_FLAGS_H
#define TRACER_LOG_FLAGS_H

#include <fcntl.h>
#include <stdint.h>

#include "log_text.h"

/* open(2) flags with which it looks at its mode. <fcntl.h>'s __O_TMPFILE has O_DIRECTORY in it. */
#define OPEN_MAKES (O_CREAT | 020000000)

struct name {
	uint64_t value;
	const char *name; /* NULL ends a table */
};

extern const struct name names_open[], names_at[], names_at_access[], names_at_statx[], names_at_exec[];
extern const struct name names_statx[], names_statx_attr[], names_access[], names_whence[], names_prot[];
extern const struct name names_map[], names_fcntl[], names_fd_flags[], names_lock_type[], names_seals[];
extern const struct name names_dnotify[], names_flock[], names_rename[], names_rwf[], names_resolve[];
extern const struct name names_resource[], names_xattr[], names_falloc[], names_fadvise[], names_ioctl[];
extern const struct name names_statfs[], names_fs_magic[];

/* Adds the name of VALUE in TABLE, else the number with the comment OTHER ("SEEK_???"). */
void flags_add_value(struct text *t, const struct name *table, uint64_t value, const char *other);

/* Adds the names of the bits of VALUE, "|" between them; a table entry of 0 names "no bits". */
void flags_add(struct text *t, const struct name *table, uint64_t value, const char *other);

const char *flags_name(const struct name *table, uint64_t value);

/* open(2) flags, access mode first. */
void flags_add_open(struct text *t, uint64_t flags);

/* mmap(2) flags, sharing type first. */
void flags_add_map(struct text *t, uint64_t flags);

/* AT_ flags as syscall NR understands them. */
void flags_add_at(struct text *t, int nr, uint64_t flags);

/* A mode with its file type: S_IFREG|S_ISUID|0755. */
void flags_add_file_mode(struct text *t, unsigned mode);

/* SIGINT, SIGRT_3; the number when there is no such signal. */
void flags_add_signal(struct text *t, int sig);

#endif
