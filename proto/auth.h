/* Who is at the other end of a connection: both sides prove that they know a token, which does not travel. See PROTOCOL.md. */
#ifndef PROTO_AUTH_H
#define PROTO_AUTH_H

#include <stddef.h>
#include <stdint.h>

#define AUTH_ENV "REMOTEFS_TOKEN"
#define AUTH_TOKEN_MIN 16
#define AUTH_TOKEN_MAX 4096
#define AUTH_PROOF 32 /* bytes of HMAC-SHA256 */

struct auth_token {
	size_t len;
	uint8_t bytes[AUTH_TOKEN_MAX];
};

/*
 * Reads the token in FILE, less a newline at its end, into TOKEN; of NULL the one in the environment variable AUTH_ENV, which is
 * wiped and removed: not while another thread uses the environment. 0; -ENOKEY, without a text, when it is not set; -EINVAL, or
 * what open(2) and read(2) say, with one clause in ERR (ERR_LEN bytes).
 */
int auth_token_take(const char *file, struct auth_token *token, char *err, size_t err_len);

/* HMAC-SHA256 (RFC 2104) of LEN bytes with KEY. */
void auth_hmac(const void *key, size_t key_len, const void *data, size_t len, uint8_t proof[AUTH_PROOF]);

/*
 * The two sides of the exchange on the stream socket FD, blocking or not; each takes at most TIMEOUT_MS in all. 0 when the other
 * side has proved that it knows TOKEN: the client is let in by then, the agent has still to let it in with auth_welcome.
 * -EKEYREJECTED: the other side does not know it. -EACCES, of the client only: the agent did not take the client's proof.
 * -EPROTO: it speaks something else. -ENODATA: the stream ended before anything came, -EPIPE: later. -ETIMEDOUT, or another
 * negative errno. FD is of no more use then, and is the caller's to close.
 */
int auth_client(int fd, const struct auth_token *token, int timeout_ms);
int auth_agent(int fd, const struct auth_token *token, int timeout_ms);

/* Tells the client that it is let in. Never waits. 0 or a negative errno. */
int auth_welcome(int fd);

#endif
