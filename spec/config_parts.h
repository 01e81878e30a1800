/*
 * What the files of the config parser share with each other; not for others.
 * Each reader fills its part of a zeroed config; what it has filled when it
 * fails is released with the rest.
 */
#ifndef VXN_CONFIG_PARTS_H
#define VXN_CONFIG_PARTS_H

#include "config.h"
#include "json.h"
#include "string_list.h"

/* warnings: where a reader puts what is no error (config.h). */
int config_read_process(const struct json *node, struct oci_process *process,
			struct string_list *warnings, struct error *err);
void config_release_process(struct oci_process *process);

int config_read_mounts(const struct json *root, struct oci_config *config, struct error *err);
void config_release_mounts(struct oci_config *config);

int config_read_linux(const struct json *root, struct oci_config *config, struct error *err);
void config_release_linux(struct oci_config *config);

int config_read_vm(const struct json *root, struct oci_vm *vm, struct error *err);
void config_release_vm(struct oci_vm *vm);

#endif
