/* Memory that the guest shares with the io process; see io_memory.c. */
#ifndef VXN_IO_MEMORY_H
#define VXN_IO_MEMORY_H

#include "fuse_request.h"
#include "io.h"

/*
 * The body of a MEMORY frame. An error is the guest's, or there is no memory for it:
 * the VM has to end either way.
 */
int io_memory_offered(struct io *io, const uint8_t body[WIRE_MEMORY_SIZE], struct error *err);

/*
 * The memory that a PAGES frame names (to be freed), NULL with err set: an error is the
 * guest's, or there is no memory for it.
 */
struct share_data *io_memory_data(const struct io *io, const struct wire_frame *frame,
				  struct error *err);

/*
 * Where a piece of the guest's memory is in the file that this is: `size` bytes, of
 * which the first below_4g are at address 0 and the others at 4 GiB. Fails where it
 * would not lie in one of these with all its bytes.
 */
int io_memory_offset(const struct wire_extent *extent, uint64_t below_4g, uint64_t size,
		     uint64_t *offset, struct error *err);

#endif
