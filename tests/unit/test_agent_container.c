/* Which process is a container's: in a made-up root, and from a made-up Docker. */
#include "test_agent.h"

#include <sys/un.h>

#include "container.h"
#include "docker.h"
#include "inside.h"
#include "json.h"

#define ID_A "aaaaaaaaaaaa0123456789abcdef0123456789abcdef0123456789abcdef0123"
#define ID_B "bbbbbbbbbbbb0123456789abcdef0123456789abcdef0123456789abcdef0123"
#define ID_B2 "bbbbbbbbbbbb9999999999abcdef0123456789abcdef0123456789abcdef0123"
#define TASKS "run/containerd/io.containerd.runtime.v2.task/"

static char base[64];
static char how[256], err[1024];

static int setup(void **state)
{
	unsetenv("DOCKER_HOST");
	unsetenv("XDG_RUNTIME_DIR");
	return tree_make(base, "mkdir -p proc run host/run");
}

static int teardown(void **state)
{
	return tree_remove(base);
}

static void sh(const char *fmt, ...)
{
	char command[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	assert_int_equal(system(command), 0);
}

/* A process with what PID/stat, status and cgroup say of it. */
static void process(int pid, int parent, int session, unsigned long start, const char *nspid, const char *cgroup)
{
	sh("mkdir -p proc/%d && cd proc/%d && echo '%d (a) b (c) S %d %d %d 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %lu 0' >stat && "
	   "printf 'Name:\\tx\\nNSpid:\\t%s\\nSpeculation:\\t7\\n' >status && printf '12:cpu,cpuacct:/\\n0::%s\\n' >cgroup",
	   pid, pid, pid, parent, session, session, start, nspid, cgroup);
}

static void file(const char *path, const char *text)
{
	sh("mkdir -p $(dirname %s)", path);
	spew(path, text);
}

static pid_t find(const char *id)
{
	*how = *err = '\0';
	return container_find(base, id, how, sizeof(how), err, sizeof(err));
}

static void test_json(void **state)
{
	const char *text = " {\"a\\\"}\": [1, {\"State\": {\"Pid\": 3}}, \"]\"], \"State\" : {\"x\":null,\"Pid\":42}, \"s\":\"t\"}";
	char s[4];
	long long n;

	assert_true(json_number(json_member(json_member(text, "State"), "Pid"), &n));
	assert_int_equal(n, 42);
	assert_true(json_string(json_member(text, "s"), s, sizeof(s)));
	assert_string_equal(s, "t");
	assert_false(json_string(json_member("{\"s\":\"four\"}", "s"), s, sizeof(s)));
	assert_false(json_string(json_member("{\"s\":\"a\\n\"}", "s"), s, sizeof(s)));
	assert_null(json_member(text, "Pid"));
	assert_false(json_number(json_member("{\"n\":1.5}", "n"), &n));
	assert_false(json_number(json_member("{\"n\":\"1\"}", "n"), &n));
	assert_false(json_number(NULL, &n));
	for (size_t i = 0; i < strlen(text); i++) {
		char *cut = strndup(text, i);

		assert_null(json_member(cut, "none"));
		free(cut);
	}
	assert_null(json_member("[1]", "n"));
	assert_null(json_member("{\"a\":1 \"n\":2}", "n"));
	assert_null(json_member("{\"a\":},\"n\":2}", "n"));
}

static void test_state(void **state)
{
	process(10, 1, 10, 100, "10", "/other");
	process(11, 1, 11, 100, "11", "/other");
	file(TASKS "k8s.io/" ID_A "/init.pid", "10");
	file(TASKS "moby/" ID_B "/init.pid", "11");
	file(TASKS "default/web-1/init.pid", "11\n");
	assert_int_equal(find(ID_A), 10);
	assert_non_null(strstr(how, TASKS "k8s.io/" ID_A "/init.pid"));
	assert_int_equal(find("containerd://" ID_A), 10);
	assert_int_equal(find("aaaaaaaaaaaa"), 10);
	assert_int_equal(find("aaaaaaaaaaa"), 0);
	assert_int_equal(find("web-1"), 11);
	assert_int_equal(find("web"), 0);
	assert_non_null(strstr(err, "not found: asked Docker (there is no socket)"));
	file(TASKS "moby/" ID_B2 "/init.pid", "10");
	assert_int_equal(find("bbbbbbbbbbbb"), 0);
	assert_string_equal(err, "more than one container is called so");
	assert_int_equal(find("bbbbbbbbbbbb9"), 10);
}

static void test_names(void **state)
{
	static const char *const bad[] = { "", "..", "../a", "a/b", "a b", "a%2f", "docker://", "-x", "a*" };

	file("run/init.pid", "1");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(find(bad[i]), 0);
		assert_string_equal(err, "this is not the ID of a container");
	}
}

