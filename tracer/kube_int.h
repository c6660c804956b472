/* Between kube.c, which runs agents in pods, kube_pod.c, which finds the pods, and kube_beside.c, which runs agents beside. */
#ifndef TRACER_KUBE_INT_H
#define TRACER_KUBE_INT_H

#include "reach.h"

#define KUBE_NAME 256

/* A target and what was found or started for it: a second agent for the same one goes to the same place. */
struct kube {
	struct kube *next;
	const struct reach *reach;
	struct target target;
	char pod[KUBE_NAME];	   /* "" until it had to be found */
	char container[KUBE_NAME]; /* "" for kubectl's choice */
	char node[KUBE_NAME], id[KUBE_NAME]; /* the pod's, and the container's; "" until they were looked up */
	bool shares_pids;		     /* the container's first process is not process 1 in a container beside it */
	char beside_pod[KUBE_NAME], beside[KUBE_NAME]; /* the pod and container in which agents for it run; "" until one was started */
};

/* Whether a container called NAME (LEN bytes) is beside an application and never meant. */
bool kube_is_sidecar(const char *name, size_t len);

/* kubectl and what every command of it gets. */
void kube_command(const struct kube *k, struct words *w);

/* kubectl ended with RC and SAID that: a negative errno with a clause. */
int kube_fail(const struct kube *k, int rc, const char *said, char *err, size_t err_len);

/* Runs kubectl with the words of W, INPUT (or NULL) as its input, for at most MS. 0, or a negative errno with a clause. */
int kube_run(const struct kube *k, const struct words *w, const char *input, struct output *o, unsigned ms, char *err, size_t err_len);

/*
 * Finds K's pod, and of that the container: the one that was named, else the one that the pod's annotation names, else the first that is
 * no sidecar. 0, or a negative errno with a clause.
 */
int kube_find_pod(struct kube *k, char *err, size_t err_len);

/* Whether NAME (of LEN bytes) is of a container that is beside the application in many pods, and is never meant. */
bool kube_is_sidecar(const char *name, size_t len);

/* An agent in an ephemeral container of K's pod, or in a job on its node. As reach_start. */
int kube_start_beside(struct kube *k, struct target_stream *s, char *err, size_t err_len);

#endif
