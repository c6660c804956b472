/* Bytes that come over a stream. */
#ifndef LIBFUZZER_FEED_H
#define LIBFUZZER_FEED_H

#include <stddef.h>
#include <stdint.h>

/*
 * A descriptor, owned by the caller, from which LEN bytes at DATA can be read and then its end. SLOWLY: it does not block, and they come
 * in pieces, from a thread. What is written to it is thrown away. Not for two at once.
 */
int feed_open(const uint8_t *data, size_t len, int slowly);

/* Waits for the thread; after the descriptor was closed. */
void feed_close(void);

#endif
