/*
 * What every container has below /dev: the devices of the OCI runtime spec
 * (config-linux.md, "Default Devices") and the links that runc makes. Made in the
 * VM for the process, and on the host for the stand-in.
 */
#ifndef VXN_DEFAULT_DEVICES_H
#define VXN_DEFAULT_DEVICES_H

struct default_device {
	const char *name; /* below /dev; a character device, mode 0666 */
	unsigned int major, minor;
};

struct default_link {
	const char *name, *target;
};

/* Both end with a row whose name is NULL. */
extern const struct default_device default_devices[];
extern const struct default_link default_links[];

#endif
