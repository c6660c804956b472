/* As much of JSON as is needed to find a number in what a runtime of containers says. */
#ifndef AGENT_JSON_H
#define AGENT_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* Where in the text the value of member NAME begins, of the object that begins at OBJECT; NULL if there is none. */
const char *json_member(const char *object, const char *name);

/* The whole number that is the value at VALUE, which may be NULL. */
bool json_number(const char *value, long long *number);

/* The string at VALUE, which may be NULL; false if it does not fit in SIZE bytes, or has escapes. */
bool json_string(const char *value, char *string, size_t size);

#endif