static void test_other_runtimes(void **state)
{
	process(20, 1, 20, 100, "20", "/");
	process(21, 1, 21, 100, "21", "/");
	process(22, 1, 22, 100, "22", "/");
	process(23, 1, 23, 4321, "23", "/");
	file("run/containers/storage/overlay-containers/" ID_A "/userdata/pidfile", "20");
	file("run/user/1000/containers/vfs-containers/" ID_B "/userdata/pidfile", "21");
	file("host/run/containerd/io.containerd.runtime.v2.task/k8s.io/" ID_B2 "/init.pid", "22");
	file("run/runc/ours/state.json", "{\"id\":\"ours\",\"init_process_pid\":23,\"init_process_start\":4321}");
	file("run/runc/old/state.json", "{\"id\":\"old\",\"init_process_pid\":23,\"init_process_start\":4320}");
	file("run/crun/theirs/status", "{\"pid\" : 23, \"process-start-time\" : 4321}");
	file("me/runc/mine/state.json", "{\"init_process_pid\":20,\"init_process_start\":100}");
	assert_int_equal(find("cri-o://" ID_A), 20);
	assert_int_equal(find(ID_B), 21);
	assert_int_equal(find(ID_B2), 22);
	assert_int_equal(find("ours"), 23);
	assert_int_equal(find("old"), 0);
	assert_int_equal(find("theirs"), 23);
	assert_int_equal(find("mine"), 0);
	setenv("XDG_RUNTIME_DIR", "/me", 1);
	assert_int_equal(find("mine"), 20);
}

/* Numbers of processes that have ended, and of others that have got them since. */
static void test_stale(void **state)
{
	process(31, 1, 31, 1UL << 40, "31", "/");
	file(TASKS "moby/" ID_A "/init.pid", "30");
	assert_int_equal(find(ID_A), 0);
	file(TASKS "moby/" ID_B "/init.pid", "31");
	assert_int_equal(find(ID_B), 0);
	file(TASKS "moby/" ID_B "/init.pid", "rubbish");
	assert_int_equal(find(ID_B), 0);
	file(TASKS "moby/" ID_B "/init.pid", "-1");
	assert_int_equal(find(ID_B), 0);
	file("run/runc/" ID_B "/state.json", "{\"init_process_pid\":");
	assert_int_equal(find(ID_B), 0);
}

