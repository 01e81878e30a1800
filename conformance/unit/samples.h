/*
 * Configs for the tests and fuzzers of the parsers: one that uses every field of
 * the OCI runtime spec, and one shaped as podman writes them. Written with single
 * quotes, which sample_text turns into JSON's.
 */
#ifndef VXN_SAMPLES_H
#define VXN_SAMPLES_H

#include <stdlib.h>
#include <string.h>

static inline char *sample_text(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	return copy;
}

static const char sample_full[] =
	"{'ociVersion': '1.2.0',\n"
	" 'process': {\n"
	"  'terminal': true, 'consoleSize': {'height': 25, 'width': 80},\n"
	"  'user': {'uid': 1000, 'gid': 1001, 'umask': 18, 'additionalGids': [5, 6],\n"
	"           'username': 'nobody'},\n"
	"  'args': ['sh', '-c', 'echo \\u00e9 \\\"x\\\"'],\n"
	"  'commandLine': 'cmd.exe',\n"
	"  'env': ['PATH=/usr/bin:/bin', 'TERM=xterm', 'EMPTY='],\n"
	"  'cwd': '/work',\n"
	"  'capabilities': {'bounding': ['CAP_AUDIT_WRITE', 'CAP_KILL'],\n"
	"   'effective': ['CAP_KILL', 'CAP_CHOWN'], 'inheritable': ['CAP_KILL'],\n"
	"   'permitted': ['CAP_KILL', 'CAP_MARS'], 'ambient': ['CAP_KILL', 'CAP_SYSLOG']},\n"
	"  'rlimits': [{'type': 'RLIMIT_NOFILE', 'hard': 1024, 'soft': 512},\n"
	"              {'type': 'RLIMIT_CORE', 'hard': 18446744073709551615, 'soft': 0}],\n"
	"  'noNewPrivileges': true, 'apparmorProfile': 'acme_secure_profile',\n"
	"  'oomScoreAdj': -100, 'selinuxLabel': 'system_u:system_r:svirt_lxc_net_t:s0',\n"
	"  'scheduler': {'policy': 'SCHED_FIFO', 'nice': 0, 'priority': 7,\n"
	"                'flags': ['SCHED_FLAG_RESET_ON_FORK']},\n"
	"  'ioPriority': {'class': 'IOPRIO_CLASS_IDLE', 'priority': 4},\n"
	"  'execCPUAffinity': {'initial': '7', 'final': '0-3,7'}},\n"
	" 'root': {'path': 'rootfs', 'readonly': true},\n"
	" 'hostname': 'slartibartfast', 'domainname': 'foobarbaz.test',\n"
	" 'mounts': [\n"
	"  {'destination': '/proc', 'type': 'proc', 'source': 'proc'},\n"
	"  {'destination': '/dev', 'type': 'tmpfs', 'source': 'tmpfs',\n"
	"   'options': ['nosuid', 'strictatime', 'mode=755', 'size=65536k', 'tmpcopyup']},\n"
	"  {'destination': '/dev/shm/', 'type': 'bind', 'source': '/run/shm',\n"
	"   'options': ['bind', 'rprivate']},\n"
	"  {'destination': '/data', 'type': 'none', 'source': '/volumes/data',\n"
	"   'options': ['rbind', 'rro', 'rslave', 'idmap'],\n"
	"   'uidMappings': [{'containerID': 0, 'hostID': 1000, 'size': 1}],\n"
	"   'gidMappings': [{'containerID': 0, 'hostID': 1000, 'size': 1}]},\n"
	"  {'destination': 'etc/hosts', 'type': 'bind', 'source': '/run/hosts',\n"
	"   'options': ['ro']}],\n"
	" 'hooks': {'prestart': [{'path': '/bin/a'}], 'createRuntime': [{'path': '/bin/b'}],\n"
	"  'createContainer': [{'path': '/bin/c'}], 'startContainer': [{'path': '/bin/d'}],\n"
	"  'poststart': [{'path': '/bin/e'}], 'poststop': [{'path': '/bin/f'}]},\n"
	" 'annotations': {'com.example.key1': 'value1', 'com.example.key2': ''},\n"
	" 'linux': {\n"
	"  'devices': [{'path': '/dev/fuse', 'type': 'c', 'major': 10, 'minor': 229,\n"
	"               'fileMode': 438, 'uid': 0, 'gid': 0}],\n"
	"  'uidMappings': [{'containerID': 0, 'hostID': 1000, 'size': 32000}],\n"
	"  'gidMappings': [{'containerID': 0, 'hostID': 1000, 'size': 32000}],\n"
	"  'timeOffsets': {'monotonic': {'secs': 172800, 'nanosecs': 0}},\n"
	"  'sysctl': {'net.ipv4.ip_forward': '1'}, 'cgroupsPath': '/myRuntime/myContainer',\n"
	"  'resources': {\n"
	"   'network': {'classID': 1048577, 'priorities': [{'name': 'eth0', 'priority': 500}]},\n"
	"   'pids': {'limit': 32771},\n"
	"   'hugepageLimits': [{'pageSize': '2MB', 'limit': 9223372036854772000}],\n"
	"   'memory': {'limit': 536870912, 'reservation': 536870912, 'swap': 536870912,\n"
	"    'kernel': -1, 'kernelTCP': -1, 'swappiness': 1, 'disableOOMKiller': true,\n"
	"    'useHierarchy': true, 'checkBeforeUpdate': true},\n"
	"   'cpu': {'shares': 1024, 'quota': 1000000, 'burst': 1000000, 'period': 500000,\n"
	"    'realtimeRuntime': 950000, 'realtimePeriod': 1000000, 'cpus': '2-3', 'mems': '0-7',\n"
	"    'idle': 1},\n"
	"   'devices': [{'allow': false, 'access': 'rwm'}],\n"
	"   'blockIO': {'weight': 10, 'leafWeight': 10,\n"
	"    'weightDevice': [{'major': 8, 'minor': 0, 'weight': 500}],\n"
	"    'throttleReadBpsDevice': [{'major': 8, 'minor': 0, 'rate': 600}],\n"
	"    'throttleWriteBpsDevice': [{'major': 8, 'minor': 0, 'rate': 600}],\n"
	"    'throttleReadIOPSDevice': [{'major': 8, 'minor': 0, 'rate': 600}],\n"
	"    'throttleWriteIOPSDevice': [{'major': 8, 'minor': 16, 'rate': 300}]},\n"
	"   'rdma': {'mlx5_1': {'hcaHandles': 3}}, 'unified': {'memory.high': '1073741824'}},\n"
	"  'rootfsPropagation': 'slave',\n"
	"  'seccomp': {'defaultAction': 'SCMP_ACT_ERRNO', 'defaultErrnoRet': 1,\n"
	"   'architectures': ['SCMP_ARCH_X86'], 'flags': ['SECCOMP_FILTER_FLAG_LOG'],\n"
	"   'syscalls': [{'names': ['getcwd'], 'action': 'SCMP_ACT_ERRNO'}]},\n"
	"  'namespaces': [{'type': 'pid', 'path': '/proc/1234/ns/pid'}, {'type': 'network'},\n"
	"   {'type': 'ipc'}, {'type': 'uts'}, {'type': 'mount'}, {'type': 'user'},\n"
	"   {'type': 'cgroup'}, {'type': 'time', 'path': ''}],\n"
	"  'maskedPaths': ['/proc/kcore'], 'readonlyPaths': ['/proc/sys', '/proc/irq'],\n"
	"  'mountLabel': 'system_u:object_r:svirt_sandbox_file_t:s0',\n"
	"  'personality': {'domain': 'LINUX32', 'flags': ['x']}},\n"
	" 'vm': {'kernel': {'path': '/path/to/vmlinuz', 'parameters': ['b', 'c=d'],\n"
	"  'initrd': '/path/to/initrd'}},\n"
	" 'windows': {'layerFolders': ['C:']}, 'solaris': {'milestone': 'm'},\n"
	" 'zos': {'devices': ['x']}, 'freebsd': {'devices': ['x']},\n"
	" 'unknown': {'deep': [null, 1.5e3, false]}}\n";

