/*
 * See settings.h. One table row for each key; the defaults are the installed
 * guest and the figures of the header.
 */
#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "json.h"
#include "textfile.h"

#define SETTINGS_SIZE_MAX (1u << 20)
#define ANNOTATION_PREFIX "org.vxn."

enum setting_type { SETTING_PATH, SETTING_NAME, SETTING_NUMBER, SETTING_WORD, SETTING_SET };

struct setting {
	const char *key;
	enum setting_type type;
	size_t offset; /* in struct settings */
	unsigned int min, max;
	const char *const
		*words; /* NULL-terminated; the value is an enum, or a bit each, in their order */
};

#define AT(member) offsetof(struct settings, member)

/* In the order of the enums in settings.h; the first one is the default. */
static const char *const hypervisors[] = { "auto", "xen", "qemu", NULL };
static const char *const xen_types[] = { "auto", "pv", "pvh", NULL };
static const char *const accelerators[] = { "auto", "kvm", "tcg", NULL };

static const char *const host_devices_words[] = { "skip", "refuse", NULL };
static const char *const template_uses[] = { "auto", "off", NULL };
/* What follows "org.vxn." */
static const char *const annotations[] = { "cache", NULL };

enum allowed_vm { ALLOW_VM_KERNEL, ALLOW_VM_INITRD, ALLOW_VM_PARAMETERS };

static const char *const vm_words[] = { "kernel", "initrd", "parameters", NULL };

static const struct setting settings_table[] = {
	{ "hypervisor", SETTING_WORD, AT(hypervisor), 0, 0, hypervisors },
	{ "kernel", SETTING_PATH, AT(kernel), 0, 0, NULL },
	{ "initramfs", SETTING_PATH, AT(initramfs), 0, 0, NULL },
	{ "vcpus", SETTING_NUMBER, AT(vcpus), 1, 128, NULL },
	{ "memory", SETTING_NUMBER, AT(memory_mib), 32, 1u << 24, NULL },
	{ "dom0_min_memory", SETTING_NUMBER, AT(dom0_min_memory_mib), 0, 1 << 24, NULL },
	{ "overhead", SETTING_NUMBER, AT(overhead_mib), 0, 1u << 20, NULL },
	{ "xen_type", SETTING_WORD, AT(xen_type), 0, 0, xen_types },
	{ "qemu", SETTING_PATH, AT(qemu), 0, 0, NULL },
	{ "qemu_user", SETTING_NAME, AT(qemu_user), 0, 0, NULL },
	{ "accelerator", SETTING_WORD, AT(accelerator), 0, 0, accelerators },
	{ "qemu_template", SETTING_WORD, AT(qemu_template), 0, 0, template_uses },
	{ "boot_timeout", SETTING_NUMBER, AT(boot_timeout_s), 1, 3600, NULL },
	{ "share_threads", SETTING_NUMBER, AT(share_threads), 1, 64, NULL },
	{ "cache", SETTING_WORD, AT(cache), 0, 0, cache_words },
	{ "host_devices", SETTING_WORD, AT(host_devices), 0, 0, host_devices_words },
	{ "allow_vm", SETTING_SET, AT(allow_vm), 0, 0, vm_words },
	{ "allow_annotations", SETTING_SET, AT(allow_annotations), 0, 0, annotations },
};

#define SETTINGS_COUNT (sizeof(settings_table) / sizeof(settings_table[0]))

static const struct setting *find_setting(const char *key)
{
	for (size_t i = 0; i < SETTINGS_COUNT; i++)
		if (!strcmp(settings_table[i].key, key))
			return &settings_table[i];
	return NULL;
}

static int set_text(const struct json *node, bool path, char **value, struct error *err)
{
	char *copy;

	if (json_expect(node, JSON_STRING, err))
		return -1;
	if (path && node->text[0] != '/')
		return json_error(node, err, "is no absolute path: \"%.200s\"", node->text);
	if (!node->text[0])
		return json_error(node, err, "is empty");
	copy = strdup(node->text);
	if (!copy)
		return error_set(err, ENOMEM, "%s", node->key);
	free(*value);
	*value = copy;
	return 0;
}

static int set_word(const struct json *node, const char *const *words, unsigned int *value,
		    struct error *err)
{
	char known[64] = "";

	if (json_expect(node, JSON_STRING, err))
		return -1;
	for (unsigned int i = 0; words[i]; i++) {
		size_t used = strlen(known);

		if (!strcmp(node->text, words[i])) {
			*value = i;
			return 0;
		}
		snprintf(known + used, sizeof(known) - used, "%s\"%s\"", i ? ", " : "", words[i]);
	}
	return json_error(node, err, "is none of %s: \"%.40s\"", known, node->text);
}

/* An array of words. */
static int set_bits(const struct json *node, const char *const *words, unsigned int *bits,
		    struct error *err)
{
	if (json_expect(node, JSON_ARRAY, err))
		return -1;
	*bits = 0;
	for (const struct json *item = json_first(node); item; item = item->next) {
		unsigned int number = 0;

		if (set_word(item, words, &number, err))
			return -1;
		*bits |= 1u << number;
	}
	return 0;
}