static void test_cgroups(void **state)
{
	static const char *const paths[] = {
		"/docker/%s", "/system.slice/docker-%s.scope", "/kubepods.slice/kubepods-pod1.slice/cri-containerd-%s.scope",
		"/kubepods/pod1/%s", "/crio-%s.scope", "/machine.slice/libpod-%s.scope/container", "/libpod_parent/libpod-%s",
		"/../../k8s.io/%s", "/a.slice:cri-containerd:%s",
	};
	char path[256];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		snprintf(path, sizeof(path), paths[i], ID_A);
		process(50, 1, 50, 1, "50\\t9", path);
		process(60, 1, 60, 1, "60\\t1", path);
		process(70, 1, 70, 1, "70\\t12", path);
		process(40, 1, 40, 1, "40", "/machine.slice/libpod-conmon-" ID_A ".scope");
		process(41, 1, 41, 1, "41", "/docker/" ID_B);
		assert_int_equal(find(ID_A), 60);
		assert_int_equal(find("aaaaaaaaaaaa0"), 60);
		assert_string_equal(how, "/proc/60/cgroup");
	}
	/* Where nobody is process 1, as in a pod whose containers share theirs; and a container inside it. */
	process(60, 1, 60, 1, "60\\t8", path);
	assert_int_equal(find(ID_A), 50);
	snprintf(path, sizeof(path), "/docker/%s/docker/%s", ID_A, ID_B2);
	process(45, 1, 45, 1, "45\\t10\\t1", path);
	assert_int_equal(find(ID_B2), 45);
	process(60, 1, 60, 1, "60\\t1", "/docker/" ID_A);
	assert_int_equal(find(ID_A), 60);
	assert_int_equal(find("bbbbbbbbbbbb"), 0);
	assert_string_equal(err, "more than one container is called so");
	process(80, 1, 80, 1, "80\\t1", "/default/web");
	assert_int_equal(find("web"), 80);
	assert_int_equal(find("docker"), 0);
	assert_int_equal(find("machine.slice"), 0);
}

/* Answers one request on run/docker.sock with TEXT, from a child: PAD KiB of spaces in front of its last byte, or slowly. */
static pid_t docker(const char *text, size_t pad, bool slow)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "run/docker.sock" };
	int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t n = strlen(text);
	char request[512] = "", spaces[1024];
	pid_t child;

	unlink(a.sun_path);
	assert_int_equal(bind(l, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(l, 1), 0);
	child = fork();
	if (child) {
		close(l);
		return child;
	}
	signal(SIGPIPE, SIG_IGN);
	int s = accept(l, NULL, NULL);
	if (read(s, request, sizeof(request) - 1) <= 0 || !strstr(request, "/json HTTP/1.0\r\n"))
		_exit(1);
	if (write(s, text, n - 1) != (ssize_t)n - 1)
		_exit(2);
	memset(spaces, ' ', sizeof(spaces));
	for (size_t i = 0; slow || i < pad; i++) {
		if (write(s, spaces, slow ? 1 : sizeof(spaces)) <= 0)
			_exit(0);
		if (slow)
			usleep(100000);
	}
	_exit(write(s, text + n - 1, 1) != 1);
}

static int asked(const char *text, size_t pad, bool slow, char whole[80])
{
	pid_t child = docker(text, pad, slow);
	int rc = docker_pid("run/docker.sock", "web", whole, 80), status;

	assert_int_equal(waitpid(child, &status, 0), child);
	return rc;
}

#define OK "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"
#define ANSWER(pid) OK "{\"Id\":\"" ID_A "\",\"Labels\":{\"Pid\":9},\"State\":{\"Running\":true,\"Pid\":" pid "}}\n"

static void test_docker(void **state)
{
	char whole[80];

	assert_int_equal(asked(ANSWER("77"), 0, false, whole), 77);
	assert_string_equal(whole, ID_A);
	assert_int_equal(asked(ANSWER("77"), 500, false, whole), 77);
	assert_int_equal(asked(ANSWER("0"), 0, false, whole), -ESRCH);
	assert_int_equal(asked(ANSWER("-7"), 0, false, whole), -EBADMSG);
	assert_int_equal(asked(ANSWER("99999999999999999999"), 0, false, whole), -EBADMSG);
	assert_int_equal(asked(OK "{\"Id\":\"x\"}\n", 0, false, whole), -EBADMSG);
	assert_int_equal(asked(OK "{\"State\":{\"Pid\":7}}\n", 0, false, whole), -EBADMSG);
	assert_int_equal(asked("HTTP/1.1 404 Not Found\r\n\r\n{\"message\":\"No such\"}\n", 0, false, whole), -ENOENT);
	assert_int_equal(asked("HTTP/1.1 500 Oh\r\n\r\n{}\n", 0, false, whole), -EBADMSG);
	assert_int_equal(asked("SSH-2.0-rubbish\r\n", 0, false, whole), -EBADMSG);
	assert_int_equal(asked("HTTP/1.1 200 OK\r\n", 0, false, whole), -EBADMSG);
	assert_int_equal(asked(ANSWER("77"), DOCKER_ANSWER_MAX >> 10, false, whole), -EMSGSIZE);
	unlink("run/docker.sock");
	assert_int_equal(docker_pid("run/docker.sock", "web", whole, 80), -ENOENT);
}

