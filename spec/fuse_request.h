/*
 * What a FUSE request from a guest must look like before the server believes a
 * byte of it. The kernel that sends it is hostile, and libfuse checks no request
 * against its length: every size, count and terminator that libfuse will rely on
 * is checked here. Pure: no I/O, no allocation; fuzzed.
 *
 * Source of the layout: <linux/fuse.h>, protocol 7.36 and newer (libfuse reads
 * older ones differently, so they are refused at INIT), with the options that
 * the server agrees to: no FUSE_SETXATTR_EXT, no extensions after the header.
 */
#ifndef VXN_FUSE_REQUEST_H
#define VXN_FUSE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* One per connection; zero it, then set max_io. */
struct fuse_request_state {
	uint32_t max_io;  /* largest READ, READDIR and WRITE agreed to, bytes */
	bool initialized; /* an INIT was seen */
	bool destroyed;	  /* a DESTROY was seen */
};

/*
 * Checks one whole message of size bytes. Returns
 *   0    it is well-formed and may go to libfuse;
 *   > 0  an errno to answer it with: a correct kernel may send this, but the
 *        server has nothing for it (ENOSYS: opcode unknown or not offered;
 *        ENAMETOOLONG: a name of more than 255 bytes, which a program in the
 *        guest can cause);
 *   -1   no correct kernel sends this: end the VM. err says what was wrong.
 * Node ids and file handles are only checked for not being 0 where none is
 * allowed: the server's tables do the rest. The name of a TMPFILE is "/", which
 * no other request can have.
 */
int fuse_request_check(const void *buf, size_t size, struct fuse_request_state *state,
		       struct error *err);

/*
 * The same for a READ or WRITE of which buf has the header and the arguments alone,
 * FUSE_REQUEST_PLACED_SIZE bytes, and whose data, of data_size bytes, is elsewhere, or
 * is to be put there. -1 for any other request.
 */
#define FUSE_REQUEST_PLACED_SIZE 80u
int fuse_request_check_placed(const void *buf, size_t data_size, struct fuse_request_state *state,
			      struct error *err);

/* Name of an opcode for messages, "opcode?" if unknown. */
const char *fuse_request_name(uint32_t opcode);

#endif