static int apply(const struct json *node, struct settings *settings, struct error *err)
{
	const struct setting *setting = find_setting(node->key);
	char *place = (char *)settings;
	int64_t number;

	if (!setting)
		return error_set(err, 0, "unknown key \"%.200s\"", node->key);
	place += setting->offset;
	if (node->type == JSON_NULL)
		return 0;
	switch (setting->type) {
	case SETTING_PATH:
	case SETTING_NAME:
		return set_text(node, setting->type == SETTING_PATH, (char **)place, err);
	case SETTING_WORD:
		return set_word(node, setting->words, (unsigned int *)place, err);
	case SETTING_SET:
		return set_bits(node, setting->words, (unsigned int *)place, err);
	case SETTING_NUMBER:
		if (json_to_int(node, setting->min, setting->max, &number, err))
			return -1;
		*(unsigned int *)place = (unsigned int)number;
		return 0;
	}
	return 0;
}

static int set_defaults(struct settings *settings, struct error *err)
{
	*settings = (struct settings){
		.kernel = strdup(VXN_LIBDIR "/vmlinux"),
		.initramfs = strdup(VXN_LIBDIR "/initramfs.cpio"),
		.vcpus = 1,
		.memory_mib = 512,
		.overhead_mib = 96,
		.qemu = strdup("/usr/bin/qemu-system-x86_64"),
		.qemu_user = strdup("nobody"),
		.boot_timeout_s = 60,
		.share_threads = 4,
		.allow_annotations = ~0u,
	};
	if (!settings->kernel || !settings->initramfs || !settings->qemu || !settings->qemu_user)
		return error_set(err, ENOMEM, "load the settings");
	return 0;
}

static int parse(const char *text, size_t size, struct settings *settings, struct error *err)
{
	const struct json_options options = { .depth_max = JSON_DEPTH_MAX, .comments = true };
	CLEANUP_JSON struct json *root = json_parse(text, size, &options, err);

	if (!root || json_expect(root, JSON_OBJECT, err))
		return -1;
	for (const struct json *node = json_first(root); node; node = node->next)
		if (apply(node, settings, err))
			return -1;
	return 0;
}

int settings_load(const char *path, struct settings *settings, struct error *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t size;
	struct error why = { 0 };

	if (set_defaults(settings, err))
		return -1;
	text = textfile_read(AT_FDCWD, path, SETTINGS_SIZE_MAX, &size, &why);
	if (!text && why.errnum == ENOENT)
		return 0;
	if (!text) {
		if (err)
			*err = why;
		return -1;
	}
	if (parse(text, size, settings, err))
		return error_prefix(err, "%s", path);
	return 0;
}

static int check_annotation(const struct settings *settings, const char *key, struct error *err)
{
	const char *name = key + strlen(ANNOTATION_PREFIX);

	for (unsigned int i = 0; annotations[i]; i++) {
		size_t length = strlen(annotations[i]);

		if (strncmp(name, annotations[i], length) != 0 ||
		    (name[length] && name[length] != '.'))
			continue;
		if (settings->allow_annotations & 1u << i)
			return 0;
		return error_set(err, 0, "annotation %s is not allowed by allow_annotations of %s",
				 key, SETTINGS_PATH);
	}
	return error_set(err, 0, "unknown annotation %s", key);
}

static int check_annotations(const struct settings *settings, const struct oci_config *config,
			     struct error *err)
{
	for (size_t i = 0; i < config->annotations_count; i++) {
		const char *key = config->annotations[i].key;

		if (!strncmp(key, ANNOTATION_PREFIX, strlen(ANNOTATION_PREFIX)) &&
		    check_annotation(settings, key, err))
			return -1;
	}
	return 0;
}

/* One of vm.kernel's members, in place of what the settings have. */
static int replace(const struct settings *settings, enum allowed_vm what, const char *member,
		   const char *wanted, char **value, struct error *err)
{
	char *copy;

	if (!wanted)
		return 0;
	if (!(settings->allow_vm & 1u << what))
		return error_set(err, 0, "vm.kernel.%s is refused: not allowed by allow_vm of %s",
				 member, SETTINGS_PATH);
	copy = strdup(wanted);
	if (!copy)
		return error_set(err, ENOMEM, "vm.kernel.%s", member);
	free(*value);
	*value = copy;
	return 0;
}

int settings_apply_config(struct settings *settings, const struct oci_config *config,
			  struct error *err)
{
	const struct oci_vm *vm = &config->vm;

	if (check_annotations(settings, config, err) ||
	    replace(settings, ALLOW_VM_KERNEL, "path", vm->kernel, &settings->kernel, err) ||
	    replace(settings, ALLOW_VM_INITRD, "initrd", vm->initrd, &settings->initramfs, err))
		return -1;
	return replace(settings, ALLOW_VM_PARAMETERS, "parameters", vm->parameters,
		       &settings->kernel_parameters, err);
}

void settings_free(struct settings *settings)
{
	free(settings->kernel);
	free(settings->initramfs);
	free(settings->qemu);
	free(settings->qemu_user);
	free(settings->kernel_parameters);
	memset(settings, 0, sizeof(*settings));
}
