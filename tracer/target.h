/* Targets: what their names mean. */
#ifndef TRACER_TARGET_H
#define TRACER_TARGET_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum target_kind {
	TARGET_DIR,
	TARGET_PID,
	TARGET_CONTAINER, /* of this node, whatever runs it */
	TARGET_EXEC,
	TARGET_DOCKER,
	TARGET_PODMAN,
	TARGET_SSH,
	TARGET_UNIX,
	TARGET_TCP,
	TARGET_KUBE,
};

/* A target's name, taken apart. */
struct target {
	enum target_kind kind;
	const char *resource; /* of KUBE: "pod", "deployment", … "label", as kubectl calls it; else NULL */
	char name[PATH_MAX];  /* a directory, a number, a command, a container, [USER@]HOST, a whole address, a resource's name */
	char container[256];  /* of KUBE: the one that was named, or "" */
	char port[8];	      /* of SSH, or "" */
};

/*
 * Takes TEXT apart: "dir/PATH", "pod/NAME/container/C", "ssh/USER@HOST:PORT"… Starts nothing and asks nobody. 0, or -EINVAL with
 * one clause in ERR that says what is wrong and what is accepted.
 */
int target_parse(const char *text, struct target *t, char *err, size_t err_len);

/* Whether TEXT is one. As target_parse. */
int target_check(const char *text, char *err, size_t err_len);

/*
 * Where the ":/SUBPATH" of TEXT starts, or NULL: at the last ":/", since a command has colons of its own. The colon
 * of a scheme ("exec:/usr/bin/agent") is none.
 */
char *target_find_subpath(char *text);

/* Whether the target TEXT cannot have a process whose environment could be taken. */
bool target_lacks_process(const char *text);

/* The short name used in logs: "dir:/srv", "pid:4711", "exec:remotefs-agent", "pod/x". Writes at most LEN bytes, always terminated. */
void target_tag(const char *text, char *tag, size_t len);

/* TEXT's name wherever one is: of a directory, its absolute path. At most LEN bytes, always terminated. */
void target_absolute(const char *text, char *absolute, size_t len);

/* The directory that NAME of a dir/NAME means, absolute and without links, in PATH (PATH_MAX). 0, or a negative errno with a clause. */
int target_find_dir(const char *name, char *path, char *err, size_t err_len);

/*
 * Finds the agent program for machines like this one, or for MACHINE ("aarch64"; NULL: this one): beside /proc/self/exe, then in
 * PREFIX/libexec/remotefs-trace. 0 and an absolute path in PATH, or -ENOENT with one clause in ERR.
 */
int target_find_agent(const char *machine, char *path, size_t len, char *err, size_t err_len);

/* Puts one clause into ERR and returns CODE. */
int target_fail(int code, char *err, size_t err_len, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
