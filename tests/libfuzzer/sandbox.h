/* A place where what is fuzzed may do what it likes, and what must not be touched beside it. */
#ifndef LIBFUZZER_SANDBOX_H
#define LIBFUZZER_SANDBOX_H

/*
 * Makes, once, a user and mount namespace of our own with a tmpfs in it, in which we are root and nobody outside: below the result, an
 * absolute path, "tree" is to be used, and "outside" must stay as it is. /proc is in the tree. Ends the process with 3 where that cannot be.
 */
const char *sandbox_make(void);

/* Removes all of the tree but /proc and makes it anew: files, directories, a FIFO, and links that lead out of it in every way. */
void sandbox_reset(void);

/*
 * Ends the process with abort() if what only the file outside has in it is in the LEN bytes at BYTES. It is found by a checksum: bytes
 * that are compared would be learnt by the fuzzer.
 */
void sandbox_check_bytes(const unsigned char *bytes, unsigned long len);

/* Ends the process with abort() if anything outside was changed, read or listed, or our rights are others. */
void sandbox_check(void);

#endif