static void test_docker_slow(void **state)
{
	time_t begin = time(NULL);
	char whole[80];

	assert_int_equal(asked(ANSWER("77"), 0, true, whole), -ETIMEDOUT);
	assert_in_range(time(NULL) - begin, DOCKER_SECONDS - 1, DOCKER_SECONDS + 2);
}

static pid_t find_by_docker(const char *text, const char *id)
{
	pid_t child = docker(text, 0, false), pid = find(id);
	int status;

	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return pid;
}

static void test_docker_found(void **state)
{
	process(77, 1, 77, 1, "77\\t1", "/docker/" ID_A);
	process(78, 1, 78, 1, "78\\t1", "/docker/" ID_B);
	assert_int_equal(find_by_docker(ANSWER("77"), "web"), 77);
	assert_non_null(strstr(how, "run/docker.sock"));
	assert_int_equal(find_by_docker(ANSWER("0"), "web"), 0);
	assert_string_equal(err, "it does not run");
	assert_int_equal(find_by_docker(ANSWER("78"), "web"), 0);
	assert_non_null(strstr(err, "its process is not one of this machine"));
	/* Who is not known there is looked for elsewhere. */
	assert_int_equal(find_by_docker("HTTP/1.0 404 No\r\n\r\n{}", ID_B), 78);
}

/* A process with a root of its own, in mount namespace NS. */
static void inside(int pid, int parent, int session, const char *root, const char *ns)
{
	process(pid, parent, session, 1, "1", "/");
	sh("mkdir -p %s proc/%d/ns && ln -sfn ../../%s proc/%d/root && ln -sfn 'mnt:[%s]' proc/%d/ns/mnt", root, pid, root, pid,
	   ns, pid);
}

static pid_t main_process(const char *self)
{
	int proc = open("proc", O_PATH | O_DIRECTORY);
	pid_t pid;

	sh("ln -sfn %s proc/self", self);
	pid = inside_main(proc);
	close(proc);
	return pid;
}

static void test_inside(void **state)
{
	inside(1, 0, 1, "pause", "1");
	inside(7, 0, 7, "other", "2");
	inside(30, 0, 30, "ours", "3");
	inside(31, 30, 30, "ours", "3");
	inside(5, 0, 5, "ours", "3");   /* sh of kubectl exec, whose number came round */
	inside(6, 5, 5, "ours", "3");   /* beside us in a pipe */
	inside(50, 5, 50, "ours", "3"); /* us */
	inside(4, 0, 4, "ours", "9");   /* the same root in another mount namespace */
	assert_int_equal(main_process("50"), 6);
	inside(50, 5, 5, "ours", "3");
	assert_int_equal(main_process("50"), 30);
	/* The usual: process 1, though it be our parent, but not we ourselves. */
	inside(1, 0, 1, "ours", "3");
	assert_int_equal(main_process("50"), 1);
	inside(50, 1, 1, "ours", "3");
	assert_int_equal(main_process("50"), 1);
	assert_int_equal(main_process("1"), 0);
	/* Whose root we may not look at is nobody. */
	sh("rm proc/1/root");
	assert_int_equal(main_process("50"), 5);
	sh("rm proc/self");
	int proc = open("proc", O_PATH | O_DIRECTORY);
	assert_int_equal(inside_main(proc), 0);
	close(proc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test_setup_teardown(test_state, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_runtimes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cgroups, setup, teardown),
		cmocka_unit_test_setup_teardown(test_docker, setup, teardown),
		cmocka_unit_test_setup_teardown(test_docker_slow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_docker_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inside, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
