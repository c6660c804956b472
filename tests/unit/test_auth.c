/* Authentication: both sides, and peers that do it wrong. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "address.h"
#include "auth.h"

#define HELLO 40     /* magic, nonce */
#define CHALLENGE 72 /* magic, nonce, proof */
#define LONG_MS 5000

static const struct auth_token right = { 20, "0123456789abcdefghij" }, wrong = { 20, "0123456789abcdefghiJ" };

/* One side of the exchange on a thread of its own. */
struct side {
	int (*run)(int fd, const struct auth_token *token, int timeout_ms);
	const struct auth_token *token;
	int fd, timeout_ms, rc;
	pthread_t thread;
};

static void *side_run(void *arg)
{
	struct side *s = arg;

	s->rc = s->run(s->fd, s->token, s->timeout_ms);
	if (!s->rc && s->run == auth_agent)
		s->rc = auth_welcome(s->fd);
	close(s->fd);
	return NULL;
}

/* Starts S. The socket of its peer. */
static int side_start(struct side *s)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	s->fd = pair[0];
	assert_int_equal(pthread_create(&s->thread, NULL, side_run, s), 0);
	return pair[1];
}

/* What came of S, whose peer ends the stream FD first, unless that is negative. Closed unread it would be ECONNRESET. */
static int side_end(struct side *s, int fd)
{
	if (fd >= 0)
		shutdown(fd, SHUT_WR);
	pthread_join(s->thread, NULL);
	if (fd >= 0)
		close(fd);
	return s->rc;
}

static struct side agent(const struct auth_token *token)
{
	return (struct side){ .run = auth_agent, .token = token, .timeout_ms = LONG_MS };
}

static struct side client(const struct auth_token *token)
{
	return (struct side){ .run = auth_client, .token = token, .timeout_ms = LONG_MS };
}

static void put(int fd, const void *bytes, size_t len)
{
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
}

static void get(int fd, void *bytes, size_t len)
{
	assert_int_equal(recv(fd, bytes, len, MSG_WAITALL), len);
}

/* RFC 4231, cases 1, 2 and 6. */
static void test_hmac(void **state)
{
	static const uint8_t first[] = "\xb0\x34\x4c\x61\xd8\xdb\x38\x53\x5c\xa8\xaf\xce\xaf\x0b\xf1\x2b"
				       "\x88\x1d\xc2\x00\xc9\x83\x3d\xa7\x26\xe9\x37\x6c\x2e\x32\xcf\xf7";
	static const uint8_t second[] = "\x5b\xdc\xc1\x46\xbf\x60\x75\x4e\x6a\x04\x24\x26\x08\x95\x75\xc7"
					"\x5a\x00\x3f\x08\x9d\x27\x39\x83\x9d\xec\x58\xb9\x64\xec\x38\x43";
	static const uint8_t sixth[] = "\x60\xe4\x31\x59\x1e\xe0\xb6\x7f\x0d\x8a\x26\xaa\xcb\xf5\xb7\x7f"
				       "\x8e\x0b\xc6\x21\x37\x28\xc5\x14\x05\x46\x04\x0f\x0e\xe3\x7f\x54";
	static const char text[] = "Test Using Larger Than Block-Size Key - Hash Key First";
	uint8_t key[131], got[AUTH_PROOF];

	memset(key, 0x0b, 20);
	auth_hmac(key, 20, "Hi There", 8, got);
	assert_memory_equal(got, first, AUTH_PROOF);
	auth_hmac("Jefe", 4, "what do ya want for nothing?", 28, got);
	assert_memory_equal(got, second, AUTH_PROOF);
	memset(key, 0xaa, sizeof(key));
	auth_hmac(key, sizeof(key), text, strlen(text), got);
	assert_memory_equal(got, sixth, AUTH_PROOF);
}

/* Frames go right behind the exchange: no byte of them is taken. */
static void test_right(void **state)
{
	struct side a = agent(&right);
	int fd = side_start(&a);
	char c;

	assert_int_equal(auth_client(fd, &right, LONG_MS), 0);
	assert_int_equal(side_end(&a, -1), 0);
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), 0);
	close(fd);
}

