/*
 * config.json and process.json of the OCI runtime spec as C types. The parser
 * validates what both sides rely on; a broken input gives an error that names
 * the JSON path (`process.args[0]`) or, for broken JSON, line and column.
 * Members that the spec does not know are ignored, as it demands.
 *
 * What is done with each field (apply, warn, refuse) is the table in
 * fields.h.
 */
#ifndef VXN_CONFIG_H
#define VXN_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "devices.h"
#include "error.h"
#include "hooks.h"
#include "resources.h"
#include "scheduling.h"
#include "seccomp.h"
#include "sysctl.h"
#include "time_offsets.h"

struct oci_user {
	uid_t uid;
	gid_t gid;
	bool has_umask;
	mode_t umask;
	gid_t *additional_gids;
	size_t additional_gids_count;
};

/* Bit n = capability number n of linux/capability.h. */
struct oci_capabilities {
	uint64_t bounding, effective, inheritable, permitted, ambient;
};

struct oci_rlimit {
	int resource; /* RLIMIT_* */
	uint64_t soft, hard;
};

struct oci_process {
	bool terminal;
	uint16_t console_width, console_height; /* 0 = not given */
	char **args; /* NULL-terminated, at least one unless parsed as optional */
	size_t args_count;
	char **env; /* NULL-terminated, never NULL */
	char *cwd;  /* absolute */
	struct oci_user user;
	bool has_capabilities;
	struct oci_capabilities capabilities;
	struct oci_rlimit *rlimits;
	size_t rlimits_count;
	bool no_new_privileges;
	bool has_oom_score_adj;
	int oom_score_adj;
	struct oci_scheduling scheduling;
	char *apparmor_profile; /* NULL = not given */
	char *selinux_label;
	char **warnings; /* of a process.json; config.json's are in oci_config. Never NULL */
};

/* Ids from host on stand for those from container on: of user namespaces, and of idmapped mounts. */
struct oci_id_mapping {
	uint32_t container, host, size;
};

struct oci_id_mappings {
	struct oci_id_mapping *items;
	size_t count;
};

struct oci_mount {
	char *destination; /* as given; relative means below "/" (runc, spec 1.0) */
	char *source;	   /* NULL = not given */
	char *type;	   /* NULL = not given; "bind" for a bind */
	char **options;	   /* as given, NULL-terminated, never NULL */
	/* made from the options by mount_options_parse (mount_options.h): */
	bool bind;		       /* bind or rbind, or type bind */
	bool recursive;		       /* rbind */
	unsigned long flags;	       /* MS_* without MS_BIND, MS_REC and propagation */
	unsigned long propagation;     /* MS_SHARED.. with MS_REC, 0 = not given */
	unsigned long recursive_set;   /* rro, rnosuid..: MOUNT_ATTR_* on all mounts below too */
	unsigned long recursive_clear; /* rrw, rsuid..; flags has both sorts as well */
	bool copy_up;		       /* tmpcopyup */
	bool idmap;		       /* idmap, ridmap, or mappings: both sorts are there then */
	bool idmap_recursive;	       /* ridmap */
	struct oci_id_mappings uid_mappings, gid_mappings; /* container: an id on the disk */
	char *data; /* what is left, comma-separated, for the file system; NULL = nothing */
};

enum oci_namespace_type {
	OCI_NAMESPACE_PID,
	OCI_NAMESPACE_NETWORK,
	OCI_NAMESPACE_MOUNT,
	OCI_NAMESPACE_IPC,
	OCI_NAMESPACE_UTS,
	OCI_NAMESPACE_USER,
	OCI_NAMESPACE_CGROUP,
	OCI_NAMESPACE_TIME,
	OCI_NAMESPACE_COUNT,
};

struct oci_namespace {
	bool present; /* listed in linux.namespaces */
	char *path;   /* NULL = a new one */
};

