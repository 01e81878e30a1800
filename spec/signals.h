/*
 * Signals: their names as users and engines write them. Both sides run Linux on the same
 * architecture, so the numbers need no translation.
 */
#ifndef VXN_SIGNALS_H
#define VXN_SIGNALS_H

/*
 * "TERM", "SIGTERM", "15", "RTMIN+1", "SIGRTMAX-2", in either case. 0 is the
 * number that only asks whether the process is there. Returns -1 when text is no
 * signal.
 */
int signal_parse(const char *text);

/* All to their defaults, none blocked: as a program expects to be executed. */
void signals_reset(void);

#endif