static void test_wrong_token(void **state)
{
	struct side a = agent(&wrong);
	int fd = side_start(&a);

	assert_int_equal(auth_client(fd, &right, LONG_MS), -EKEYREJECTED);
	assert_int_equal(side_end(&a, fd), -EPIPE);
}

/* The proof of SIDE for what the nonces are, by whoever knows TOKEN. */
static void prove(const struct auth_token *token, const char *side, const uint8_t *nonce_c, const uint8_t *nonce_a, uint8_t *proof)
{
	uint8_t data[80];
	size_t n = strlen(side);

	memcpy(data, side, n);
	memcpy(data + n, nonce_c, 32);
	memcpy(data + n + 32, nonce_a, 32);
	auth_hmac(token->bytes, token->len, data, n + 64, proof);
}

/* What an agent makes of a client that proves with TOKEN and as SIDE. */
static int agent_asked(const struct auth_token *token, const char *side)
{
	struct side a = agent(&right);
	int fd = side_start(&a);
	uint8_t hello[HELLO] = "RFSAUTH1", challenge[CHALLENGE], proof[AUTH_PROOF], taken = 0;

	memset(hello + 8, 7, 32);
	put(fd, hello, sizeof(hello));
	get(fd, challenge, sizeof(challenge));
	assert_memory_equal(challenge, "RFSAUTH1", 8);
	prove(token, "agent", hello + 8, challenge + 8, proof);
	assert_int_equal(!memcmp(challenge + 40, proof, AUTH_PROOF), token == &right);
	prove(token, side, hello + 8, challenge + 8, proof);
	put(fd, proof, sizeof(proof));
	if (recv(fd, &taken, 1, 0) == 1)
		assert_int_equal(taken, 1);
	return side_end(&a, fd);
}

static void test_agent(void **state)
{
	assert_int_equal(agent_asked(&right, "client"), 0);
	assert_int_equal(agent_asked(&wrong, "client"), -EKEYREJECTED);
	assert_int_equal(agent_asked(&right, "agent"), -EKEYREJECTED);
}

/* What the agent has proved is no proof of a client, neither at once nor on another connection. */
static void test_reflected(void **state)
{
	struct side a = agent(&right), b = agent(&right);
	int fd = side_start(&a), other = side_start(&b);
	uint8_t hello[HELLO] = "RFSAUTH1", challenge[CHALLENGE], second[CHALLENGE];

	put(fd, hello, sizeof(hello));
	get(fd, challenge, sizeof(challenge));
	memcpy(hello + 8, challenge + 8, 32); /* the first one's nonce as the client's own */
	put(other, hello, sizeof(hello));
	get(other, second, sizeof(second));
	assert_memory_not_equal(challenge + 8, second + 8, 32);
	put(fd, second + 40, AUTH_PROOF);
	put(other, challenge + 40, AUTH_PROOF);
	assert_int_equal(side_end(&a, -1), -EKEYREJECTED);
	assert_int_equal(side_end(&b, -1), -EKEYREJECTED);
	close(fd);
	close(other);
}

/* A client's own bytes do not make an agent, and a client is none. */
static void test_echo(void **state)
{
	struct side a = client(&right), b = client(&right);
	int fd = side_start(&a), other;
	uint8_t hello[HELLO], echo[CHALLENGE] = { 0 };

	get(fd, hello, sizeof(hello));
	memcpy(echo, hello, sizeof(hello));
	put(fd, echo, sizeof(echo));
	assert_int_equal(side_end(&a, -1), -EKEYREJECTED);
	close(fd);
	other = side_start(&b);
	assert_int_equal(auth_client(other, &right, 200), -ETIMEDOUT);
	assert_int_equal(side_end(&b, other), -EPIPE);
}

/* All that one client and one agent said to each other, said again. */
static void test_replayed(void **state)
{
	struct side a = agent(&right), again = agent(&right), c = client(&right);
	int fd = side_start(&a);
	uint8_t hello[HELLO] = "RFSAUTH1", challenge[CHALLENGE + 1], proof[AUTH_PROOF];

	put(fd, hello, sizeof(hello));
	get(fd, challenge, CHALLENGE);
	prove(&right, "client", hello + 8, challenge + 8, proof);
	put(fd, proof, sizeof(proof));
	get(fd, challenge + CHALLENGE, 1);
	assert_int_equal(side_end(&a, fd), 0);

	fd = side_start(&again);
	put(fd, hello, sizeof(hello));
	put(fd, proof, sizeof(proof));
	assert_int_equal(side_end(&again, -1), -EKEYREJECTED);
	close(fd);

	fd = side_start(&c);
	put(fd, challenge, sizeof(challenge));
	assert_int_equal(side_end(&c, -1), -EKEYREJECTED);
	close(fd);
}

