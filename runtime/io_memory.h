/* Memory that the guest shares with the io process; see io_memory.c. */
#ifndef VXN_IO_MEMORY_H
#define VXN_IO_MEMORY_H

#include "io.h"

/*
 * The body of a MEMORY frame. An error is the guest's, or there is no memory for it:
 * the VM has to end either way.
 */
int io_memory_offered(struct io *io, const uint8_t body[WIRE_MEMORY_SIZE], struct error *err);

/*
 * Where a part that the guest has at this physical address is in the file that its
 * memory is: `size` bytes, of which the first below_4g are at address 0 and the
 * others at 4 GiB. Fails where it would not lie in one of these with all its bytes.
 */
int io_memory_offset(uint64_t address, uint64_t below_4g, uint64_t size, uint64_t *offset,
		     struct error *err);

#endif
