/*
 * The table of fields.h, in the order of the spec's schema. A row with an object
 * or array speaks for all that is inside it.
 */
#include "fields.h"

#define APPLY(path)                     \
	{                               \
		path, FIELD_APPLY, NULL \
	}
#define WARN(path, reason)               \
	{                                \
		path, FIELD_WARN, reason \
	}
#define REFUSE(path, reason)               \
	{                                  \
		path, FIELD_REFUSE, reason \
	}

#define REFUSE(path, reason)               \
	{                                  \
		path, FIELD_REFUSE, reason \
	}

static const char administrators[] = "the administrator chooses it, in /etc/vxn/config.json";
static const char other_platform[] = "belongs to another platform";
static const char no_lsm[] = "no such security module in the virtual machine";
static const char version_1[] = "there is no such limit in version 2 of cgroups";
static const char no_listener[] = "a virtual machine's kernel can't ask a program on the host";

const struct field_rule field_rules[] = {
	APPLY("ociVersion"),
	APPLY("root.path"),
	APPLY("root.readonly"),
	APPLY("mounts[].destination"),
	APPLY("mounts[].source"),
	APPLY("mounts[].type"),
	APPLY("mounts[].options"), /* each option for itself: mount_options.c */
	APPLY("mounts[].uidMappings"),
	APPLY("mounts[].gidMappings"),
	APPLY("hostname"),
	APPLY("domainname"),
	APPLY("annotations"),

	APPLY("process.terminal"),
	APPLY("process.consoleSize"),
	APPLY("process.cwd"),
	APPLY("process.env"),
	APPLY("process.args"),
	WARN("process.commandLine", other_platform),
	APPLY("process.rlimits"),
	WARN("process.apparmorProfile", no_lsm),
	APPLY("process.capabilities"),
	APPLY("process.noNewPrivileges"),
	APPLY("process.oomScoreAdj"),
	APPLY("process.scheduler"),
	WARN("process.selinuxLabel", no_lsm),
	APPLY("process.ioPriority"),
	APPLY("process.execCPUAffinity"),
	APPLY("process.user.uid"),
	APPLY("process.user.gid"),
	APPLY("process.user.umask"),
	APPLY("process.user.additionalGids"),
	WARN("process.user.username", other_platform),

	APPLY("hooks.prestart"),
	APPLY("hooks.createRuntime"),
	APPLY("hooks.createContainer"),
	APPLY("hooks.startContainer"),
	APPLY("hooks.poststart"),
	APPLY("hooks.poststop"),

	APPLY("linux.namespaces"),
	APPLY("linux.uidMappings"),
	APPLY("linux.gidMappings"),
	APPLY("linux.timeOffsets"),
	APPLY("linux.devices"),
	REFUSE("linux.netDevices",
	       "interfaces of the host can't be moved into the virtual machine"),
	APPLY("linux.cgroupsPath"), /* of the stand-in, on the host */
	APPLY("linux.rootfsPropagation"),
	APPLY("linux.maskedPaths"),
	APPLY("linux.readonlyPaths"),
	WARN("linux.mountLabel", no_lsm),
	APPLY("linux.sysctl"),
	APPLY("linux.seccomp.defaultAction"),
	APPLY("linux.seccomp.defaultErrnoRet"),
	APPLY("linux.seccomp.architectures"),
	APPLY("linux.seccomp.flags"),
	REFUSE("linux.seccomp.listenerPath", no_listener),
	REFUSE("linux.seccomp.listenerMetadata", no_listener),
	APPLY("linux.seccomp.syscalls"),
	REFUSE("linux.intelRdt", "cache and bandwidth are the hypervisor's to allocate"),
	APPLY("linux.personality.domain"),
	WARN("linux.personality.flags", "the spec defines no flag"),

	APPLY("linux.resources.devices"),
	APPLY("linux.resources.memory.limit"), /* the size of the virtual machine */
	APPLY("linux.resources.memory.reservation"),
	APPLY("linux.resources.memory.swap"),
	WARN("linux.resources.memory.kernel", version_1),
	WARN("linux.resources.memory.kernelTCP", version_1),
	WARN("linux.resources.memory.swappiness", version_1),
	WARN("linux.resources.memory.disableOOMKiller", version_1),
	APPLY("linux.resources.memory.useHierarchy"),	   /* always so */
	APPLY("linux.resources.memory.checkBeforeUpdate"), /* nothing is used at create */
	APPLY("linux.resources.cpu.shares"),
	APPLY("linux.resources.cpu.quota"),
	APPLY("linux.resources.cpu.burst"),
	APPLY("linux.resources.cpu.period"),
	APPLY("linux.resources.cpu.realtimeRuntime"), /* on the host, if it has version 1 */
	APPLY("linux.resources.cpu.realtimePeriod"),
	APPLY("linux.resources.cpu.cpus"), /* inside, their number */
	APPLY("linux.resources.cpu.mems"), /* on the host: the virtual machine has one node */
	APPLY("linux.resources.cpu.idle"),
	APPLY("linux.resources.pids.limit"),
	APPLY("linux.resources.blockIO.weight"), /* on the host: its disks */
	WARN("linux.resources.blockIO.leafWeight", "it went with the CFQ scheduler"),
	APPLY("linux.resources.blockIO.weightDevice"),
	APPLY("linux.resources.blockIO.throttleReadBpsDevice"),
	APPLY("linux.resources.blockIO.throttleWriteBpsDevice"),
	APPLY("linux.resources.blockIO.throttleReadIOPSDevice"),
	APPLY("linux.resources.blockIO.throttleWriteIOPSDevice"),
	APPLY("linux.resources.hugepageLimits"),
	WARN("linux.resources.network.classID", version_1),
	WARN("linux.resources.network.priorities", version_1),
	WARN("linux.resources.rdma", "no such devices in the virtual machine"),
	APPLY("linux.resources.unified"),

	REFUSE("vm.hypervisor.path", administrators),
	REFUSE("vm.hypervisor.parameters", administrators),
	APPLY("vm.kernel.path"),       /* if the administrator allows it: settings.h */
	APPLY("vm.kernel.parameters"), /* if the administrator allows it: settings.h */
	APPLY("vm.kernel.initrd"),     /* if the administrator allows it: settings.h */
	REFUSE("vm.image", "the root file system is the bundle's"),
	REFUSE("vm.hwConfig", administrators),

	WARN("solaris", other_platform),
	WARN("windows", other_platform),
	WARN("zos", other_platform),
	WARN("freebsd", other_platform),
};

const size_t field_rules_count = sizeof(field_rules) / sizeof(field_rules[0]);
