/* Where an agent listens: "unix:PATH", "tcp:HOST:PORT", "tcp:[V6]:PORT". */
#ifndef PROTO_ADDRESS_H
#define PROTO_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

struct address {
	bool is_unix;
	struct sockaddr_un un;
	char host[256]; /* a name or a number, without brackets */
	uint16_t port;  /* 0: whichever is free */
};

/* Takes TEXT apart. 0, or -EINVAL with one clause in ERR (ERR_LEN bytes). */
int address_parse(const char *text, struct address *a, char *err, size_t err_len);

#endif