static const char sample_podman[] =
	"{'ociVersion':'1.0.2-dev','process':{'terminal':false,'user':{'uid':0,'gid':0,'umask':18,"
	"\n"
	"'additionalGids':[10]},'args':['echo','hello'],'env':['PATH=/usr/local/sbin:/bin',\n"
	"'TERM=xterm','container=podman','HOSTNAME=3f1c5a','HOME=/root'],'cwd':'/',\n"
	"'capabilities':{'bounding':['CAP_CHOWN','CAP_DAC_OVERRIDE','CAP_SYS_CHROOT'],\n"
	"'effective':['CAP_CHOWN','CAP_DAC_OVERRIDE','CAP_SYS_CHROOT'],\n"
	"'permitted':['CAP_CHOWN','CAP_DAC_OVERRIDE','CAP_SYS_CHROOT']},\n"
	"'rlimits':[{'type':'RLIMIT_NOFILE','hard':4096,'soft':1024}],'oomScoreAdj':0},\n"
	"'root':{'path':'/var/lib/containers/storage/overlay/9c/merged'},'hostname':'3f1c5a',\n"
	"'mounts':[{'destination':'/proc','type':'proc','source':'proc',\n"
	"'options':['nosuid','noexec','nodev']},\n"
	"{'destination':'/dev','type':'tmpfs','source':'tmpfs',\n"
	"'options':['nosuid','strictatime','mode=755','size=65536k']},\n"
	"{'destination':'/dev/"
	"pts','type':'devpts','source':'devpts','options':['nosuid','noexec',\n"
	"'newinstance','ptmxmode=0666','mode=0620','gid=5']},\n"
	"{'destination':'/dev/mqueue','type':'mqueue','source':'mqueue',\n"
	"'options':['nosuid','noexec','nodev']},\n"
	"{'destination':'/sys/fs/cgroup','type':'cgroup','source':'cgroup',\n"
	"'options':['rprivate','nosuid','noexec','nodev','relatime','ro']},\n"
	"{'destination':'/etc/hosts','type':'bind','source':'/run/userdata/hosts',\n"
	"'options':['bind','rprivate']},\n"
	"{'destination':'/dev/shm','type':'bind','source':'/var/lib/containers/userdata/shm',\n"
	"'options':['bind','rprivate','nosuid','noexec','nodev']}],\n"
	"'annotations':{'io.container.manager':'libpod'},\n"
	"'linux':{'resources':{'devices':[{'allow':false,'access':'rwm'}],'pids':{'limit':2048}},\n"
	"'cgroupsPath':'/libpod_parent/libpod-3f1c5a','namespaces':[{'type':'pid'},\n"
	"{'type':'network','path':'/run/netns/netns-1'},{'type':'ipc'},{'type':'uts'},\n"
	"{'type':'mount'},{'type':'cgroup'}],'seccomp':{'defaultAction':'SCMP_ACT_ERRNO',\n"
	"'architectures':['SCMP_ARCH_X86_64'],'syscalls':[{'names':['read'],\n"
	"'action':'SCMP_ACT_ALLOW'}]},'maskedPaths':['/proc/acpi','/proc/kcore'],\n"
	"'readonlyPaths':['/proc/asound','/proc/sys']}}\n";

#endif
