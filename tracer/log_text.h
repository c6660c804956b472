/* A line of the log while it is put together. */
#ifndef TRACER_LOG_TEXT_H
#define TRACER_LOG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Starts inside itself and moves to the heap when it grows. It stops growing at TEXT_MAX bytes. */
struct text {
	char *data;
	size_t len, size;
	char small[1024];
};

#define TEXT_MAX ((size_t)16 << 20)
#define CLEANUP_TEXT __attribute__((cleanup(text_free)))

void text_init(struct text *t);
void text_free(struct text *t);
void text_add_bytes(struct text *t, const char *bytes, size_t n);
void text_add(struct text *t, const char *s);
void text_format(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds spaces up to column COLUMN. */
void text_pad(struct text *t, size_t column);

/*
 * Adds N bytes of DATA as strace writes strings, in quotes; characters of EXTRA are written in octal too.
 */
void text_quote(struct text *t, const void *data, size_t n, const char *extra);

/* As text_quote, without the quotes. */
void text_escape(struct text *t, const void *data, size_t n, const char *extra);

#endif
