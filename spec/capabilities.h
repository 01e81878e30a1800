/* The names of Linux capabilities (capabilities(7)) and their numbers. */
#ifndef VXN_CAPABILITIES_H
#define VXN_CAPABILITIES_H

/* "CAP_CHOWN", in either case, to 0; -1 for an unknown name. */
int capability_parse(const char *name);

/* NULL for a number that has no name yet. */
const char *capability_name(int number);

#endif
