/* A call's arguments and result in strace's notation. */
#ifndef TRACER_LOG_DECODE_H
#define TRACER_LOG_DECODE_H

#include <stdbool.h>
#include <stdint.h>

#include "call.h"
#include "log.h"
#include "log_text.h"

struct decode_style {
	unsigned string_max;
	bool show_paths;
	log_fd_namer *fd_namer;
};

/* A call being written. */
struct decoding {
	struct text *t;
	const struct call *c;
	const struct decode_style *style;
	long result;
	bool filled; /* what the call writes has been written: it succeeded and we answered it */
};

/* Adds "name(arguments)". */
void decode_call(struct decoding *d);

/* Adds what stands behind "= ": "3", "-1 ENOENT (No such file or directory)", "?". */
void decode_result(struct decoding *d);

/* The pieces; each adds the argument whose register holds VALUE. */
void decode_address(struct decoding *d, uint64_t value);
void decode_string(struct decoding *d, uint64_t addr);
void decode_buffer(struct decoding *d, uint64_t addr, uint64_t len);
void decode_fd(struct decoding *d, int fd);

/* fcntl and ioctl: log_fcntl.c. */
void decode_ioctl(struct decoding *d, uint32_t request);
void decode_ioctl_arg(struct decoding *d, uint32_t request, uint64_t arg);
void decode_fcntl_arg(struct decoding *d, int cmd, uint64_t arg);

/* What fcntl returns flags in: "0x8002 (flags O_RDWR|O_LARGEFILE)". False when it is a plain number. */
bool decode_fcntl_result(struct decoding *d);

/* Structures: log_struct.c, log_array.c. */
void decode_stat(struct decoding *d, uint64_t addr);
void decode_statx(struct decoding *d, uint64_t addr);
void decode_statfs(struct decoding *d, uint64_t addr);
void decode_open_how(struct decoding *d, uint64_t addr, uint64_t size);
void decode_timespecs(struct decoding *d, uint64_t addr);
void decode_timevals(struct decoding *d, uint64_t addr);
void decode_utimbuf(struct decoding *d, uint64_t addr);
void decode_sockaddr(struct decoding *d, uint64_t addr, uint64_t len);
void decode_rlimit(struct decoding *d, uint64_t addr);
void decode_flock(struct decoding *d, uint64_t addr, bool out);
void decode_dents(struct decoding *d, uint64_t addr);
void decode_iovec(struct decoding *d, uint64_t addr, uint64_t count, bool out);
void decode_argv(struct decoding *d, uint64_t addr);
void decode_envp(struct decoding *d, uint64_t addr);

#endif
