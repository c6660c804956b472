/* A session that goes on on another connection. */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "test_agent.h"

/* Its socket is the whole machine's. */
static uint8_t name[16] = "a name of a test";
static const uint8_t secret[32] = "and its secret, of 32 bytes   ..";

static void hello(struct client *c)
{
	static pid_t number;
	rfs_Request q = { .which_op = rfs_Request_hello_tag, .op.hello = { .version = 1, .linger_ms = 5000 } };

	number = number ? number + 1 : getpid();
	memcpy(name, &number, sizeof(number));
	q.op.hello.session.size = sizeof(name);
	memcpy(q.op.hello.session.bytes, name, sizeof(name));
	q.op.hello.secret.size = sizeof(secret);
	memcpy(q.op.hello.secret.bytes, secret, sizeof(secret));
	assert_int_equal(client_call(c, &q), 0);
	assert_true(c->reply.op.hello.resumes);
}

static int resume(struct client *c, uint32_t stream, uint32_t attempt, uint8_t differ)
{
	rfs_Request q = { .which_op = rfs_Request_resume_tag, .op.resume = { .stream = stream, .attempt = attempt } };

	q.op.resume.session.size = sizeof(name);
	memcpy(q.op.resume.session.bytes, name, sizeof(name));
	q.op.resume.secret.size = sizeof(secret);
	memcpy(q.op.resume.secret.bytes, secret, sizeof(secret));
	q.op.resume.secret.bytes[31] ^= differ;
	return client_call(c, &q);
}

static int stat_root(struct client *c)
{
	REQUEST(stat);

	WHERE(stat, 0, "");
	return client_call(c, &q);
}

/* Nothing the client has given up takes the place of what it has now, however late it comes. */
static void test_late(void **state)
{
	struct client first, late, now, then;

	client_start(&first, "/", NULL);
	client_start(&late, "/", NULL);
	client_start(&now, "/", NULL);
	client_start(&then, "/", NULL);
	hello(&first);
	assert_int_equal(resume(&now, 0, 2, 0), 0);
	assert_int_equal(now.reply.op.resume.stream, 1);
	assert_int_equal(resume(&late, 0, 1, 0), ESTALE);
	assert_int_equal(stat_root(&now), 0);
	assert_int_equal(resume(&then, 1, 3, 0), 0);
	assert_int_equal(then.reply.op.resume.stream, 2);
	assert_int_equal(stat_root(&then), 0);
	client_drop(&first);
	client_drop(&late);
	client_drop(&now);
	client_drop(&then);
}

static void test_secret(void **state)
{
	struct client first, other;

	client_start(&first, "/", NULL);
	client_start(&other, "/", NULL);
	hello(&first);
	assert_int_equal(resume(&other, 0, 1, 1), EACCES);
	assert_int_equal(stat_root(&first), 0);
	client_drop(&first);
	client_drop(&other);
}

/* Until the agent has read all that C has sent. */
static void await_read(struct client *c)
{
	int left;

	while (ioctl(c->fd, SIOCOUTQ, &left) == 0 && left)
		poll(NULL, 0, 1);
}

/* The client has said goodbye, and its connection breaks while something else is in work: the answer is there for the next one. */
static void test_goodbye(void **state)
{
	char path[] = "/tmp/test_agent_resume.XXXXXX";
	rfs_Request read_much = { .which_op = rfs_Request_read_tag, .op.read = { .handle = 1, .size = 1 << 20 } };
	struct client first, now;
	int fd = mkstemp(path);
	uint32_t bye;
	ssize_t end;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	client_start(&first, "/", NULL);
	client_start(&now, "/", NULL);
	hello(&first);
	assert_int_equal(client_open_at(&first, 0, path + 1, O_RDONLY, 0, 0), 0);
	for (int i = 0; i < 4; i++)
		client_send(&first, &read_much, NULL, 0); /* more than is on its way until somebody reads */
	bye = client_send(&first, &(rfs_Request){ .which_op = rfs_Request_goodbye_tag }, NULL, 0);
	await_read(&first);
	client_drop(&first);
	assert_int_equal(resume(&now, 0, 1, 0), 0);
	assert_int_equal(now.reply.op.resume.got, 6);
	while (client_frame(&now) != bye)
		;
	assert_int_equal(now.reply.error, 0);
	unlink(path);
	while ((end = read(now.fd, path, 1)) > 0)
		; /* what has to be said to who comes again */
	assert_int_equal(end, 0);
	client_drop(&now);
	close(fd);
}

/* A client that has read and never says so comes again as if it had not: the agent ends, so that it holds nothing any more. */
static void test_not_told(void **state)
{
	rfs_Request receive = { .which_op = rfs_Request_receive_tag, .op.receive = { .handle = 1, .size = 1 << 20 } };
	struct client first, now;
	int status, r;

	client_start(&first, "/", NULL);
	client_start(&now, "/", NULL);
	hello(&first);
	assert_int_equal(client_open_at(&first, 0, "dev/zero", O_RDONLY, 0, 0), 0);
	for (int i = 0; i < 70; i++)
		assert_int_equal(client_call(&first, &receive), 0);
	assert_int_equal(first.payload_len, 1 << 20);
	r = resume(&now, 0, 1, 0);
	assert_true(r == EAGAIN || r == ENOENT);
	assert_int_equal(waitpid(first.pid, &status, 0), first.pid);
	assert_int_equal(resume(&now, 0, 1, 0), ENOENT);
	client_drop(&first);
	client_drop(&now);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_late), cmocka_unit_test(test_secret), cmocka_unit_test(test_goodbye),
					    cmocka_unit_test(test_not_told) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