/* At each length, for both sides: an early end of the stream, and silence. */
static void test_truncated(void **state)
{
	static const uint8_t bytes[HELLO + AUTH_PROOF] = "RFSAUTH1";
	struct side s;
	size_t len;
	int fd;

	for (len = 0; len < sizeof(bytes); len++) {
		s = agent(&right);
		fd = side_start(&s);
		put(fd, bytes, len);
		assert_int_equal(side_end(&s, fd), len ? -EPIPE : -ENODATA);
	}
	for (len = 0; len < CHALLENGE; len++) {
		uint8_t hello[HELLO];

		s = client(&right);
		fd = side_start(&s);
		get(fd, hello, sizeof(hello)); /* or its own sending would fail */
		put(fd, bytes, len);
		assert_int_equal(side_end(&s, fd), len ? -EPIPE : -ENODATA);
	}
}

static void test_silence(void **state)
{
	struct timespec from, to;
	struct side s[] = { agent(&right), client(&right), agent(&right) };
	int fd[3];

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < 3; i++) {
		s[i].timeout_ms = 100;
		fd[i] = side_start(&s[i]);
	}
	/* A byte now and then does not make it longer. */
	for (int i = 0; i < 30; i++) {
		send(fd[2], &"RFSAUTH1................................................"[i], 1, MSG_NOSIGNAL);
		usleep(10000);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(side_end(&s[i], -1), -ETIMEDOUT);
		close(fd[i]);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_true(to.tv_sec - from.tv_sec < 5);
}

static void test_wrong_magic(void **state)
{
	static const char *const lines[] = { "GET / HTTP/1.1\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "RFSAUTH2", "FR\1\1\1\0\0\0" };

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct side a = agent(&right), c = client(&right);
		int fd = side_start(&a);

		put(fd, lines[i], strlen(lines[i]) < 8 ? 8 : strlen(lines[i]));
		assert_int_equal(side_end(&a, -1), -EPROTO);
		close(fd);
		fd = side_start(&c);
		put(fd, lines[i], strlen(lines[i]) < 8 ? 8 : strlen(lines[i]));
		assert_int_equal(side_end(&c, -1), -EPROTO);
		close(fd);
	}
}

/* An agent that knows the token but does not take the client's proof, by hanging up or by another byte. */
static void test_refused(void **state)
{
	for (int byte = -1; byte < 3; byte++) {
		struct side c = client(&right);
		int fd = side_start(&c);
		uint8_t hello[HELLO], challenge[CHALLENGE] = "RFSAUTH1", proof[AUTH_PROOF], want[AUTH_PROOF], last = (uint8_t)byte;

		get(fd, hello, sizeof(hello));
		prove(&right, "agent", hello + 8, challenge + 8, challenge + 40);
		put(fd, challenge, sizeof(challenge));
		get(fd, proof, sizeof(proof));
		prove(&right, "client", hello + 8, challenge + 8, want);
		assert_memory_equal(proof, want, AUTH_PROOF);
		if (byte >= 0)
			put(fd, &last, 1);
		assert_int_equal(side_end(&c, fd), byte < 0 ? -EACCES : byte == 1 ? 0 : -EPROTO);
	}
}

/* What auth_token_take says of a file with these BYTES and this MODE. */
static int taken_from(const char *bytes, mode_t mode, struct auth_token *token, char err[256])
{
	char path[] = "/tmp/test_auth.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, strlen(bytes)), strlen(bytes));
	fchmod(fd, mode);
	close(fd);
	int rc = auth_token_take(path, token, err, 256);
	unlink(path);
	return rc;
}

