/*
 * One error, made where the cause is known. Every function that can fail takes
 * a struct error last and returns a negative number; the caller adds a prefix
 * only when it knows something that the message does not say.
 */
#ifndef VXN_ERROR_H
#define VXN_ERROR_H

#define ERROR_MESSAGE_MAX 1024

struct error {
	int errnum;			 /* errno of the cause, 0 if it had none */
	char message[ERROR_MESSAGE_MAX]; /* one line, no newline at its end */
};

/*
 * Writes the message; when errnum is not 0, ": " and its description follow.
 * A NULL err is allowed. Always returns -1, so that `return error_set(...)`
 * reads well.
 */
int error_set(struct error *err, int errnum, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "PREFIX: " before the message that err holds. Always returns -1. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Replaces control characters and bytes that are not valid UTF-8 by '?', in
 * place: what came from a guest must not drive a terminal or break a log line.
 */
void error_sanitize(char *text);

#endif