/* CLONE_NEW* of a namespace type, and its name in /proc/PID/ns. */
int oci_namespace_clone_flag(enum oci_namespace_type type);
const char *oci_namespace_proc_name(enum oci_namespace_type type);

struct oci_annotation {
	char *key, *value;
};

/* The spec's vm section (config-vm.md), as far as it can be had; NULL = not given. */
struct oci_vm {
	char *kernel, *initrd; /* absolute */
	char *parameters;      /* of the kernel, joined by spaces */
};

/* linux.personality.domain: what uname(2) says of the machine. */
enum oci_personality {
	OCI_PERSONALITY_NONE, /* not given */
	OCI_PERSONALITY_LINUX,
	OCI_PERSONALITY_LINUX32,
};

struct oci_config {
	char *oci_version;
	char *hostname; /* NULL = not given */
	char *domainname;
	char *root_path; /* as given; relative to the bundle */
	bool root_readonly;
	bool has_process;
	struct oci_process process;
	struct oci_mount *mounts;
	size_t mounts_count;
	struct oci_namespace namespaces[OCI_NAMESPACE_COUNT];
	struct oci_id_mappings uid_mappings, gid_mappings; /* of a new user namespace */
	char **masked_paths;				   /* NULL-terminated, never NULL */
	char **readonly_paths;
	char *cgroups_path; /* NULL = not given */
	char *rootfs_propagation;
	struct oci_hooks hooks[OCI_HOOK_STAGE_COUNT];
	struct oci_vm vm;
	enum oci_personality personality;
	struct oci_seccomp *seccomp; /* NULL = none */
	struct oci_sysctls sysctls;
	struct oci_devices devices;
	struct oci_time_offsets time_offsets;
	struct oci_resources resources;
	int64_t memory_limit; /* linux.resources.memory.limit, bytes; -1 = none */
	struct oci_annotation *annotations;
	size_t annotations_count;
	char **warnings; /* whole lines for --log: ignored capabilities, labels; never NULL */
};

/* Asked for, and not by path. */
static inline bool config_has_new_namespace(const struct oci_config *config,
					    enum oci_namespace_type type)
{
	return config->namespaces[type].present && !config->namespaces[type].path;
}

/*
 * The bytes of a config.json, or process.json, that whoever reads one takes at most. It
 * goes to the guest in one message, with what is said of its mounts (wire.h).
 */
#define CONFIG_SIZE_MAX (3u << 20)

/*
 * Parses and validates. On failure *config is NULL. The result is released by
 * config_free. Errors: broken JSON, a member of a wrong type, ociVersion absent
 * or not of major version 1, process.args or process.cwd absent, root.path
 * absent, destination absent, a bind without source or with shared propagation,
 * unknown namespace type or rlimit, a namespace or rlimit given twice, a hook that
 * hooks.h does not like. An unknown capability is a warning, as with runc.
 */
int config_parse(const char *text, size_t size, struct oci_config **config, struct error *err);
void config_free(struct oci_config *config);

/* The same for a process.json (exec --process). */
int process_parse(const char *text, size_t size, struct oci_process **process, struct error *err);
void process_free(struct oci_process *process);

/*
 * What a process.json leaves open and is then as in the container's config.json:
 * capabilities and scheduling, as with runc.
 */
void process_inherit(struct oci_process *process, const struct oci_process *container);

/* JSON text of a process, for exec without --process; to be freed. */
char *process_print(const struct oci_process *process, struct error *err);

/* Value of an annotation, NULL if it is not there. */
const char *config_annotation(const struct oci_config *config, const char *key);

/*
 * A mount whose source on the host has to be shared with the guest: a bind that
 * the guest does not make itself (fields.h: /dev/shm is the guest's own tmpfs).
 */
bool mount_is_share(const struct oci_mount *mount);

/* Whether path means the absolute path clean, however it is written; links are not followed. */
bool config_path_is(const char *path, const char *clean);

#endif
