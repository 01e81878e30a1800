/* See share_internal.h: ids that a guest may hold, instead of pointers. */
#include "share_internal.h"

#include <stdlib.h>

static uint64_t id_of(const struct share_table *table, uint32_t index)
{
	return (uint64_t)table->slots[index].generation << 32 | (index + 1u);
}

static int grow(struct share_table *table)
{
	uint32_t capacity = table->capacity ? table->capacity * 2 : 64;
	struct share_slot *slots;

	if (table->capacity >= 1u << 30)
		return -1;
	slots = reallocarray(table->slots, capacity, sizeof(*slots));
	if (!slots)
		return -1;
	table->slots = slots;
	table->capacity = capacity;
	return 0;
}

uint64_t share_table_add(struct share_table *table, void *object)
{
	uint32_t index;

	if (table->free) {
		index = table->free - 1;
		table->free = table->slots[index].next_free;
	} else {
		if (table->count == table->capacity && grow(table))
			return 0;
		index = table->count++;
		table->slots[index].generation = 0;
	}
	table->slots[index].object = object;
	table->slots[index].next_free = 0;
	return id_of(table, index);
}

void *share_table_get(const struct share_table *table, uint64_t id)
{
	uint32_t index = (uint32_t)id - 1;

	if (index >= table->count || id_of(table, index) != id)
		return NULL;
	return table->slots[index].object;
}

void share_table_remove(struct share_table *table, uint64_t id)
{
	uint32_t index = (uint32_t)id - 1;

	if (!share_table_get(table, id))
		return;
	table->slots[index].object = NULL;
	table->slots[index].generation++;
	table->slots[index].next_free = table->free;
	table->free = index + 1;
}

void share_table_free(struct share_table *table)
{
	free(table->slots);
	*table = (struct share_table){ 0 };
}
