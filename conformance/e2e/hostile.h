/* Between init_hostile.c and hostile_memory.c. */
#ifndef VXN_HOSTILE_H
#define VXN_HOSTILE_H

#include <stddef.h>
#include <stdint.h>

void send_bytes(unsigned int port, const void *bytes, size_t size);
void send_frame(uint8_t type, uint8_t flags, uint32_t stream, const void *body, uint32_t length);
unsigned int last_port(void);
/* The stream of the container's first share. */
uint32_t share(void);

/* Behaviours. */
void offer_unaligned(void);
void offer_beyond(void);
void offer_wrapping(void);
void offer_twice(void);
void claim_too_much(void);
void go_back(void);
void consume_too_much(void);
void put_no_frame(void);
void name_pages_without_rings(void);
void name_pages_beyond(void);
void name_too_many_pages(void);
void name_pages_for_lookup(void);

#endif
