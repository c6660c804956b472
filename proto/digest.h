/* What tells whether a page of a file is the same on both sides. PROTOCOL.md has the definition. */
#ifndef PROTO_DIGEST_H
#define PROTO_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_PAGE 4096u
#define DIGEST_MAX 16384u /* pages in one request */

/* The digest of LEN bytes, up to DIGEST_PAGE, followed by zeros; 0 for a page of zeros. */
uint64_t digest_page(const uint8_t *data, size_t len);

#endif
