#include "auth.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sha2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAGIC "RFSAUTH1"
#define MAGIC_SIZE (sizeof(MAGIC) - 1)
#define NONCE 32

/* ---- the token ---- */

/* Puts one clause into ERR and returns CODE. */
static int __attribute__((format(printf, 4, 5)))
token_fail(int code, char *err, size_t err_len, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(err, err_len, format, args);
	va_end(args);
	return code;
}

/* All of FD, at most LEN bytes. How many, or a negative errno. */
static ssize_t token_read(int fd, uint8_t *bytes, size_t len)
{
	size_t done = 0;
	ssize_t n = 1;

	while (done < len && n) {
		n = read(fd, bytes + done, len - done);
		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)done;
}

static int token_from_file(const char *file, struct auth_token *token, char *err, size_t err_len)
{
	uint8_t bytes[AUTH_TOKEN_MAX + 1];
	struct stat st;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		n = -errno;
	else
		n = st.st_mode & 007 ? 0 : token_read(fd, bytes, sizeof(bytes));
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return token_fail((int)n, err, err_len, "the token file \"%s\" cannot be read: %s", file, strerror((int)-n));
	if (st.st_mode & 007)
		return token_fail(-EINVAL, err, err_len, "the token file \"%s\" is open to everybody: chmod o= it, and take another token",
				  file);
	if (n > AUTH_TOKEN_MAX)
		return token_fail(-EINVAL, err, err_len, "the token file \"%s\" has more than %d bytes", file, AUTH_TOKEN_MAX);
	memcpy(token->bytes, bytes, (size_t)n);
	token->len = (size_t)n;
	explicit_bzero(bytes, sizeof(bytes));
	return 0;
}

/* Who may look at this process's /proc/PID/environ, or gets its environment, is not to find the token there. */
static int token_from_environment(struct auth_token *token, char *err, size_t err_len)
{
	char *value = getenv(AUTH_ENV);
	size_t len = value ? strlen(value) : 0;

	if (!value)
		return -ENOKEY;
	token->len = len < AUTH_TOKEN_MAX ? len : AUTH_TOKEN_MAX;
	memcpy(token->bytes, value, token->len);
	explicit_bzero(value, len);
	unsetenv(AUTH_ENV);
	if (len > AUTH_TOKEN_MAX)
		return token_fail(-EINVAL, err, err_len, "the token in " AUTH_ENV " has more than %d bytes", AUTH_TOKEN_MAX);
	return 0;
}

int auth_token_take(const char *file, struct auth_token *token, char *err, size_t err_len)
{
	int rc = file ? token_from_file(file, token, err, err_len) : token_from_environment(token, err, err_len);

	if (rc)
		return rc;
	if (token->len && token->bytes[token->len - 1] == '\n')
		token->len--;
	if (token->len < AUTH_TOKEN_MIN)
		return token_fail(-EINVAL, err, err_len, "the token in %s has less than %d bytes: take random ones",
				  file ? file : AUTH_ENV, AUTH_TOKEN_MIN);
	return 0;
}

/* ---- proofs ---- */

/* SHA-256 of the key, padded and xored with PAD, and what follows it. */
static void hmac_half(const uint8_t key[SHA256_BLOCK_LENGTH], uint8_t pad, const void *data, size_t len, uint8_t out[AUTH_PROOF])
{
	uint8_t block[SHA256_BLOCK_LENGTH];
	SHA2_CTX c;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = key[i] ^ pad;
	SHA256Init(&c);
	SHA256Update(&c, block, sizeof(block));
	SHA256Update(&c, data, len);
	SHA256Final(out, &c);
	explicit_bzero(block, sizeof(block));
	explicit_bzero(&c, sizeof(c));
}

void auth_hmac(const void *key, size_t key_len, const void *data, size_t len, uint8_t proof[AUTH_PROOF])
{
	uint8_t block[SHA256_BLOCK_LENGTH] = { 0 }, inner[AUTH_PROOF];
	SHA2_CTX c;

	if (key_len > sizeof(block)) {
		SHA256Init(&c);
		SHA256Update(&c, key, key_len);
		SHA256Final(block, &c);
	} else {
		memcpy(block, key, key_len);
	}
	hmac_half(block, 0x36, data, len, inner);
	hmac_half(block, 0x5c, inner, sizeof(inner), proof);
	explicit_bzero(block, sizeof(block));
}

/* The labels keep one side's proof from being the other's, the nonces an old one from being a new one. */
static void proof_make(const struct auth_token *token, const char *label, const uint8_t *nonce_c, const uint8_t *nonce_a,
		       uint8_t proof[AUTH_PROOF])
{
	uint8_t data[16 + 2 * NONCE];
	size_t n = strlen(label);

	memcpy(data, label, n);
	memcpy(data + n, nonce_c, NONCE);
	memcpy(data + n + NONCE, nonce_a, NONCE);
	auth_hmac(token->bytes, token->len, data, n + 2 * NONCE, proof);
}