static void test_token_file(void **state)
{
	char err[256], many[AUTH_TOKEN_MAX + 2];
	struct auth_token token;

	assert_int_equal(taken_from("0123456789abcdef\n", 0600, &token, err), 0);
	assert_int_equal(token.len, 16);
	assert_memory_equal(token.bytes, "0123456789abcdef", 16);
	assert_int_equal(taken_from("0123456789abcdef\n\n", 0440, &token, err), 0);
	assert_int_equal(token.len, 17);
	assert_int_equal(taken_from("0123456789abcde\n", 0600, &token, err), -EINVAL);
	assert_non_null(strstr(err, "less than 16 bytes"));
	for (mode_t mode = 0601; mode <= 0604; mode++)
		assert_int_equal(taken_from("0123456789abcdef\n", mode, &token, err), -EINVAL);
	assert_non_null(strstr(err, "open to everybody"));
	memset(many, 'x', sizeof(many));
	many[AUTH_TOKEN_MAX] = '\0';
	assert_int_equal(taken_from(many, 0600, &token, err), 0);
	assert_int_equal(token.len, AUTH_TOKEN_MAX);
	many[AUTH_TOKEN_MAX] = 'x';
	many[AUTH_TOKEN_MAX + 1] = '\0';
	assert_int_equal(taken_from(many, 0600, &token, err), -EINVAL);
	assert_non_null(strstr(err, "more than 4096 bytes"));
	assert_int_equal(auth_token_take("/no/such/file", &token, err, sizeof(err)), -ENOENT);
	assert_string_equal(err, "the token file \"/no/such/file\" cannot be read: No such file or directory");
}

static void test_token_environment(void **state)
{
	struct auth_token token;
	char err[256], *value;

	unsetenv(AUTH_ENV);
	assert_int_equal(auth_token_take(NULL, &token, err, sizeof(err)), -ENOKEY);
	setenv(AUTH_ENV, "0123456789abcdef", 1);
	value = getenv(AUTH_ENV);
	assert_int_equal(auth_token_take(NULL, &token, err, sizeof(err)), 0);
	assert_int_equal(token.len, 16);
	assert_memory_equal(token.bytes, "0123456789abcdef", 16);
	assert_null(getenv(AUTH_ENV));
	assert_string_equal(value, "");
	setenv(AUTH_ENV, "short", 1);
	assert_int_equal(auth_token_take(NULL, &token, err, sizeof(err)), -EINVAL);
	assert_null(getenv(AUTH_ENV));
}

static void parsed(const char *text, const char *host, int port)
{
	struct address a;
	char err[256];

	assert_int_equal(address_parse(text, &a, err, sizeof(err)), 0);
	assert_int_equal(a.is_unix, port < 0);
	assert_string_equal(port < 0 ? a.un.sun_path : a.host, host);
	if (port >= 0)
		assert_int_equal(a.port, port);
}

static void test_address(void **state)
{
	static const char *const bad[] = {
		"unix:", "tcp:", "tcp:host", "tcp:host:", "tcp::1", "tcp:host:x", "tcp:host:65536", "tcp:host:-1", "tcp:host: 1",
		"tcp:host:000001", "tcp:::1:7", "tcp:[]:7", "tcp:[::1]", "tcp:[x]:7", "tcp:[::1]x:7", "tcp:]:7", "tcp:[:7", "tcp:a b:7",
		"tcp://host:7", "udp:host:7", "", "dir/x",
	};
	char err[256], path[200] = "unix:";
	struct address a;

	parsed("unix:/run/x:y", "/run/x:y", -1);
	parsed("unix:relative", "relative", -1);
	parsed("tcp:db:7000", "db", 7000);
	parsed("tcp:127.0.0.1:0", "127.0.0.1", 0);
	parsed("tcp:[::1]:65535", "::1", 65535);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (address_parse(bad[i], &a, err, sizeof(err)) != -EINVAL)
			fail_msg("\"%s\" is taken", bad[i]);
	memset(path + 5, 'x', 108);
	assert_int_equal(address_parse(path, &a, err, sizeof(err)), -EINVAL);
	path[5 + 107] = '\0';
	parsed(path, path + 5, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_right),
		cmocka_unit_test(test_wrong_token),
		cmocka_unit_test(test_agent),
		cmocka_unit_test(test_reflected),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_replayed),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_wrong_magic),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_token_file),
		cmocka_unit_test(test_token_environment),
		cmocka_unit_test(test_address),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
