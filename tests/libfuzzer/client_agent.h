/* The other end of the client target's links: in the place of link.c and of what is behind it. */
#ifndef LIBFUZZER_CLIENT_AGENT_H
#define LIBFUZZER_CLIENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

struct link;
struct mount;

/* A link of M, for good. */
struct link *client_agent_link(struct mount *m);

/* The input from here on. */
void client_agent_begin(const uint8_t *data, size_t len);

/* The next call of the program's; pushes before it are delivered, replies that nobody asked for are dropped. False: there is none. */
bool client_agent_next_call(struct frame_header *h, const uint8_t **payload);

/* Delivers what is on its way: a reply that is not waited for, or a push. False: there is nothing. Without the state lock. */
bool client_agent_news(void);

/* From here on every request fails as on a link that is lost; the next input begins anew. */
void client_agent_starve(void);

/* Fails what is still on its way, and has everything that is known forgotten. */
void client_agent_end(void);

#endif
