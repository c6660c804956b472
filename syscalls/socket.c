/* connect, bind, listen, getsockname, getpeername: sockets of AF_UNIX whose names are remote. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cache.h"
#include "call.h"
#include "channel.h"
#include "foretold.h"
#include "handlers.h"
#include "link.h"
#include "ofd.h"
#include "overlay.h"
#include "place.h"
#include "relay.h"
#include "rules.h"
#include "state.h"
#include "util.h"

/* How often a listener whose queue is full is asked again, in ms: nothing tells when there is room. */
#define RETRY_MS 10

/* The name that a call has at arg[1], with arg[2] bytes, and where it leads. */
struct target {
	struct sockaddr_storage name;
	socklen_t len; /* as the kernel would tell it */
	struct place place;
	char there[PATH_MAX];
	int sock;      /* our description of the socket at arg[0] */
	int type;
};

static void target_release(struct target *t)
{
	place_release(&t->place);
	close_fd(&t->sock);
}
#define TARGET_ON_STACK(t)                                                 \
	struct target t __attribute__((cleanup(target_release))); \
	t.place.dir = NULL;                                                \
	t.sock = -1

static int sock_option(int sock, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(sock, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

/* 0: a remote name, and a socket that can have it. Else what the call answers; the kernel finds what is wrong with either. */
static long target_get(struct call *c, int intent, struct target *t)
{
	struct sockaddr_un un = { 0 };
	char path[sizeof(un.sun_path) + 1] = "";
	size_t len = (size_t)(int)c->arg[2], at = offsetof(struct sockaddr_un, sun_path);

	if ((int)c->arg[2] <= (int)at || len > sizeof(un) || call_read(c, c->arg[1], &un, len) < 0 ||
	    un.sun_family != AF_UNIX || !un.sun_path[0])
		return CALL_CONTINUE;
	memcpy(path, un.sun_path, len - at);
	t->sock = call_get_fd(c, (int)c->arg[0]);
	if (t->sock < 0 || sock_option(t->sock, SO_DOMAIN) != AF_UNIX)
		return CALL_CONTINUE;
	long rc = place_resolve_text(c, path, intent, &t->place);
	if (rc || (!t->place.mount && !t->place.behalf))
		return rc ? rc : CALL_CONTINUE;
	if (t->place.behalf || t->place.self)
		return call_unsupported(c, t->place.mount);
	t->type = sock_option(t->sock, SO_TYPE);
	t->len = (socklen_t)(at + strlen(path) + 1);
	memset(&t->name, 0, sizeof(t->name));
	memcpy(&t->name, &un, len);
	call_remote(c, t->place.mount);
	return 0;
}

/* ---- connect ---- */

static void keep_name(struct target *t, struct link_reply *rep)
{
	snprintf(t->there, sizeof(t->there), "%.*s", (int)rep->payload_len, rep->payload ? (char *)rep->payload : "");
	link_reply_free(rep);
}

static int ask_connect(struct call *c, struct target *t, uint64_t *handle)
{
	rfs_Request req = { .which_op = rfs_Request_connect_tag,
			    .op.connect = { .has_where = true, .type = (uint32_t)t->type } };
	struct link_reply rep;

	*handle = req.op.connect.handle = link_new_handle(t->place.mount->link);
	place_where(&t->place, &req.op.connect.where);
	int rc = call_rpc(c, t->place.mount, &req, NULL, 0, &rep);
	if (!rc)
		keep_name(t, &rep);
	return rc;
}

long sys_connect(struct call *c)
{
	static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
	TARGET_ON_STACK(t);
	uint64_t handle;
	long rc = target_get(c, PLACE_FOLLOW, &t);

	if (rc)
		return rc;
	overlay_leave(c);
	bool waits = !(fcntl(t.sock, F_GETFL) & O_NONBLOCK);
	while ((rc = ask_connect(c, &t, &handle)) == -EAGAIN && waits) {
		if (call_interrupted(c))
			return -ERESTARTSYS;
		state_wait_ms(&never, RETRY_MS);
	}
	return rc ? rc : relay_connect(t.place.mount, handle, t.sock, &t.name, t.len, t.there);
}

/* ---- bind, listen ---- */

static bool is_bound(int sock)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);

	return !getsockname(sock, (struct sockaddr *)&name, &len) && len > sizeof(sa_family_t);
}

long sys_bind(struct call *c)
{
	TARGET_ON_STACK(t);
	rfs_Request req = { .which_op = rfs_Request_bind_tag, .op.bind.has_where = true };
	struct link_reply rep;
	struct stat st;
	long rc = target_get(c, PLACE_MAKE, &t);

	if (rc)
		return rc == -EEXIST ? -EADDRINUSE : rc;
	if (is_bound(t.sock))
		return -EINVAL;
	fstat(t.sock, &st);
	req.op.bind.handle = link_new_handle(t.place.mount->link);
	req.op.bind.type = (uint32_t)t.type;
	req.op.bind.mode = st.st_mode & 07777;
	req.op.bind.umask = call_umask(c);
	place_where(&t.place, &req.op.bind.where);
	rc = foretold_rpc(c, &t.place, NULL, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	keep_name(&t, &rep);
	cache_forget_name(t.place.mount, *t.place.key ? t.place.key : "/", true);
	node_names_changed(t.place.mount, t.place.key);
	return relay_bind(t.place.mount, req.op.bind.handle, t.sock, &t.name, t.len, t.there);
}

/* One of getsockname(2) and getpeername(2) of the descriptor FD: its length, or 0. */
static socklen_t name_of(struct call *c, int fd, bool peer, struct sockaddr_storage *name)
{
	CLEANUP_FD int sock = call_get_fd(c, fd);
	socklen_t len = sizeof(*name);

	memset(name, 0, sizeof(*name));
	if (sock < 0 || (peer ? getpeername(sock, (struct sockaddr *)name, &len) : getsockname(sock, (struct sockaddr *)name, &len)) < 0)
		return 0;
	return name->ss_family == AF_UNIX && len <= sizeof(*name) ? len : 0;
}

long sys_listen(struct call *c)
{
	rfs_Request req = { .which_op = rfs_Request_control_tag,
			    .op.control = { .what = rfs_Controls_LISTEN, .value = (int)c->arg[1] } };
	struct sockaddr_storage name;
	const struct mount *m;
	struct link_reply rep;
	socklen_t len;

	if (!relay_any() || !(len = name_of(c, (int)c->arg[0], false, &name)) ||
	    relay_listener(&name, len, &m, &req.op.control.handle))
		return CALL_CONTINUE;
	int rc = call_rpc(c, m, &req, NULL, 0, &rep);
	if (!rc)
		link_reply_free(&rep);
	return rc ? rc : CALL_CONTINUE;
}

/* ---- names ---- */

static long tell_name(struct call *c, bool peer)
{
	struct sockaddr_storage name;
	int room;
	socklen_t len;

	if (!relay_any() || !(len = name_of(c, (int)c->arg[0], peer, &name)) || !(len = relay_name(&name, len)) ||
	    call_read(c, c->arg[2], &room, sizeof(room)) < 0 || room < 0)
		return CALL_CONTINUE;
	long rc = call_write(c, c->arg[1], &name, (size_t)room < len ? (size_t)room : len);
	return rc ? rc : call_write(c, c->arg[2], &len, sizeof(len));
}

long sys_getsockname(struct call *c)
{
	return tell_name(c, false);
}

long sys_getpeername(struct call *c)
{
	return tell_name(c, true);
}
