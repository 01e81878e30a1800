/* See channel.h: finds the implementation that a spec names. */
#include "channel.h"

#include <string.h>

int channel_open(const char *spec, int fd, struct channel **channel, struct error *err)
{
	static const struct channel_ops *const all[] = { &channel_vchan, &channel_socket };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		size_t length = strlen(all[i]->name);

		if (!strncmp(spec, all[i]->name, length) && spec[length] == ':')
			return all[i]->open(spec + length + 1, fd, channel, err);
	}
	return error_set(err, 0, "unknown channel \"%s\"", spec);
}

int channel_fd(const struct channel *channel)
{
	return channel->ops->fd(channel);
}

uint32_t channel_events(const struct channel *channel)
{
	return channel->ops->events;
}

void channel_event(struct channel *channel)
{
	channel->ops->event(channel);
}

ssize_t channel_read(struct channel *channel, void *buffer, size_t size)
{
	return channel->ops->read(channel, buffer, size);
}

ssize_t channel_write(struct channel *channel, const void *buffer, size_t size)
{
	return channel->ops->write(channel, buffer, size);
}
