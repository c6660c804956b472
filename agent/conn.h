/* The two ends of a byte stream, of which somebody else may say that it is over. */
#ifndef AGENT_CONN_H
#define AGENT_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct conn {
	int in, out; /* may be equal */
	int broken;  /* eventfd: readable from conn_break on; -1: nobody breaks it */
	bool in_is_socket, out_is_socket;
};

/* A stream that nobody breaks. */
struct conn conn_plain(int in, int out);

/* Lets conn_break end C's reading and writing. 0 or a negative errno. */
int conn_breakable(struct conn *c);

/* Closes both ends. */
void conn_close(struct conn *c);

/* Ends reading and writing, for good. Any thread. */
void conn_break(const struct conn *c);

/* As read(2), and waits. 0 at the end of the stream or when it was broken, or a negative errno. TIMEOUT_MS: 0 is returned then, too; -1: never. */
ssize_t conn_read(const struct conn *c, void *buf, size_t len, int timeout_ms);

/* Reads exactly LEN bytes. 0; -EPIPE when the stream ended before; another negative errno. */
int conn_read_full(const struct conn *c, void *buf, size_t len);

/* Writes all of IOV, whose elements it changes. 0 or a negative errno: -EPIPE when it was broken. */
int conn_write_full(const struct conn *c, struct iovec *iov, int count);

#endif