/* How long it takes must not tell how much of a wrong one was right. */
static int proof_compare(const uint8_t *got, const uint8_t *want)
{
	uint8_t differ = 0;

	for (size_t i = 0; i < AUTH_PROOF; i++)
		differ |= got[i] ^ want[i];
	return differ ? -EKEYREJECTED : 0;
}

/* ---- the exchange ---- */

static int64_t auth_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int auth_wait(int fd, short events, int64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left = deadline - auth_now_ms();

	if (left <= 0)
		return -ETIMEDOUT;
	return poll(&p, 1, (int)left) < 0 && errno != EINTR ? -errno : 0;
}

/* Exactly LEN bytes. -ENODATA: not even one came before the end of the stream. */
static int auth_receive(int fd, void *to, size_t len, int64_t deadline)
{
	size_t done = 0;
	int rc = 0;

	while (!rc && done < len) {
		ssize_t n = recv(fd, (uint8_t *)to + done, len - done, MSG_DONTWAIT);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0)
			rc = done ? -EPIPE : -ENODATA;
		else if (errno == EAGAIN)
			rc = auth_wait(fd, POLLIN, deadline);
		else if (errno != EINTR)
			rc = -errno;
	}
	return rc;
}

static int auth_send(int fd, const void *from, size_t len, int64_t deadline)
{
	size_t done = 0;
	int rc = 0;

	while (!rc && done < len) {
		ssize_t n = send(fd, (const uint8_t *)from + done, len - done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN)
			rc = auth_wait(fd, POLLOUT, deadline);
		else if (errno != EINTR)
			rc = -errno;
	}
	return rc;
}

/* The magic alone first: whoever speaks something else may not send more. */
static int auth_receive_challenge(int fd, uint8_t *nonce, size_t len, int64_t deadline)
{
	uint8_t magic[MAGIC_SIZE];
	int rc = auth_receive(fd, magic, sizeof(magic), deadline);

	if (rc)
		return rc;
	if (memcmp(magic, MAGIC, sizeof(magic)))
		return -EPROTO;
	rc = auth_receive(fd, nonce, len, deadline);
	return rc == -ENODATA ? -EPIPE : rc;
}

/* Random bytes may have to be waited for only while a machine starts. */
static int auth_random(uint8_t nonce[NONCE])
{
	ssize_t n;

	do
		n = getrandom(nonce, NONCE, 0);
	while (n < 0 && errno == EINTR);
	return n == NONCE ? 0 : -EIO;
}

int auth_client(int fd, const struct auth_token *token, int timeout_ms)
{
	int64_t deadline = auth_now_ms() + timeout_ms;
	uint8_t out[MAGIC_SIZE + NONCE] = MAGIC, in[NONCE + AUTH_PROOF], proof[AUTH_PROOF], taken = 0;
	const uint8_t *nonce_c = out + MAGIC_SIZE, *nonce_a = in;
	int rc = auth_random(out + MAGIC_SIZE);

	if (!rc)
		rc = auth_send(fd, out, sizeof(out), deadline);
	if (!rc)
		rc = auth_receive_challenge(fd, in, sizeof(in), deadline);
	if (rc)
		return rc;
	proof_make(token, "agent", nonce_c, nonce_a, proof);
	rc = proof_compare(in + NONCE, proof);
	if (rc)
		return rc;
	proof_make(token, "client", nonce_c, nonce_a, proof);
	rc = auth_send(fd, proof, sizeof(proof), deadline);
	if (!rc)
		rc = auth_receive(fd, &taken, 1, deadline);
	if (rc == -ENODATA || rc == -ECONNRESET || rc == -EPIPE)
		return -EACCES;
	return rc || taken == 1 ? rc : -EPROTO;
}

int auth_agent(int fd, const struct auth_token *token, int timeout_ms)
{
	int64_t deadline = auth_now_ms() + timeout_ms;
	uint8_t out[MAGIC_SIZE + NONCE + AUTH_PROOF] = MAGIC, nonce_c[NONCE], proof[AUTH_PROOF], theirs[AUTH_PROOF];
	uint8_t *nonce_a = out + MAGIC_SIZE;
	int rc = auth_receive_challenge(fd, nonce_c, sizeof(nonce_c), deadline);

	if (!rc)
		rc = auth_random(nonce_a);
	if (rc)
		return rc;
	proof_make(token, "agent", nonce_c, nonce_a, nonce_a + NONCE);
	proof_make(token, "client", nonce_c, nonce_a, proof);
	rc = auth_send(fd, out, sizeof(out), deadline);
	if (!rc)
		rc = auth_receive(fd, theirs, sizeof(theirs), deadline);
	if (rc)
		return rc == -ENODATA ? -EPIPE : rc;
	return proof_compare(theirs, proof);
}

int auth_welcome(int fd)
{
	static const uint8_t taken = 1;

	return auth_send(fd, &taken, 1, 0);
}
