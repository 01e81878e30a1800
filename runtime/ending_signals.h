/*
 * The signals by which a user or an engine ends a verb. While it makes something,
 * they are not to kill it but to have it undone.
 */
#ifndef VXN_ENDING_SIGNALS_H
#define VXN_ENDING_SIGNALS_H

/*
 * Blocks them and returns a descriptor that is readable when one has come, -1
 * when there is none to be had. They stay blocked.
 */
int ending_signals_fd(void);

#endif
